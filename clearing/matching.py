"""A verdict for every tap, from what the registries, the past and the HSM know."""

from collections import Counter

from sqlalchemy import Engine

from clearing.columns import texts
from clearing.context import Night, StepRefused, StepResult
from clearing.engine.rules import MATCH
from clearing.facts import earlier_taps, night_facts, registry_facts, tariff_facts
from clearing.history_fares import fares_made, make_fares
from clearing.intake import TAPS
from clearing.verdict import Verdict
from clearing.verification import TACS
from clearing.workfiles import read_table
from ledger.db import reading

VERDICTS = "verdicts.parquet"


def match(engine: Engine, night: Night) -> StepResult:
    """Judge every tap by the rules in `clearing/rules`; the verdict does not depend on the order of files.

    Raises StepRefused where there is no tariff at all.
    """
    if not night.tariffs:
        raise StepRefused("match", "there is no tariff", "give the night the tariffs of its days")
    taps = read_table(night.work / TAPS)
    cards = sorted(set(texts(taps, "card_no")))
    with reading(engine) as conn:
        facts = registry_facts(conn, cards)
        facts["earlier"] = earlier_taps(conn, taps, night.business_date)
    fares = make_fares(engine, night, taps, read_table(night.work / TACS))
    inputs = {"tap": night.work / TAPS, "tac": night.work / TACS} | fares_made(night)
    facts |= night_facts(night) | tariff_facts(night.tariffs)
    path = night.rules.run(MATCH, {**facts, **inputs}, "verdict", night.work / VERDICTS)
    found = Counter(texts(read_table(path), "verdict"))
    counts = {verdict.value: found[verdict] for verdict in Verdict if verdict is not Verdict.PRICE_DIFFERS}
    return StepResult(counts, (path,) if fares is None else (path, fares))

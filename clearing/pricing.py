"""The tariff's price of every tap, and what of its amount is paid."""

from collections import Counter

import pyarrow as pa
from sqlalchemy import Engine

from clearing.columns import numbers, texts
from clearing.context import Night, StepResult
from clearing.engine.rules import PRICE
from clearing.facts import tariff_facts
from clearing.history_fares import fares_made, unpriced
from clearing.intake import TAPS
from clearing.matching import VERDICTS
from clearing.verdict import MONEY, Money, Verdict
from clearing.workfiles import read_table

PRICED = "priced.parquet"


def price(_engine: Engine, night: Night) -> StepResult:
    """Price every tap by the tariff of its day, and settle where its money goes.

    Where the operator charged another price, the lower one is paid.
    """
    taps = read_table(night.work / TAPS)
    moneys = pa.table(
        {"verdict": [verdict.value for verdict in MONEY], "money": [money.value for money in MONEY.values()]}
    )
    inputs = {"tap": night.work / TAPS, "verdict": night.work / VERDICTS} | fares_made(night)
    facts = {"verdict_money": moneys} | tariff_facts(night.tariffs)
    path = night.rules.run(PRICE, {**facts, **inputs}, "paid", night.work / PRICED)
    priced = read_table(path)
    found = Counter(texts(priced, "money"))
    counts = {money.value: found[money] for money in Money}
    counts |= {
        "price_differs": texts(priced, "verdict").count(Verdict.PRICE_DIFFERS),
        "presented_fen": int(numbers(taps, "amount_fen").sum()),
        "paid_fen": int(numbers(priced, "paid_fen").sum()),
    }
    counts |= unpriced(night)
    return StepResult(counts, (path,))

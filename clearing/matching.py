"""A verdict for every tap that is not simply accepted, from what the registries, the past and the HSM know."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine

from clearing.columns import with_fares
from clearing.context import Night, StepRefused, StepResult
from clearing.engine.duck_room import kept_house
from clearing.engine.rules import BOUNDS, KINDS, LOOK, MATCH, OWN, TWINS, VERDICT, Inputs
from clearing.facts import PAST, REGISTRIES, looked_at_facts, night_facts, registry_facts, tariff_facts
from clearing.history_fares import fares_made, make_fares
from clearing.interop.facts import centre_facts
from clearing.presented import pieces
from clearing.tap_file import TAPS, tap_days
from clearing.verdict import Verdict
from clearing.verification import TACS
from clearing.wire.batch import RECORD_BYTES
from clearing.workfiles import counted, read_table, write_rows
from ledger.db import reading

VERDICTS = "verdicts.parquet"
"""The taps that are not simply accepted at what they took, or are so with a wrong TAC or abroad; all others are."""
BOUND = "bounds.parquet"
"""What a tap of each kind may cost, and its price."""
LATER = (Verdict.PRICE_DIFFERS, Verdict.ISSUER_REFUSED)
"""Verdicts that a price, or a centre, gives afterwards."""
SPANNED = ("card_head", "card_tail", "counter")
_RECORD = pa.binary(RECORD_BYTES)
CONTENT = pa.schema([pa.field("no", pa.int64())]).append(pa.field("record", _RECORD))

_FOUND = ("duplicate", "card_known", "tac_ok", "believed", "in_conflict", "chained", "gap", "routed")
_CLOSER: list[tuple[str, pa.DataType]] = [("no", pa.int64()), ("amount_fen", pa.int64())]
CLOSER = pa.schema([*_CLOSER, *((name, pa.bool_()) for name in _FOUND)])
"""What `85_closer` finds of a tap."""

Records = tuple[int, npt.NDArray[np.uint8]]
"""The number of a tap, and the records of it and of those after it, n × 64 bytes."""


def match(engine: Engine, night: Night) -> StepResult:
    """Judge every tap by the rules in `clearing/rules`; the verdict does not depend on the order of files.

    Raises StepRefused where there is no tariff at all.
    """
    if not night.tariffs:
        raise StepRefused("match", "there is no tariff", "put one in force: `onecard tariff enact`")
    fares = make_fares(engine, night)
    with reading(engine) as conn:
        path = judge(conn, night, night.work / TAPS, night.work / TACS, record_pieces(night))
    found = counted(path, "verdict")
    taps = pq.read_metadata(night.work / TAPS).num_rows
    found[Verdict.ACCEPTED] = taps - sum(
        found[verdict] for verdict in Verdict if verdict is not Verdict.ACCEPTED
    )
    counts = {verdict.value: found[verdict] for verdict in Verdict if verdict not in LATER}
    files = path, night.work / BOUND
    return StepResult(counts, files if fares is None else (*files, fares))


def judge(conn: Connection, night: Night, taps: Path, tacs: Path, records: Iterator[Records]) -> Path:
    """Write the verdicts on taps, of which some have wrong TACs; `records` are those of all of them, by their `no`.

    While the engine runs rules over all taps, a thread reads the registries, and then the past of the cards that get
    the closer look.
    """
    work, rules, centres = night.work, night.rules, centre_facts(conn)
    with ThreadPoolExecutor(1, "facts") as aside, kept_house():
        registry = aside.submit(registry_facts, conn, night, tap_days(taps))
        facts: Inputs = {name: partial(_one, registry, name) for name in REGISTRIES}
        known: Inputs = {"tap": taps, "tac": tacs, **facts, **centres, **night_facts(night)}
        prices = _prices(night, taps)
        look = rules.run(LOOK, known, "look", work / "look.parquet")
        past = aside.submit(_past, conn, night, look)
        own = rules.run(OWN, {**known, **prices}, "own", work / "own.parquet")
        if not pq.read_metadata(look).num_rows:
            found: Inputs = {"own": own, "closer": CLOSER.empty_table()}
            return rules.run(VERDICT, found, "verdict", work / VERDICTS)
        closer: Inputs = {"looked": look, **{name: partial(_one, past, name) for name in PAST}}
        twins = rules.run(TWINS, closer, "twins", work / "twins.parquet")
        content = write_rows(work / "content.parquet", CONTENT, _content(twins, records), packed=())
        given: Inputs = {**known, **closer, "own": own, "content": content}
        return rules.run(MATCH, given, "verdict", work / VERDICTS)


def _one(facts: Future[dict[str, pa.Table]], name: str) -> pa.Table:
    return facts.result()[name]


def _past(conn: Connection, night: Night, look: Path) -> dict[str, pa.Table]:
    return looked_at_facts(conn, pq.read_table(look, columns=list(SPANNED)), night.business_date)


def _prices(night: Night, taps: Path) -> Inputs:
    """What a tap of each kind may cost, and the prices that are the cards' own."""
    kinds = night.rules.run(KINDS, {"tap": taps}, "kinds", night.work / "kinds.parquet")
    told_apart = with_fares(read_table(kinds))
    priced: Inputs = {"tap": told_apart, "kinds": told_apart, **tariff_facts(night.tariffs)}
    bounds = night.rules.run(BOUNDS, priced, "bounds", night.work / BOUND)
    return {"bounds": bounds, "history_fare": fares_made(night)}


def record_pieces(night: Night) -> Iterator[Records]:
    """The records of all taps of the night, in order."""
    for first_no, groups in pieces(night):
        for group in groups:
            yield first_no, np.frombuffer(group.records, np.uint8).reshape(-1, RECORD_BYTES)
            first_no += len(group.positions)


def _content(wanted: Path, records: Iterator[Records]) -> Iterator[pa.RecordBatch]:
    """The content of some taps, by `no`."""
    first_no, rows = 0, np.empty((0, RECORD_BYTES), np.uint8)
    for batch in pq.ParquetFile(wanted).iter_batches():
        no = batch.column("no").to_numpy()
        content, done = np.empty((len(no), RECORD_BYTES), np.uint8), 0
        while done < len(no):
            upto = int(np.searchsorted(no, first_no + len(rows)))
            content[done:upto] = rows[no[done:upto] - first_no]
            done = upto
            if done < len(no):
                first_no, rows = next(records)
        held = pa.Array.from_buffers(_RECORD, len(no), [None, pa.py_buffer(content.data)])
        yield pa.RecordBatch.from_arrays([batch.column("no"), held], schema=CONTENT)

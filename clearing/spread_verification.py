"""Asking the HSM about the TAC of every tap from the machines of the night's engine, each about its part."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

from card.hsm.bulk import BULK_ROWS
from clearing.columns import truths
from clearing.context import Night, StepResult
from clearing.engine.rules import TacEngine
from clearing.engine.tac_batches import PIECES
from clearing.intake import TAPS, clear_inbox
from clearing.verification import TACS
from clearing.wire.batch import RECORD_BYTES
from clearing.workfiles import read_table

RECORDS = "tac.records"
"""The records themselves, 64 bytes each in the order of their taps, while they are asked about."""


def verify_spread(engine: Engine, night: Night, machines: TacEngine) -> StepResult:
    """As `verification.verify`, with the same file as its result. Raises EngineFailed where it is not to be had."""
    # What `collect` has committed is certain to be held, so the inbox need not keep it.
    clear_inbox(engine, night)
    records = (night.work / RECORDS).resolve()
    try:
        pieces = pa.Table.from_pylist([*_laid_out(night.work / TAPS, records)], PIECES)
        path = machines.verify(pieces, night.work / TACS)
    finally:
        records.unlink(missing_ok=True)
    right = truths(read_table(path), "tac_ok")
    night.progress("TACs", len(right), len(right))
    return StepResult({"taps": len(right), "right": int(right.sum()), "wrong": int((~right).sum())}, (path,))


def _laid_out(taps: Path, records: Path) -> Iterator[dict[str, int | str]]:
    """Write the records of a taps file one behind another: the pieces they are asked about in."""
    first_no = 0
    with records.open("wb") as out, pq.ParquetFile(taps) as file:
        for batch in file.iter_batches(BULK_ROWS, columns=["record"]):
            packed: Any = batch.column(0).cast(pa.binary(RECORD_BYTES))
            start = packed.offset * RECORD_BYTES
            out.write(memoryview(packed.buffers()[1])[start : start + len(packed) * RECORD_BYTES])
            yield {
                "first_no": first_no, "path": str(records), "offset": first_no * RECORD_BYTES, "count": len(batch),
            }  # fmt: skip
            first_no += len(batch)

"""Asking the HSM about the TAC of every tap from the machines of the night's engine, each about its part."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Engine

from card.hsm.bulk import BULK_ROWS
from clearing.context import Night, StepResult
from clearing.engine.rules import TacEngine
from clearing.engine.tac_batches import PIECES
from clearing.presented import count_presented, pieces
from clearing.verification import TACS, columns_made, verified
from clearing.wire.batch import RECORD_BYTES

RECORDS = "tac.records"
"""The records themselves, 64 bytes each in the order of their taps, while they are asked about."""


def verify_spread(engine: Engine, night: Night, machines: TacEngine) -> StepResult:
    """As `verification.verify`, with the same file as its result. Raises EngineFailed where it is not to be had."""
    records = (night.work / RECORDS).resolve()
    with columns_made(engine, night) as progress:
        try:
            asked = pa.Table.from_pylist([*_laid_out(night, records)], PIECES)
            path = machines.verify(asked, night.work / TACS)
        finally:
            records.unlink(missing_ok=True)
        progress.add(count_presented(night))
    return verified(night, path)


def _laid_out(night: Night, records: Path) -> Iterator[dict[str, int | str]]:
    """Write the records of all taps one behind another: the pieces they are asked about in."""
    with records.open("wb") as out:
        for first_no, groups in pieces(night):
            end_no = first_no + sum(len(group.positions) for group in groups)
            out.writelines(group.records for group in groups)
            for start in range(first_no, end_no, BULK_ROWS):
                yield {
                    "first_no": start, "path": str(records), "offset": start * RECORD_BYTES,
                    "count": min(BULK_ROWS, end_no - start),
                }  # fmt: skip

"""Reading the record of every tap: columns are made of it for the rules, and the HSM is asked in bulk about its TAC."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

from card.hsm.bulk import BULK_ROWS
from card.hsm.columns import WIDTHS, TacColumns
from card.hsm.errors import HsmError
from clearing.columns import joined_records, truths
from clearing.context import Night, StepProgress, StepRefused, StepResult
from clearing.intake import clear_inbox
from clearing.presented import Piece, count_presented, cut, in_turn, pieces
from clearing.tap_file import TAPS, write_taps
from clearing.wire.batch import RECORD_BYTES, RECORD_DTYPE
from clearing.workfiles import CACHE_ROWS, write_rows

TACS = "tac.parquet"
"""The readable taps whose TAC is wrong; that of every other one is right."""
TAC_SCHEMA = pa.schema([pa.field("no", pa.int64())]).append(pa.field("tac_ok", pa.bool_()))

_SIGNED = np.dtype(
    {
        "names": list(WIDTHS),
        "formats": ["V1", "V1", "V4", "V8", "V4", "V1", "V6", "V4", "V4", "V3", "V4"],
        "offsets": [44, 45, 2, 8, 22, 26, 27, 33, 37, 41, 46],
        "itemsize": RECORD_BYTES,
    }
)
"""Where a record has what its TAC is over; of an issuer it has the first half."""


def verify(engine: Engine, night: Night) -> StepResult:
    """Make the columns of all taps, and write down which readable ones have a TAC that does not verify.

    Raises StepRefused where the HSM cannot be asked.
    """
    try:
        with columns_made(engine, night) as progress:
            wrong = _wrong_tacs(night, progress)
    except HsmError as error:
        raise StepRefused(
            "verify", f"TACs cannot be checked: {error}", "restore the HSM, run again"
        ) from error
    wrong = wrong[_readable(night)[wrong]]
    rows = pa.RecordBatch.from_arrays(
        [pa.array(wrong), pa.array(np.zeros(len(wrong), np.bool_))], schema=TAC_SCHEMA
    )
    return verified(night, write_rows(night.work / TACS, TAC_SCHEMA, [rows], packed=()))


def verified(night: Night, tacs: Path) -> StepResult:
    """What the step comes to: the columns of all taps, and the file of the readable ones whose TAC is wrong."""
    readable, wrong = int(_readable(night).sum()), pq.read_metadata(tacs).num_rows
    counts = {"taps": readable, "right": readable - wrong, "wrong": wrong}
    return StepResult(counts, (night.work / TAPS, tacs))


def _readable(night: Night) -> npt.NDArray[np.bool_]:
    """Which taps are readable, by `no`."""
    return ~truths(pq.read_table(night.work / TAPS, columns=["malformed"]), "malformed")


@contextmanager
def columns_made(engine: Engine, night: Night) -> Iterator[StepProgress]:
    """Make the columns of all taps while the HSM is asked inside; each tap counts twice in the progress.

    The inbox is cleared meanwhile: what `collect` has committed is certain to be held.
    """
    progress = StepProgress(night, "records", 2 * count_presented(night))
    with ThreadPoolExecutor(2, "beside") as threads:
        beside = threads.submit(write_taps, night, progress.add), threads.submit(clear_inbox, engine, night)
        yield progress
        for one in beside:
            one.result()


def _wrong_tacs(night: Night, progress: StepProgress) -> npt.NDArray[np.int64]:
    """The taps whose TAC is wrong, by `no`, malformed ones among them."""
    first, wrong = 0, [np.empty(0, np.int64)]
    for right in night.hsm.verify_tacs_in_turn(_asked(night)):
        wrong.append(first + np.flatnonzero(~right))
        first += len(right)
        progress.add(len(right))
    return np.concatenate(wrong)


def _asked(night: Night) -> Iterator[TacColumns]:
    """What the HSM is asked, some rows at a time; it is asked about malformed ones, too, and not heard."""
    for columns in in_turn(_piece_columns, pieces(night)):
        yield from columns


def _piece_columns(piece: Piece) -> list[TacColumns]:
    records = map(joined_records, cut(piece[1], BULK_ROWS))
    return [tac_columns(np.frombuffer(some, RECORD_DTYPE)) for some in records]


def tac_columns(rows: npt.NDArray[np.void]) -> TacColumns:
    """Rows of RECORD_DTYPE as the columns that the HSM verifies (docs/formats/hsm.md, F0).

    Some rows at a time go into all columns: they are then still in the processor's cache.
    """
    signed = np.ascontiguousarray(rows, RECORD_DTYPE).view(_SIGNED)
    columns = {name: np.empty((len(rows), width), np.uint8) for name, width in WIDTHS.items()}
    columns["issuer"].fill(0xFF)
    cells = {name: columns[name].view(_SIGNED[name])[:, 0] for name in WIDTHS}
    for start in range(0, len(rows), CACHE_ROWS):
        some = slice(start, start + CACHE_ROWS)
        for name, column in cells.items():
            column[some] = signed[name][some]
    return TacColumns(**columns)

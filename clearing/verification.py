"""Asking the HSM about the TAC of every tap, in bulk."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

from card.hsm.bulk import BULK_ROWS
from card.hsm.columns import WIDTHS, TacColumns
from card.hsm.errors import HsmError
from clearing.columns import joined_records, truths
from clearing.context import Night, StepRefused, StepResult
from clearing.intake import TAPS, clear_inbox
from clearing.presented import Piece, in_turn, pieces
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
    """Write down which readable taps have a TAC that does not verify.

    Raises StepRefused where the HSM cannot be asked.
    """
    # What `collect` has committed is certain to be held, so the inbox need not keep it.
    clear_inbox(engine, night)
    counts = {"taps": 0, "right": 0, "wrong": 0}
    try:
        path = write_rows(night.work / TACS, TAC_SCHEMA, _wrong_tacs(night, counts), packed=())
    except HsmError as error:
        raise StepRefused(
            "verify", f"TACs cannot be checked: {error}", "restore the HSM, run again"
        ) from error
    return StepResult(counts, (path,))


def _wrong_tacs(night: Night, counts: dict[str, int]) -> Iterator[pa.RecordBatch]:
    """The readable taps whose TAC is wrong, while others are on their way to the HSM; `counts` keeps up."""
    malformed = truths(pq.read_table(night.work / TAPS, columns=["malformed"]), "malformed")
    first = 0
    for right in night.hsm.verify_tacs_in_turn(_asked(night)):
        readable = ~malformed[first : first + len(right)]
        wrong = first + np.flatnonzero(readable & ~right)
        counts["taps"] += int(readable.sum())
        counts["wrong"] += len(wrong)
        counts["right"] = counts["taps"] - counts["wrong"]
        first += len(right)
        night.progress("TACs", first, len(malformed))
        yield pa.RecordBatch.from_arrays(
            [pa.array(wrong), pa.array(np.zeros(len(wrong), np.bool_))], schema=TAC_SCHEMA
        )


def _asked(night: Night) -> Iterator[TacColumns]:
    """What the HSM is asked, some rows at a time; it is asked about malformed ones, too, and not heard."""
    for columns in in_turn(_piece_columns, pieces(night)):
        yield from columns


def _piece_columns(piece: Piece) -> list[TacColumns]:
    rows = np.frombuffer(joined_records(piece[1]), RECORD_DTYPE)
    return [tac_columns(rows[start : start + BULK_ROWS]) for start in range(0, len(rows), BULK_ROWS)]


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

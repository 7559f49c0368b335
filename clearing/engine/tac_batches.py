"""Pieces of files of records in, TAC bits out: what each machine of a cluster does with its part of the taps."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from card.hsm.access import HsmAccess
from card.hsm.client import Hsm
from clearing.verification import tac_columns
from clearing.wire.batch import RECORD_DTYPE, unreadable

_NUMBER: pa.DataType = pa.int64()
PIECES = pa.schema([("first_no", _NUMBER), ("path", pa.string()), ("offset", _NUMBER), ("count", _NUMBER)])
"""A piece: `count` records of 64 bytes from a byte of a file, the first of them tap `first_no` of the night."""
ANSWERED = "no BIGINT, tac_ok BOOLEAN"
"""Columns that go out, in the words of Spark SQL: a row a readable tap whose TAC is wrong."""

AskPieces = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def asking(access: HsmAccess) -> AskPieces:
    """A function that opens a client of its own to the HSMs and asks them about piece after piece.

    It is sent to other machines, and holds nothing but the access. It raises HsmError; OSError for files it cannot
    read; ValueError for a file that ends too soon.
    """

    def ask(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with access.client() as hsm:
            for batch in batches:
                for piece in batch.to_pylist():
                    yield _asked(hsm, **piece)

    return ask


def _asked(hsm: Hsm, *, first_no: int, path: str, offset: int, count: int) -> pa.RecordBatch:
    """Read a piece, and ask about its readable records in bulk."""
    rows = np.fromfile(Path(path), RECORD_DTYPE, count, offset=offset)
    if len(rows) != count:
        raise ValueError(f"{path} has {len(rows)} records from byte {offset} on, and not {count}")
    readable = np.flatnonzero(~unreadable(rows))
    right = hsm.verify_tacs(tac_columns(rows[readable])) if len(readable) else np.zeros(0, np.bool_)
    wrong = first_no + readable[~right]
    columns: list[pa.Array[Any]] = [pa.array(wrong), pa.array(np.zeros(len(wrong), np.bool_))]
    return pa.RecordBatch.from_arrays(columns, ["no", "tac_ok"])

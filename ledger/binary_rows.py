"""Columns as the rows that PostgreSQL's COPY reads in its binary format, made without a step per row.

A row is a count of its fields, then the length and the value of each (PostgreSQL, "COPY", Binary Format). Fields of
one width lie side by side in a matrix of bytes; Arrow joins these matrices and the texts in between.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Octets = NDArray[np.uint8]

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = struct.pack(">h", -1)

_NULL: Final = struct.pack(">i", -1)


class Kind(StrEnum):
    """What a column is to PostgreSQL."""

    INT4 = "int4"
    INT8 = "int8"
    TRUTH = "bool"
    DATE = "date"
    INSTANT = "timestamptz"
    TEXT = "text"
    OCTETS = "bytea"


def binary_rows(columns: Sequence[tuple[Kind, "pa.Array[Any]"]]) -> memoryview:
    """Rows without the signature before and the trailer after them: columns of one length, nulls allowed.

    Whole numbers are any of Arrow's; dates are date32, instants timestamp("us"), the rest strings, bytes, booleans.
    Raises pa.ArrowInvalid where a number does not fit its column.
    """
    count = len(columns[0][1])
    parts = _Parts(count)
    parts.fixed(np.tile(np.frombuffer(struct.pack(">h", len(columns)), np.uint8), (count, 1)))
    for kind, column in columns:
        if kind in (Kind.TEXT, Kind.OCTETS):
            _text(parts, column)
        else:
            fields = _field(_numbers(kind, column))
            if column.null_count:
                parts.ragged(_or_null(_rows(fields, count), column))
            else:
                parts.fixed(fields)
    return parts.joined()


@dataclass(slots=True)
class _Parts:
    """What each row is made of, left to right; neighbours of fixed width are gathered into one."""

    count: int
    done: list[Any] = field(default_factory=list)
    waiting: list[Octets] = field(default_factory=list)

    def fixed(self, matrix: Octets) -> None:
        """Add a row of bytes a row."""
        self.waiting.append(matrix)

    def ragged(self, *texts: Any) -> None:
        """Add bytes of any length a row."""
        self._gather()
        self.done += texts

    def joined(self) -> memoryview:
        """All rows, one after the other."""
        self._gather()
        rows = pc.binary_join_element_wise(*self.done, pa.scalar(b"", pa.large_binary()))
        _, offsets, data = rows.buffers()
        bounds = np.frombuffer(offsets, np.int64, len(rows) + 1, offset=8 * rows.offset)
        return memoryview(data or b"")[bounds[0] : bounds[-1]]

    def _gather(self) -> None:
        if self.waiting:
            self.done.append(_rows(np.concatenate(self.waiting, axis=1), self.count))
            self.waiting = []


def _rows(matrix: Octets, count: int) -> Any:
    """A matrix of bytes as Arrow's binaries of one width."""
    width = matrix.shape[1]
    offsets = pa.py_buffer((np.arange(count + 1, dtype=np.int64) * width).data)
    return pa.Array.from_buffers(
        pa.large_binary(), count, [None, offsets, pa.py_buffer(np.ascontiguousarray(matrix).data)]
    )


def _field(numbers: NDArray[Any]) -> Octets:
    """Numbers as fields: their width in 4 bytes, then their own, big-endian."""
    width = numbers.dtype.itemsize
    matrix = np.empty((len(numbers), 4 + width), np.uint8)
    matrix[:, :4] = np.frombuffer(struct.pack(">i", width), np.uint8)
    matrix[:, 4:] = numbers.astype(numbers.dtype.newbyteorder(">")).view(np.uint8).reshape(-1, width)
    return matrix


def _numbers(kind: Kind, column: Any) -> NDArray[Any]:
    """A column as PostgreSQL counts; 0, or where its counting begins, in place of nulls."""
    numbers = column.cast(_WHOLE[kind]).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(numbers - numbers.dtype.type(_BEGINS.get(kind, 0)))


_WHOLE: Final = {
    Kind.TRUTH: pa.uint8(),
    Kind.DATE: pa.int32(),
    Kind.INT4: pa.int32(),
    Kind.INT8: pa.int64(),
    Kind.INSTANT: pa.int64(),
}
_BEGINS: Final = {Kind.DATE: 10_957, Kind.INSTANT: 10_957 * 86_400 * 1_000_000}
"""2000-01-01, in days and in microseconds since 1970-01-01."""


def _text(parts: _Parts, column: Any) -> None:
    """Texts or bytes: a matrix where all are of one length, else each after its length."""
    column = column.cast(pa.large_binary())
    bounds = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, offset=8 * column.offset)
    lengths = np.diff(bounds)
    if len(column) and not column.null_count and (lengths == lengths[0]).all():
        width = int(lengths[0])
        octets = np.frombuffer(column.buffers()[2] or b"", np.uint8)[bounds[0] : bounds[-1]]
        matrix = np.empty((len(column), 4 + width), np.uint8)
        matrix[:, :4] = np.frombuffer(struct.pack(">i", width), np.uint8)
        matrix[:, 4:] = octets.reshape(len(column), width)
        parts.fixed(matrix)
        return
    prefix = _rows(lengths.astype(">i4").view(np.uint8).reshape(-1, 4), len(column))
    parts.ragged(_or_null(prefix, column), column.fill_null(b""))


def _or_null(fields: Any, column: Any) -> Any:
    if not column.null_count:
        return fields
    return pc.if_else(column.is_valid(), fields, pa.scalar(_NULL, pa.large_binary()))


def stream(batches: Iterable[memoryview]) -> Iterable[bytes | memoryview]:
    """Rows made in any number of pieces as COPY reads them whole."""
    yield SIGNATURE
    yield from batches
    yield TRAILER

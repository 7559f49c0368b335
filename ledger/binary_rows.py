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
    parts = _Parts(len(columns[0][1]))
    parts.row.octets = struct.pack(">h", len(columns))
    for kind, column in columns:
        if kind in (Kind.TEXT, Kind.OCTETS):
            _text(parts, column)
        elif column.null_count:
            fields = _Row()
            fields.add(_numbers(kind, column))
            parts.ragged(_or_null(fields.times(parts.count), column))
        else:
            parts.row.add(_numbers(kind, column))
    return parts.joined()


@dataclass(slots=True)
class _Row:
    """Neighbouring fields of fixed width: one row's octets, and what has to be put where in each row."""

    octets: bytes = b""
    values: list[tuple[int, NDArray[Any]]] = field(default_factory=list)

    def add(self, values: NDArray[Any]) -> None:
        """Add a field of numbers, or of octets of one width, after its width."""
        width = values.dtype.itemsize
        self.octets += struct.pack(">i", width)
        self.values.append((len(self.octets), values))
        self.octets += bytes(width)

    def times(self, count: int) -> Any:
        """So many rows as Arrow's binaries; every value is written once, to its place."""
        width = len(self.octets)
        matrix = np.empty((count, width), np.uint8)
        matrix[:] = np.frombuffer(self.octets, np.uint8)
        for place, values in self.values:
            order = values.dtype.newbyteorder(">")
            np.ndarray((count,), order, matrix.data, place, (width,))[:] = values
        offsets = pa.py_buffer((np.arange(count + 1, dtype=np.int64) * width).data)
        return pa.Array.from_buffers(pa.large_binary(), count, [None, offsets, pa.py_buffer(matrix.data)])


@dataclass(slots=True)
class _Parts:
    """What each row is made of, left to right; neighbours of fixed width are gathered into one."""

    count: int
    done: list[Any] = field(default_factory=list)
    row: _Row = field(default_factory=_Row)

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
        if self.row.octets:
            self.done.append(self.row.times(self.count))
            self.row = _Row()


def _numbers(kind: Kind, column: Any) -> NDArray[Any]:
    """A column as PostgreSQL counts; 0, or where its counting begins, in place of nulls."""
    if column.type != _WHOLE[kind]:
        column = column.cast(_WHOLE[kind])
    if column.null_count:
        column = column.fill_null(0)
    numbers: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    begins = _BEGINS.get(kind)
    return numbers if begins is None else numbers - numbers.dtype.type(begins)


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
    """Texts or bytes: of one width where all are of one length, else each after its length."""
    column = column.cast(pa.large_binary())
    bounds = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, offset=8 * column.offset)
    lengths = np.diff(bounds)
    if len(column) and not column.null_count and lengths[0] and (lengths == lengths[0]).all():
        octets = np.frombuffer(column.buffers()[2] or b"", np.uint8)[bounds[0] : bounds[-1]]
        parts.row.add(octets.view(f"V{lengths[0]}"))
        return
    prefix = _Row(values=[(0, lengths.astype(np.int32))], octets=bytes(4)).times(len(column))
    parts.ragged(_or_null(prefix, column), column.fill_null(b"") if column.null_count else column)


def _or_null(fields: Any, column: Any) -> Any:
    if not column.null_count:
        return fields
    return pc.if_else(column.is_valid(), fields, pa.scalar(_NULL, pa.large_binary()))


def stream(batches: Iterable[memoryview]) -> Iterable[bytes | memoryview]:
    """Rows made in any number of pieces as COPY reads them whole."""
    yield SIGNATURE
    yield from batches
    yield TRAILER

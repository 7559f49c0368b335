"""TACs to verify in bulk, and how they are put before the process that verifies them."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

COLUMN_WIDTHS = (1, 1, 8, 8, 4, 1, 6, 4, 4, 3, 4)
"""Bytes of one value in each column of F0: version, algorithm, issuer, card, amount, type, terminal, terminal
sequence, date, time, TAC."""

ROW_BYTES = sum(COLUMN_WIDTHS)
"""Bytes of one row, over all columns."""

ROWS_BOUND = 300_000
"""Rows of one F0, and what the memory shared with a worker has room for."""

_HEAD = struct.Struct(">IH")
_ROOT = struct.Struct(">BB16s")

Roots = Mapping[tuple[int, int], bytes]
"""The roots of the TAC keys by the version and the algorithm that rows name."""


@dataclass(frozen=True, slots=True)
class BulkWork:
    """The bytes of F0 behind n, and the roots to verify them with."""

    rows: int
    columns: bytes | memoryview = field(repr=False)
    roots: Roots = field(repr=False)

    def head(self) -> bytes:
        """What the worker is told through its pipe, while the columns lie in the memory shared with it."""
        roots = (_ROOT.pack(*slot, root) for slot, root in self.roots.items())
        return _HEAD.pack(self.rows, len(self.roots)) + b"".join(roots)

    @property
    def verdict_bytes(self) -> int:
        """Length of the answer: a bit a row."""
        return -(-self.rows // 8)


def read_head(stream: BinaryIO) -> tuple[int, Roots] | None:
    """The number of rows and the roots of the next work; None at the end of the stream.

    Raises EOFError where it ends in the middle.
    """
    head = stream.read(_HEAD.size)
    if not head:
        return None
    rows, count = _HEAD.unpack(head)
    packed = stream.read(count * _ROOT.size)
    if len(packed) != count * _ROOT.size:
        raise EOFError(f"the head of bulk work of {rows} rows ends after {len(packed)} bytes of roots")
    return rows, {(version, algorithm): root for version, algorithm, root in _ROOT.iter_unpack(packed)}

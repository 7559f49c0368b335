"""TACs to verify in bulk, and how they travel to the process that verifies them."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

ROW_BYTES = 44
"""Bytes of one row, over all columns of F0."""

_HEAD = struct.Struct(">IH")
_ROOT = struct.Struct(">B16s")


@dataclass(frozen=True, slots=True)
class BulkWork:
    """The bytes of F0 behind n, and the roots of the TAC keys by the version that rows name."""

    rows: int
    columns: bytes = field(repr=False)
    roots: Mapping[int, bytes] = field(repr=False)

    def head(self) -> bytes:
        """What goes before the columns: the number of rows and the roots."""
        roots = (_ROOT.pack(version, root) for version, root in self.roots.items())
        return _HEAD.pack(self.rows, len(self.roots)) + b"".join(roots)

    @property
    def verdict_bytes(self) -> int:
        """Length of the answer: a bit a row."""
        return -(-self.rows // 8)

    @classmethod
    def read(cls, stream: BinaryIO) -> "BulkWork | None":
        """Read one head and its columns; None at the end of the stream. Raises EOFError in the middle."""
        head = stream.read(_HEAD.size)
        if not head:
            return None
        rows, roots = _HEAD.unpack(head)
        packed = stream.read(roots * _ROOT.size)
        columns = stream.read(rows * ROW_BYTES)
        if len(columns) != rows * ROW_BYTES:
            raise EOFError(f"bulk work of {rows} rows ends after {len(columns)} bytes")
        return cls(rows, columns, dict(_ROOT.iter_unpack(packed)))

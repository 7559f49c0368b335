"""Taps in columns, as the HSM verifies them in bulk (command F0)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Bytes2D = NDArray[np.uint8]
Verdicts = NDArray[np.bool_]

WIDTHS = {
    "version": 1,
    "algorithm": 1,
    "issuer": 8,
    "card": 8,
    "amount": 4,
    "kind": 1,
    "terminal": 6,
    "terminal_sequence": 4,
    "date": 4,
    "time": 3,
    "tac": 4,
}
"""The columns of F0, in order, with their widths in bytes."""


@dataclass(frozen=True, slots=True)
class TacColumns:
    """Purchases with their TACs: every column a uint8 array of n rows and its width, big-endian.

    Raises ValueError where a column has another type, width or number of rows.
    """

    version: Bytes2D
    algorithm: Bytes2D
    issuer: Bytes2D
    card: Bytes2D
    amount: Bytes2D
    kind: Bytes2D
    terminal: Bytes2D
    terminal_sequence: Bytes2D
    date: Bytes2D
    time: Bytes2D
    tac: Bytes2D

    def __post_init__(self) -> None:
        rows = len(self.version)
        for name, width in WIDTHS.items():
            column = getattr(self, name)
            if column.dtype != np.uint8 or column.shape != (rows, width):
                found = f"{column.dtype} of shape {column.shape}"
                raise ValueError(f"column {name} is {found}: give uint8 of shape ({rows}, {width})")

    def __len__(self) -> int:
        return len(self.version)

    def chunks(self, rows: int) -> Iterator["TacColumns"]:
        """The same in pieces of at most `rows` rows, in order."""
        for start in range(0, len(self), rows):
            yield TacColumns(*(getattr(self, column.name)[start : start + rows] for column in fields(self)))

    def parts(self) -> list[bytes | memoryview]:
        """The fields of F0 in parts: the number of rows, then column after column; only views where they can be."""
        columns = (np.ascontiguousarray(getattr(self, name)).reshape(-1) for name in WIDTHS)
        return [len(self).to_bytes(4, "big"), *(column.data for column in columns)]

    def verdicts(self, raw: bytes) -> Verdicts | None:
        """The answer of F0 for these rows: True where the TAC is right. None where it does not fit."""
        return unpack_verdicts(raw, len(self))

    def joined(self, parts: Iterable[Verdicts]) -> Verdicts:
        """The verdicts of all rows, from those of its `chunks` in order."""
        verdicts = np.zeros(len(self), np.bool_)
        at = 0
        for part in parts:
            verdicts[at : at + len(part)] = part
            at += len(part)
        return verdicts


def unpack_verdicts(raw: bytes, rows: int) -> Verdicts | None:
    """The answer of F0 for `rows` rows: True where the TAC is right. None where it does not fit."""
    if len(raw) != 4 + (rows + 7) // 8 or int.from_bytes(raw[:4], "big") != rows:
        return None
    return np.unpackbits(np.frombuffer(raw, np.uint8, offset=4), count=rows).astype(np.bool_)

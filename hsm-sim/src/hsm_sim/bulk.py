"""Purchase TACs verified by the hundred thousand: columns in, one bit a row out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsm_sim.bulk_work import COLUMN_WIDTHS

Bytes = npt.NDArray[np.uint8]
RowNumbers = npt.NDArray[np.int64]
Verdicts = npt.NDArray[np.bool_]

DES, SM4 = 0, 1
"""The algorithm byte of a row: the international suite or the national one."""


@dataclass(frozen=True, slots=True)
class TacColumns:
    """The columns of `F0`, each n × width: who says what, and the TAC it says it with."""

    version: Bytes
    algorithm: Bytes
    issuer: Bytes
    card: Bytes
    amount: Bytes
    kind: Bytes
    terminal: Bytes
    terminal_sequence: Bytes
    date: Bytes
    time: Bytes
    tac: Bytes

    @classmethod
    def unpack(cls, rows: int, cells: Bytes) -> "TacColumns":
        """Cut the columns out of the bytes of `F0` that follow the number of rows; nothing is copied.

        Raises ValueError where `cells` are not as many as that number of rows has.
        """
        if len(cells) != rows * sum(COLUMN_WIDTHS):
            raise ValueError(f"{len(cells)} bytes are not {rows} rows of {sum(COLUMN_WIDTHS)} bytes")
        ends = np.cumsum([0, *COLUMN_WIDTHS]) * rows
        return cls(
            *(
                cells[start:end].reshape(rows, width)
                for start, end, width in zip(ends[:-1], ends[1:], COLUMN_WIDTHS, strict=True)
            )
        )

    def rows(self, chosen: RowNumbers) -> "TacColumns":
        """The same columns, of some rows only, copied."""
        return TacColumns(*(getattr(self, name)[chosen] for name in self.__slots__))

    def message(self) -> Bytes:
        """What the TACs cover (n × 22): amount, type, terminal, terminal sequence, date, time."""
        return np.concatenate(
            (self.amount, self.kind, self.terminal, self.terminal_sequence, self.date, self.time), axis=1
        )

    def __len__(self) -> int:
        return len(self.version)


Verifier = Callable[[int, Bytes, RowNumbers, Mapping[int, bytes]], Verdicts]
"""Verifies some rows, all of one algorithm: takes the number of all rows, their cells, which rows to look at, and
the root of each key version that these rows name; gives a verdict for each of them."""


def verify_tacs(
    rows: int, cells: Bytes, roots: Mapping[tuple[int, int], bytes], verifiers: Mapping[int, Verifier]
) -> Verdicts:
    """Say of each row whether its TAC is right.

    `cells` are the columns of `F0`. `roots` maps a key version and an algorithm, as rows name them, to the root
    of the TAC keys; `verifiers` maps an algorithm to what verifies it. A row of another version or
    algorithm is not right. Raises ValueError where `cells` are not as many as that number of rows has.
    """
    columns = TacColumns.unpack(rows, cells)
    verdicts = np.zeros(rows, np.bool_)
    for algorithm, verify in verifiers.items():
        own = {version: root for (version, owner), root in roots.items() if owner == algorithm}
        known = np.zeros(256, np.bool_)
        known[list(own)] = True
        chosen = np.flatnonzero((columns.algorithm[:, 0] == algorithm) & known[columns.version[:, 0]])
        if len(chosen):
            verdicts[chosen] = verify(rows, cells, chosen, own)
    return verdicts

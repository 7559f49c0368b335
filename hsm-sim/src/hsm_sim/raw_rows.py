"""The columns of F0 as compiled kernels read them: numbers out of one long array of bytes."""

from typing import Any

import numpy as np
from numba import njit

from hsm_sim.bulk_work import COLUMN_WIDTHS

_WIDTHS = np.array(COLUMN_WIDTHS, np.int64)


@njit
def column_starts(rows: int) -> Any:
    """Where each column begins, where each has so many rows."""
    starts = np.zeros(len(_WIDTHS), np.int64)
    for column in range(1, len(_WIDTHS)):
        starts[column] = starts[column - 1] + rows * _WIDTHS[column - 1]
    return starts


@njit(inline="always")
def big_endian(cells: Any, at: int, width: int) -> Any:
    """The number of `width` bytes that begins at `at`."""
    number = np.uint64(0)
    for byte in range(width):
        # An index without sign cannot mean "from the end", and so many bytes become one load.
        number = number << np.uint64(8) | np.uint64(cells[np.uint64(at + byte)])
    return number


@njit
def read_message(cells: Any, starts: Any, row: int) -> Any:
    """What a row's TAC covers, 22 bytes, and their padding `80 00`, as three numbers of 8 bytes."""
    amount = big_endian(cells, starts[4] + 4 * row, 4)
    kind = big_endian(cells, starts[5] + row, 1)
    terminal = big_endian(cells, starts[6] + 6 * row, 6)
    sequence = big_endian(cells, starts[7] + 4 * row, 4)
    date = big_endian(cells, starts[8] + 4 * row, 4)
    time = big_endian(cells, starts[9] + 3 * row, 3)
    return (
        amount << np.uint64(32) | kind << np.uint64(24) | terminal >> np.uint64(24),
        (terminal & np.uint64(0xFFFFFF)) << np.uint64(40) | sequence << np.uint64(8) | date >> np.uint64(24),
        (date & np.uint64(0xFFFFFF)) << np.uint64(40) | time << np.uint64(16) | np.uint64(0x8000),
    )

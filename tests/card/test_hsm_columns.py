"""Columns for the bulk verification of TACs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from card.hsm.columns import WIDTHS, TacColumns, unpack_verdicts


def made_columns(rows: int) -> TacColumns:
    """Columns whose bytes all differ by row and place."""
    return TacColumns(
        *(
            (np.arange(rows * width, dtype=np.uint32).reshape(rows, width) * 7 + width).astype(np.uint8)
            for width in WIDTHS.values()
        )
    )


@given(st.integers(0, 40))
def test_rows_are_packed_column_after_column(rows: int) -> None:
    columns = made_columns(rows)
    packed = b"".join(columns.parts())
    assert len(packed) == 4 + 44 * rows
    assert int.from_bytes(packed[:4], "big") == rows
    at = 4
    for name, width in WIDTHS.items():
        column = getattr(columns, name)
        for row in range(rows):
            assert packed[at : at + width] == bytes(column[row])
            at += width


@given(st.integers(0, 40), st.integers(1, 15))
def test_chunks_are_the_same_rows_in_order(rows: int, size: int) -> None:
    columns = made_columns(rows)
    chunks = list(columns.chunks(size))
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert sum(len(chunk) for chunk in chunks) == rows
    for name in WIDTHS:
        parts = [getattr(chunk, name) for chunk in chunks]
        if parts:
            assert np.array_equal(np.concatenate(parts), getattr(columns, name))


def test_a_column_cut_out_of_records_need_not_lie_in_one_piece() -> None:
    records = np.arange(64 * 5, dtype=np.uint8).reshape(5, 64)
    starts = np.cumsum([0, *WIDTHS.values()])
    cut = TacColumns(
        *(records[:, at : at + width] for at, width in zip(starts, WIDTHS.values(), strict=False))
    )
    whole = TacColumns(*(np.ascontiguousarray(getattr(cut, name)) for name in WIDTHS))
    assert b"".join(cut.parts()) == b"".join(whole.parts())


@given(st.lists(st.booleans(), max_size=40))
def test_verdicts_are_bits_with_the_first_row_most_significant(right: list[bool]) -> None:
    bits = "".join("1" if one else "0" for one in right).ljust((len(right) + 7) // 8 * 8, "0")
    raw = len(right).to_bytes(4, "big") + bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    verdicts = unpack_verdicts(raw, len(right))
    assert verdicts is not None
    assert verdicts.tolist() == right
    assert unpack_verdicts(raw, len(right) + 1) is None
    assert unpack_verdicts(raw + b"\0", len(right)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, 3), np.uint8),
        np.zeros((2, 4), np.uint8),
        np.zeros((3, 4), np.int64),
        np.zeros(12, np.uint8),
    ],
)
def test_a_column_that_does_not_fit_is_named(wrong: NDArray[Any]) -> None:
    good = {name: np.zeros((3, width), np.uint8) for name, width in WIDTHS.items()}
    with pytest.raises(ValueError, match="column tac"):
        TacColumns(**{**good, "tac": wrong})

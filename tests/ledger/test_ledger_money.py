"""Splitting and writing money."""

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from ledger.money import read_yuan, split_fen, yuan

WEIGHTS = lists(integers(0, 10**6), min_size=1, max_size=8).filter(any)


@given(amount_fen=integers(-(10**15), 10**15), weights=WEIGHTS)
def test_parts_sum_to_the_whole_and_are_within_one_fen_of_their_share(
    amount_fen: int, weights: list[int]
) -> None:
    parts = split_fen(amount_fen, weights)
    assert sum(parts) == amount_fen
    total = sum(weights)
    assert all(
        abs(part * total - amount_fen * weight) < total for part, weight in zip(parts, weights, strict=True)
    )


@given(amount_fen=integers(0, 10**9), weights=WEIGHTS)
def test_a_refund_is_split_as_its_payment_was(amount_fen: int, weights: list[int]) -> None:
    assert split_fen(-amount_fen, weights) == [-part for part in split_fen(amount_fen, weights)]


def test_what_is_left_over_goes_to_the_earlier_part_among_equals() -> None:
    assert split_fen(100, [1, 1, 1]) == [34, 33, 33]


@pytest.mark.parametrize("weights", [[], [0, 0], [2, -1]])
def test_weights_that_cannot_share_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match=r"weights|empty"):
        split_fen(1, weights)


@pytest.mark.parametrize(
    ("amount_fen", "text"), [(123456, "1,234.56"), (-5, "-0.05"), (0, "0.00"), (100, "1.00")]
)
def test_fen_are_written_as_yuan(amount_fen: int, text: str) -> None:
    assert yuan(amount_fen) == text


@given(amount_fen=integers(0, 10**12 - 1))
def test_yuan_as_written_read_back_to_the_fen(amount_fen: int) -> None:
    assert read_yuan(yuan(amount_fen)) == read_yuan(f" ¥ {yuan(amount_fen)} ") == amount_fen


@pytest.mark.parametrize(
    ("text", "amount_fen"),
    [("50", 5_000), ("50.5", 5_050), ("0.01", 1), ("1,000", 100_000), ("", None), ("-1", None), ("1.234", None),
     ("1e3", None), ("٣", None), (".5", None), ("12345678901", None)],
)  # fmt: skip
def test_an_amount_that_people_write_is_read_or_refused(text: str, amount_fen: int | None) -> None:
    assert read_yuan(text) == amount_fen

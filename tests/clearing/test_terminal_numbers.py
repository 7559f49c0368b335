"""Numbers of terminals over columns, against sets; and counters that wrap, start anew, or run by a wrong clock."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.open_gaps import CYCLE, own_number
from clearing.terminal_numbers import (
    MOST_MISSING,
    NO_DAY,
    NOTHING,
    Counted,
    Known,
    Numbered,
    count,
)

Tap = tuple[int, int, int]
"""Terminal, its own number, seconds."""


def night(taps: Iterable[Tap], known: Known = NOTHING, day: int = 100, *, sure: bool = True) -> Counted:
    rows = np.array(list(taps), np.int64).reshape(-1, 3)
    columns = (rows[:, 0], rows[:, 1], rows[:, 2])
    return count(Numbered(*columns, np.full(len(rows), sure)), known, day)


def runs_of(known: Known) -> list[tuple[int, int, int, int]]:
    """Terminal, life, first and last number of every run."""
    lives, runs = known.lives, known.runs
    columns = (lives.terminal[runs.life], lives.number[runs.life], runs.first, runs.last)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def missing_since(known: Known) -> dict[tuple[int, int], int]:
    """The day on which each (terminal, number counted on) was noticed missing."""
    runs = known.runs
    return {
        (int(known.lives.terminal[runs.life[row]]), number): int(runs.gap_day[row])
        for row in np.flatnonzero(runs.gap_day != NO_DAY)
        for number in range(int(runs.last[row - 1]) + 1, int(runs.first[row]))
    }


@given(
    nights=st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), max_size=25), max_size=5),
    begin=st.sampled_from([1, 70_000, CYCLE - 20]),
)
def test_what_is_missing_agrees_with_sets_however_late_taps_come(
    nights: list[list[tuple[int, int]]], begin: int
) -> None:
    """A tap's instant is its place in the counter's life: late ones come late, and are as old as they are."""
    known, seen, since = (
        NOTHING,
        {terminal: set[int]() for terminal in range(3)},
        dict[tuple[int, int], int](),
    )
    for day, given_taps in enumerate(nights):
        for terminal, place in given_taps:
            seen[terminal].add(begin + place)
        holes = {
            (terminal, number)
            for terminal, numbers in seen.items()
            if numbers
            for number in range(min(numbers), max(numbers))
            if number not in numbers
        }
        found = night(
            [(terminal, (begin + place - 1) % CYCLE + 1, place) for terminal, place in given_taps], known, day
        )
        assert (found.restarted, found.unplaced) == (0, 0)
        assert (found.noticed, found.closed) == (len(holes - since.keys()), len(since.keys() - holes))
        since = {hole: since.get(hole, day) for hole in holes}
        known = found.known
        bases = {terminal: _base(known, terminal, numbers) for terminal, numbers in seen.items() if numbers}
        assert missing_since(known) == {
            (terminal, number - bases[terminal]): day for (terminal, number), day in since.items()
        }
        assert int(known.runs.missing.sum()) == len(holes)


def _base(known: Known, terminal: int, numbers: set[int]) -> int:
    """How far the counting on differs from the test's own, which knows where the counter began."""
    row = int(np.flatnonzero(known.lives.terminal[known.runs.life] == terminal)[0])
    first = int(known.runs.first[row])
    assert int(own_number(np.array([first]))[0]) == (min(numbers) - 1) % CYCLE + 1
    return min(numbers) - first


@given(st.permutations([(0, n, 10 * n) for n in (1, 2, 5, 6, 9)] + [(1, n, 10 * n) for n in (7, 8, 10)]))
def test_the_order_of_taps_makes_no_difference(taps: list[Tap]) -> None:
    found = night(taps)
    assert runs_of(found.known) == [(0, 1, 1, 2), (0, 1, 5, 6), (0, 1, 9, 9), (1, 1, 7, 8), (1, 1, 10, 10)]
    again = night(taps, found.known)
    assert (runs_of(again.known), again.noticed, again.closed) == (runs_of(found.known), 0, 0)


def test_a_part_of_a_gap_keeps_the_day_on_which_the_whole_was_noticed() -> None:
    first = night([(0, 1, 10), (0, 10, 100)], day=100)
    second = night([(0, 5, 50), (0, 12, 120)], first.known, day=103)
    expected = dict.fromkeys((2, 3, 4, 6, 7, 8, 9), 100) | {11: 103}
    assert missing_since(second.known) == {(0, number): day for number, day in expected.items()}
    assert (second.noticed, second.closed) == (1, 1)


def test_a_counter_wraps_to_one_and_nothing_is_missed_between() -> None:
    before = night([(0, CYCLE - 1, 10), (0, CYCLE, 20)])
    after = night([(0, 2, 40)], before.known)
    assert (after.restarted, after.noticed) == (0, 1), "1 never came"
    (row,) = np.flatnonzero(after.known.runs.gap_day != NO_DAY)
    assert own_number(after.known.runs.first[[row]] - 1).tolist() == [1]
    assert night([(0, 1, 30)], after.known).closed == 1


REPLACED = (
    ([(0, 1, 2_000), (0, 2, 2_010), (0, 4, 2_020)], "below the first"),
    ([(0, 501, 2_000), (0, 502, 2_010), (0, 504, 2_020)], "came before"),
    ([(0, 9_000_000, 2_000), (0, 9_000_001, 2_010), (0, 9_000_003, 2_020)], "far ahead"),
)


@pytest.mark.parametrize(("taps", "_why"), REPLACED)
def test_a_replaced_counter_starts_a_new_life_and_asks_for_nothing_between(
    taps: list[Tap], _why: str
) -> None:
    before = night([(0, number, number) for number in range(500, 510) if number != 505]).known
    after = night(taps, before)
    first = taps[0][1]
    assert (after.restarted, after.noticed) == (1, 1), "the third number of the new life"
    assert runs_of(after.known)[2:] == [(0, 2, first, first + 1), (0, 2, first + 3, first + 3)]
    late = night([(0, 505, 505), (0, first + 2, 2_015)], after.known)
    assert (late.closed, late.restarted) == (2, 0), "each life gets its own missing tap"
    assert runs_of(late.known) == [(0, 1, 500, 509), (0, 2, first, first + 3)]


def test_a_clock_a_day_ahead_and_put_right_is_no_new_counter() -> None:
    day_s = 86_400
    before = night([(0, number, number) for number in range(1, 6)]).known
    ahead = night([(0, number, number + day_s) for number in range(6, 9)], before).known
    righted = night([(0, number, number) for number in range(9, 12)], ahead)
    assert (righted.restarted, righted.noticed) == (0, 0)
    assert runs_of(righted.known) == [(0, 1, 1, 11)]


def test_a_number_whose_signature_fails_fills_a_gap_but_moves_nothing() -> None:
    known = night([(0, 1, 10), (0, 4, 40)]).known
    forged = night([(0, 2, 20), (0, 5, 50), (0, 4_000_000_000, 60)], known, sure=False)
    assert (forged.closed, forged.noticed, forged.restarted, forged.unplaced) == (1, 0, 0, 2)
    assert runs_of(forged.known) == [(0, 1, 1, 2), (0, 1, 4, 4)]
    assert night([(7, 3, 10)], sure=False).unplaced == 1, "of a terminal never heard before"


def test_a_terminal_that_does_not_count_costs_one_life_a_night() -> None:
    first = night([(0, 1, second) for second in range(50)])
    assert (first.restarted, runs_of(first.known)) == (1, [(0, 1, 1, 1), (0, 2, 1, 1)])
    second = night([(0, 1, second) for second in range(100, 150)], first.known)
    assert (second.restarted, second.noticed) == (1, 0)


def test_a_late_tap_too_far_off_is_left_out_rather_than_making_a_huge_gap() -> None:
    known = night([(0, 2 * MOST_MISSING, 1_000)]).known
    found = night([(0, 5, 10)], known)
    assert (found.unplaced, found.noticed, runs_of(found.known)) == (1, 0, runs_of(known))

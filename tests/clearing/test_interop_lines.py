"""Lines of results held against what was handed over: as a slow and obvious reference does it, line by line."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clearing.interop.lines import NO_ANSWER, Judged, Lines, Odd, judge_lines
from clearing.wire.result_code import ResultCode

Row = tuple[int, int, int, int]
"""File, place, amount, code."""
LINES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 2), st.sampled_from([0, 4, 10, 11, 255])),
    max_size=12,
)
HANDED = st.dictionaries(
    st.tuples(st.integers(1, 2), st.integers(0, 2)),
    st.tuples(st.integers(0, 2), st.sampled_from([NO_ANSWER, 0, 4])),
)


def columns(rows: Sequence[Row]) -> Lines:
    return Lines(*(np.array([row[n] for row in rows], np.int64) for n in range(4)))


def reference(rows: Sequence[Row], handed: dict[tuple[int, int], tuple[int, int]]) -> list[tuple[str, bool]]:
    """Why each line is odd, or nothing; and whether it only says again what the tap was answered with."""
    told = {place: code for place, (_, code) in handed.items() if code != NO_ANSWER}
    answering: set[int] = set()
    for at, (number, place, amount_fen, code) in enumerate(rows):
        tap = handed.get((number, place))
        if code in set(ResultCode) and tap and tap[0] == amount_fen and (number, place) not in told:
            told[number, place] = code
            answering.add(at)
    found: list[tuple[str, bool]] = []
    for at, (number, place, amount_fen, code) in enumerate(rows):
        if code not in set(ResultCode):
            found.append((Odd.CODE_UNKNOWN, False))
        elif (number, place) not in handed:
            found.append((Odd.TAP_UNKNOWN, False))
        elif at in answering:
            found.append(("", False))
        elif (number, place) in told:
            found.append((Odd.ANSWERED, told[number, place] == code))
        else:
            assert handed[number, place][0] != amount_fen
            found.append((Odd.AMOUNT_DIFFERS, False))
    return found


def words(judged: Judged) -> list[tuple[str, bool]]:
    names = {NO_ANSWER: "", **{place: one.value for place, one in enumerate(Odd)}}
    return [
        (names[odd], again) for odd, again in zip(judged.odd.tolist(), judged.again.tolist(), strict=True)
    ]


@given(rows=LINES, handed=HANDED)
def test_lines_are_judged_as_the_reference_does(
    rows: list[Row], handed: dict[tuple[int, int], tuple[int, int]]
) -> None:
    known = [(*place, *rest) for place, rest in handed.items()]
    assert words(judge_lines(columns(rows), columns(known))) == reference(rows, handed)


@given(rows=LINES, handed=HANDED)
def test_no_tap_is_answered_twice_and_none_that_was_answered_before(
    rows: list[Row], handed: dict[tuple[int, int], tuple[int, int]]
) -> None:
    known = [(*place, *rest) for place, rest in handed.items()]
    judged = judge_lines(columns(rows), columns(known))
    answered = [row[:2] for row, fits in zip(rows, judged.answers.tolist(), strict=True) if fits]
    assert len(set(answered)) == len(answered)
    assert all(handed[place][1] == NO_ANSWER for place in answered)

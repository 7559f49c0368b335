"""What a centre answers over HTTP: days that read so, and whatever else comes is no answer."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.interop.http_centre import HttpCentre, read_day
from clearing.interop.peer import NoAnswer, Offered
from clearing.interop.reconciliation import compare

DAY = date(2018, 9, 1)
LINES = st.dictionaries(st.tuples(st.integers(1, 9), st.integers(0, 9)), st.integers(0, 1_000), max_size=6)


def side(lines: list[list[int]], **changes: object) -> dict[str, Any]:
    return {"count": len(lines), "amount_fen": sum(line[2] for line in lines), "lines": lines} | changes


def told(**changes: object) -> bytes:
    whole: dict[str, Any] = {
        "business_date": str(DAY),
        "your_presentments": side([[1, 0, 160]]),
        "our_presentments": side([]),
    }
    return json.dumps(whole | changes).encode()


@given(theirs=LINES, ours=LINES)
def test_a_day_reads_as_it_was_told_and_agrees_with_itself(
    theirs: dict[tuple[int, int], int], ours: dict[tuple[int, int], int]
) -> None:
    sides = [side([[*place, fen] for place, fen in one.items()]) for one in (theirs, ours)]
    day = read_day(DAY, told(your_presentments=sides[0], our_presentments=sides[1]))
    assert (day.theirs, day.ours) == (theirs, ours)
    assert compare(day, day).agrees


@given(theirs=LINES, ours=LINES)
def test_every_tap_that_differs_is_a_difference_and_no_other(
    theirs: dict[tuple[int, int], int], ours: dict[tuple[int, int], int]
) -> None:
    days = [read_day(DAY, told(your_presentments=side([[*place, fen] for place, fen in one.items()])))
            for one in (ours, theirs)]  # fmt: skip
    found = {one.reference: (one.ours_fen, one.theirs_fen) for one in compare(*days).differences}
    places = {place for place in ours | theirs if ours.get(place) != theirs.get(place)}
    assert found == {f"here:{n}:{p}": (ours.get((n, p)), theirs.get((n, p))) for n, p in places}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>", "not JSON"),
        (b"[1]", "not a JSON object"),
        (told(business_date="2018-09-02"), "not the one that was asked for"),
        (told(our_presentments=None), "our_presentments of the centre's day is missing"),
        (told(our_presentments=side([[1, 0, -5]])), "not possible"),
        (told(our_presentments={"count": 1, "amount_fen": 0, "lines": [[1, 0]]}), "three whole numbers"),
        (told(our_presentments=side([[1, 0, 5], [1, 0, 5]])), "twice"),
        (told(your_presentments=side([[1, 0, 160]], count=2)), "not those of its lines"),
        (told(your_presentments=side([[1, 0, 160]], amount_fen=161)), "not those of its lines"),
        (told(your_presentments=side([[1, 0, True]])), "three whole numbers"),
    ],
)
def test_a_day_that_does_not_read_is_no_answer(content: bytes, said: str) -> None:
    with pytest.raises(NoAnswer, match=said):
        read_day(DAY, content)


@given(content=st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
    lambda one: json.dumps({"business_date": str(DAY), "your_presentments": one}).encode()))  # fmt: skip
def test_whatever_a_centre_tells_only_no_answer_comes_out(content: bytes) -> None:
    with pytest.raises(NoAnswer) as silence:
        read_day(DAY, content)
    assert str(silence.value)


def test_a_centre_that_nobody_is_at_home_of_is_silent() -> None:
    with HttpCentre("http://127.0.0.1:1", timeout_s=0.5) as client:
        with pytest.raises(NoAnswer, match="ConnectError"):
            client.file(Offered.RESULTS, 1)
        with pytest.raises(NoAnswer, match="ConnectError"):
            client.send("KUNMING-00000001.ocp", b"bytes")

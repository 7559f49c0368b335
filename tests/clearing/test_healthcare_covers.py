"""The authority's list of who is insured how: read strictly, entered for who is enrolled, each day with one cover."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from clearing.sectors.healthcare.cover_file import CoverLine, read_cover_file, write_cover_file
from clearing.sectors.healthcare.covering import Covered, enter_covers
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.registers import Cover, category_on, covers_of
from clearing.sectors.socialsecurity.sheet import Flawed
from ledger.db import writing
from tests.support.sector_city import identity

AT = datetime(2026, 3, 1, tzinfo=UTC)
BEGIN = date(2026, 1, 1)
PEOPLE = [identity(number) for number in range(1, 5)]
STRANGER = identity(9)
LINE = CoverLine(3, PEOPLE[0], Category.EMPLOYEE, BEGIN)


class Enrolled:
    """Holders by identity number."""

    def holders(self, _conn: Connection, identity_nos: Sequence[str]) -> Mapping[str, str]:
        return {number: f"H{PEOPLE.index(number)}" for number in identity_nos if number in PEOPLE}


days = st.integers(0, 40).map(lambda count: BEGIN + timedelta(days=count))


@st.composite
def lists(draw: st.DrawFn) -> tuple[CoverLine, ...]:
    """A list as an authority sends it: a line a person."""
    whose = draw(st.lists(st.sampled_from([*PEOPLE, STRANGER]), min_size=1, unique=True))
    lines = []
    for place, number in enumerate(whose, 3):
        begin, length = draw(days), draw(st.none() | st.integers(0, 20))
        end = None if length is None else begin + timedelta(days=length)
        lines.append(CoverLine(place, number, draw(st.sampled_from(Category)), begin, end))
    return tuple(lines)


@given(lines=lists())
def test_a_list_is_read_as_it_was_written(lines: tuple[CoverLine, ...]) -> None:
    assert read_cover_file(write_cover_file(lines)) == lines


@given(data=st.binary(max_size=200), at=st.integers(0, 200))
def test_no_bytes_are_more_than_a_flaw(data: bytes, at: int) -> None:
    whole = write_cover_file([LINE])
    for offered in (data, whole[:at] + data, whole[: at % len(whole)] + data + whole[at % len(whole) :]):
        found = read_cover_file(offered)
        assert isinstance(found, Flawed) or found


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        (("2026-01-01", "2026-02-30"), "valid_from", "give a day such as"),
        (("2026-01-01", "1.1.2026"), "valid_from", "give a day such as"),
        (("2026-01-01,", "2026-01-01,2025-12-31"), "valid_to", "give 2026-01-01 or a later day"),
        (("employee", "student"), "category", "give one of employee, resident, retired"),
        ((PEOPLE[0], PEOPLE[0][:-1] + "Z"), "identity_no", "GB 11643"),
        (("cover-list,1,1", "cover-list,1,2"), "lines", "send it whole"),
    ],
)
def test_a_flaw_is_named_and_no_identity_is_shown(change: tuple[str, str], field: str, why: str) -> None:
    old, new = change
    found = read_cover_file(write_cover_file([LINE]).replace(old.encode(), new.encode()))
    assert isinstance(found, Flawed)
    (flaw,) = found.flaws
    assert flaw.field == field and why in flaw.message and PEOPLE[0][:10] not in flaw.message


def entered(conn: Connection, *lines: CoverLine) -> Covered:
    return enter_covers(conn, Enrolled(), lines, at=AT)


def test_a_new_period_ends_the_open_one_and_a_line_with_an_end_ends_its_own(engine: Engine) -> None:
    later = CoverLine(3, PEOPLE[0], Category.RETIRED, date(2026, 6, 1))
    with writing(engine) as conn:
        assert entered(conn, LINE) == Covered(1, 0, (), ())
        assert entered(conn, later) == Covered(1, 1, (), ())
        assert entered(conn, later) == Covered(0, 0, (), ())
        assert covers_of(conn, ["H0"])["H0"] == [
            Cover("H0", Category.EMPLOYEE, BEGIN, date(2026, 5, 31)),
            Cover("H0", Category.RETIRED, date(2026, 6, 1)),
        ]
        ended = CoverLine(3, PEOPLE[0], Category.RETIRED, date(2026, 6, 1), date(2026, 7, 1))
        assert entered(conn, ended) == Covered(0, 1, (), ())
        assert category_on(conn, "H0", date(2026, 7, 1)) is Category.RETIRED
        assert category_on(conn, "H0", date(2026, 7, 2)) is None


def test_who_is_not_enrolled_and_what_clashes_is_told_and_left_out(engine: Engine) -> None:
    stranger = CoverLine(4, STRANGER, Category.RESIDENT, BEGIN)
    clash = CoverLine(3, PEOPLE[0], Category.RETIRED, BEGIN - timedelta(days=5))
    with writing(engine) as conn:
        assert entered(conn, LINE, stranger).strangers == (stranger,)
        done = entered(conn, clash, CoverLine(4, PEOPLE[1], Category.RESIDENT, BEGIN))
        assert (done.new, done.clashing) == (1, ((clash, Cover("H0", Category.EMPLOYEE, BEGIN)),))
        assert covers_of(conn, ["H0"]) == {"H0": [Cover("H0", Category.EMPLOYEE, BEGIN)]}


def test_whatever_lists_come_a_day_has_at_most_one_cover_and_the_newest_word_holds(engine: Engine) -> None:
    @given(sent=st.lists(lists(), max_size=5))
    @settings(max_examples=40)
    def one_cover_a_day(sent: list[tuple[CoverLine, ...]]) -> None:
        with engine.connect() as conn:
            for lines in sent:
                done = entered(conn, *lines)
                out = {line.line for line, _ in done.clashing} | {line.line for line in done.strangers}
                for line in lines:
                    if line.line not in out:
                        holder = f"H{PEOPLE.index(line.identity_no)}"
                        assert category_on(conn, holder, line.valid_from) is line.category
                assert entered(conn, *(line for line in lines if line.line not in out)) == Covered(
                    0, 0, (), ()
                )
            for ours in covers_of(conn, [f"H{place}" for place in range(len(PEOPLE))]).values():
                assert not any(one.overlaps(other) for one in ours for other in ours if one is not other)
            conn.rollback()

    one_cover_a_day()

"""A walk along an account's lines may end where nothing more is wanted of it: by number, or by an instant."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import BigInteger, ColumnElement, Subquery, literal, select

from city.home import CITY_ZONE
from ledger.db import Instant, reading
from ledger.history import booked_above, happened_by, walks
from ledger.ids import before_first
from ledger.tables import account
from tests.ledger.some_books import DAY, Books, numbered

PURSES = account.c.segment == "purse"


def floors(line_id: ColumnElement[int]) -> Subquery:
    """The same floor for every purse but the second, of which nothing is wanted."""
    wanted = account.c.code == "purse:1"
    return select(account.c.id.label("account_id"), line_id.label("line_id")).where(wanted).subquery()


@pytest.mark.parametrize("newest_left_out", [0, 1, 2, 3, 4])
def test_a_walk_ends_at_its_floor_and_leaves_out_whom_none_names(books: Books, newest_left_out: int) -> None:
    books.post(books.load("1", 100), books.load("2", 100))
    books.post(*(books.tap(card, 10, f"{card}-{turn}") for turn in range(2) for card in ("1", "2")))
    lines = [numbered(place) for place in (1, 3, 5)]
    floor = [0, *lines, lines[-1] + 1][newest_left_out]
    with reading(books.engine) as conn:
        walk = walks(PURSES, floors=floors(literal(floor, BigInteger)))
        names = dict(conn.execute(select(account.c.id, account.c.code)).all())
        found = [
            (names[own], line_id) for own, line_id in conn.execute(select(walk.c.account_id, walk.c.line_id))
        ]
    assert sorted(found) == [("purse:1", line_id) for line_id in lines if line_id > floor]


def test_without_floors_a_walk_has_all_lines_and_nothing_else(books: Books) -> None:
    books.post(books.load("1", 100), books.tap("1", 10, "ride"))
    with reading(books.engine) as conn:
        walk = walks(PURSES)
        assert sorted(conn.scalars(select(walk.c.line_id))) == [numbered(1), numbered(2)]


@pytest.mark.parametrize(
    "at",
    [
        datetime(2018, 9, 3, tzinfo=UTC),
        datetime(2018, 9, 3, tzinfo=UTC) - timedelta(microseconds=1),
        datetime(2018, 9, 3, 0, 30, tzinfo=CITY_ZONE),
        datetime(2018, 10, 2, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2020, 3, 1, 12, tzinfo=UTC),
        datetime(2019, 1, 1, 7, 59, tzinfo=CITY_ZONE),
    ],
)
def test_lines_above_the_number_of_an_instant_are_of_days_that_need_not_be_over(
    books: Books, at: datetime
) -> None:
    with reading(books.engine) as conn:
        above = conn.scalars(select(booked_above(books.engine.dialect.name, literal(at, Instant())))).one()
    around: list[date] = [at.date() + timedelta(days=days) for days in range(-5, 4)]
    assert [before_first(day) >= above for day in around] == [happened_by(day) > at for day in around]
    assert before_first(DAY - timedelta(days=400)) < above

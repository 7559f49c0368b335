"""Business days go from open to closing to closed, in the order of the calendar."""

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.day import (
    DayOrderError,
    DayState,
    begin_close,
    current_day,
    day_state,
    finish_close,
    open_day,
)
from ledger.db import reading, writing
from tests.ledger.some_books import AT, DAY, Books

NEXT_DAY = DAY + timedelta(days=1)


def test_without_a_day_there_is_none_to_book_on(engine: Engine) -> None:
    with reading(engine) as conn:
        assert day_state(conn, DAY) is None
        with pytest.raises(DayOrderError, match="open one first"):
            current_day(conn)


def test_a_day_goes_from_open_to_closing_to_closed_and_each_step_may_be_repeated(books: Books) -> None:
    later = AT + timedelta(hours=1)
    with writing(books.engine) as conn:
        open_day(conn, DAY, at=later)
        assert (day_state(conn, DAY), current_day(conn)) == (DayState.OPEN, DAY)
        for _ in range(2):
            assert begin_close(conn, DAY, at=AT) == NEXT_DAY
            assert (day_state(conn, DAY), current_day(conn)) == (DayState.CLOSING, NEXT_DAY)
        for _ in range(2):
            finish_close(conn, DAY, at=AT)
            assert day_state(conn, DAY) is DayState.CLOSED
        assert begin_close(conn, DAY, at=AT) == NEXT_DAY
        assert day_state(conn, DAY) is DayState.CLOSED


def test_no_day_is_opened_beside_an_open_one_and_none_backwards(books: Books) -> None:
    with writing(books.engine) as conn:
        with pytest.raises(DayOrderError, match="2018-09-01 is open; begin its close, which opens the next"):
            open_day(conn, date(2018, 9, 8), at=AT)
        with pytest.raises(DayOrderError, match="2018-09-01, the newest day; open a later day"):
            open_day(conn, date(2018, 8, 31), at=AT)
        assert current_day(conn) == DAY
        assert begin_close(conn, DAY, at=AT) == NEXT_DAY
        with pytest.raises(DayOrderError, match="2018-09-02 is open"):
            open_day(conn, date(2018, 9, 8), at=AT)


def test_a_day_closes_only_in_its_turn(books: Books) -> None:
    with writing(books.engine) as conn:
        with pytest.raises(DayOrderError, match="still open; begin its close"):
            finish_close(conn, DAY, at=AT)
        with pytest.raises(DayOrderError, match="never opened"):
            begin_close(conn, NEXT_DAY, at=AT)
        begin_close(conn, DAY, at=AT)
        # Two days take entries at most: the next one cannot be cut off before this one is closed.
        with pytest.raises(DayOrderError, match="2018-09-01 is not closed yet; close it before 2018-09-02"):
            begin_close(conn, NEXT_DAY, at=AT)
        finish_close(conn, DAY, at=AT)
        assert begin_close(conn, NEXT_DAY, at=AT) == NEXT_DAY + timedelta(days=1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_day SET state = 'open'",
        "UPDATE ledger_day SET state = 'closing'",
        "UPDATE ledger_day SET business_date = '2019-01-01'",
        "DELETE FROM ledger_day",
    ],
)
def test_the_database_lets_no_day_go_back(books: Books, statement: str) -> None:
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
    with pytest.raises(DBAPIError, match=r"a day only goes on|keeps its rows"), writing(books.engine) as conn:
        conn.execute(text(statement + " WHERE business_date = '2018-09-01'"))


def test_the_database_lets_no_day_be_skipped_to_its_end(books: Books) -> None:
    with pytest.raises(DBAPIError, match="a day only goes on"), writing(books.engine) as conn:
        conn.execute(text("UPDATE ledger_day SET state = 'closed'"))

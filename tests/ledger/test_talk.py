"""Talking to PostgreSQL: what is said is heard in its order, and errors and lost connections come as SQLAlchemy's."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from ledger.talk import keep_plans, talking
from tests.ledger.some_books import AT, Books

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def test_each_statement_has_its_own_rows_in_the_order_said(books: Books) -> None:
    with books.engine.begin() as conn, talking(conn) as talk:
        for number in range(3):
            talk.say("SELECT CAST($1 AS bigint) + n FROM generate_series(1, 2) n", (str(10 * number),))
        talk.send()
        assert talk.hear(1) == [[(1,), (2,)]]
        talk.say("SELECT CAST($1 AS timestamptz)", (AT,))
        talk.say("SELECT CAST($1 AS text)", (None,))
        assert talk.hear_all() == [[(11,), (12,)], [(21,), (22,)], [(AT,)], [(None,)]]
        assert talk.hear_all() == []


def test_what_was_not_sent_is_sent_when_it_is_to_be_heard(books: Books) -> None:
    with books.engine.begin() as conn, talking(conn) as talk:
        talk.say("SELECT 1")
        talk.say("SELECT 2")
        assert talk.hear(1) == [[(1,)]]
        assert talk.hear(1) == [[(2,)]]


def test_megabytes_go_both_ways_before_anything_is_heard(books: Books) -> None:
    long = "x" * 1_000_000
    with books.engine.begin() as conn, talking(conn) as talk:
        for _ in range(8):
            talk.say("SELECT CAST($1 AS text)", (long,))
        talk.send()
        assert [rows[0][0] == long for rows in talk.hear_all()] == [True] * 8


def test_an_error_is_raised_once_and_the_connection_can_be_used_after_a_rollback(books: Books) -> None:
    with books.engine.connect() as conn:
        keep_plans(conn)
        with pytest.raises(IntegrityError, match="a_check"), conn.begin(), talking(conn) as talk:
            talk.say(
                "CREATE TEMPORARY TABLE tried (n integer CONSTRAINT a_check CHECK (n < 2)) ON COMMIT DROP"
            )
            for number in (1, 2, 3):
                talk.say("INSERT INTO tried VALUES ($1)", (str(number),))
        with conn.begin():
            assert conn.execute(text("SELECT 1")).scalar_one() == 1
            with talking(conn) as talk:
                talk.say("SELECT 2")
                assert talk.hear_all() == [[(2,)]]


def test_what_was_raised_in_between_leaves_the_connection_usable(books: Books) -> None:
    with books.engine.begin() as conn:
        with pytest.raises(ZeroDivisionError), talking(conn) as talk:
            talk.say("SELECT 1")
            talk.send()
            raise ZeroDivisionError
        assert conn.execute(text("SELECT 3")).scalar_one() == 3


def test_what_was_planned_is_planned_again_after_a_savepoint_is_rolled_back(books: Books) -> None:
    words = "SELECT CAST($1 AS integer) * 2"
    with books.engine.begin() as conn:
        keep_plans(conn)
        for turn in range(8):
            conn.execute(text("SELECT CAST(:turn AS integer)"), {"turn": turn})  # so that psycopg prepares it
            savepoint = conn.begin_nested()
            with talking(conn) as talk:
                talk.say(words, (str(turn),))
            savepoint.rollback()
            with talking(conn) as talk:
                talk.say(words, (str(turn),))
                assert talk.hear_all() == [[(2 * turn,)]]


def test_a_statement_is_planned_once_where_plans_are_kept(books: Books) -> None:
    with books.engine.begin() as conn:
        keep_plans(conn)
        for _ in range(3):
            with talking(conn) as talk:
                talk.say("SELECT 4")
        planned = text("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 4'")
        assert conn.execute(planned).scalar_one() == 1


def test_a_connection_that_is_lost_is_known_to_be(books: Books) -> None:
    with books.engine.connect() as conn:
        with pytest.raises(DBAPIError) as raised, talking(conn) as talk:
            talk.say("SELECT pg_terminate_backend(pg_backend_pid())")
            talk.say("SELECT 5")
        assert raised.value.connection_invalidated


def test_an_instant_without_a_time_zone_is_not_said(books: Books) -> None:
    with (
        books.engine.begin() as conn,
        pytest.raises(ValueError, match="has no time zone"),
        talking(conn) as talk,
    ):
        talk.say("SELECT CAST($1 AS timestamptz)", (AT.replace(tzinfo=None),))

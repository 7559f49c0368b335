"""Whoever writes the books for long keeps nobody waiting who only looks, and for what is its own none who posts."""

import pytest
from sqlalchemy import Connection, Engine, inspect, text

from ledger.checks import check_books
from ledger.db import make_engine, migrate, reading, writing
from ledger.post import post
from tests.ledger.some_books import AT, Books, answers


def test_books_that_are_up_to_date_are_opened_and_read_under_a_long_writer(
    engine: Engine, database_url: str
) -> None:
    other = make_engine(database_url)
    with writing(engine):
        # Were the writer's lock asked for, this would wait for ever: the writer ends only after it.
        with other.connect().execution_options(onecard_reading=True) as conn:
            if other.dialect.name == "sqlite":
                conn.execute(text("PRAGMA busy_timeout=0"))
        migrate(other)
        with reading(other) as conn:
            assert conn.execute(text("SELECT count(*) FROM ledger_day")).scalar_one() == 0
    other.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_others_post_while_a_writer_brings_what_concerns_it_alone(books: Books) -> None:
    def bring(conn: Connection) -> None:
        # Had it the writer's lock already, this would wait for ever.
        conn.execute(text("CREATE TABLE brought (what text)"))
        assert answers(books.post(books.load("1", 7))) == ["posted"]

    with writing(books.engine, before=bring) as conn:
        assert answers(post(conn, [books.tap("1", 7, "after")], at=AT)) == ["posted"]
    with reading(books.engine) as conn:
        assert conn.execute(text("SELECT count(*) FROM brought")).scalar_one() == 0
        assert check_books(conn) == []


def test_what_a_writer_brought_goes_with_what_it_could_not_write(books: Books) -> None:
    def bring(conn: Connection) -> None:
        conn.execute(text("CREATE TABLE brought (what varchar(1))"))

    with pytest.raises(LookupError, match="refused"), writing(books.engine, before=bring):
        raise LookupError("refused")
    with reading(books.engine) as conn:
        assert not inspect(conn).has_table("brought")

"""Whoever writes the books for long keeps nobody waiting who only looks, and brings what is its own meanwhile."""

from contextlib import nullcontext
from threading import Event

import pytest
from sqlalchemy import Connection, Engine, event, func, inspect, select, text

from ledger import tables
from ledger.checks import check_books
from ledger.db import make_engine, migrate, reading, writing, writing_ahead
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
def test_what_a_writer_brings_beside_is_written_meanwhile_and_kept_before_the_rest(books: Books) -> None:
    under_way, may_end = Event(), Event()

    def bring(conn: Connection) -> None:
        conn.execute(text("CREATE TABLE brought (what text)"))
        under_way.set()
        assert may_end.wait(60)

    order: list[str] = []
    event.listen(books.engine, "commit", lambda conn: order.append(conn.info.get("who", "beside")))
    with writing_ahead(books.engine, beside=bring) as conn:
        assert under_way.wait(60)
        conn.info["who"] = "writer"
        assert answers(post(conn, [books.load("1", 7)], at=AT)) == ["posted"]
        may_end.set()
    assert order == ["beside", "writer"]
    with reading(books.engine) as conn:
        assert conn.execute(text("SELECT count(*) FROM brought")).scalar_one() == 0
        assert check_books(conn) == []


def entries(books: Books) -> int:
    with reading(books.engine) as conn:
        return conn.execute(select(func.count()).select_from(tables.entry)).scalar_one()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_others_write_until_the_lock_is_asked_for(books: Books) -> None:
    with writing_ahead(books.engine) as conn:
        assert answers(books.post(books.load("1", 7))) == ["posted"]  # as anybody could
        assert answers(post(conn, [books.load("2", 7)], at=AT)) == ["posted"]
    assert entries(books) == 2


@pytest.mark.parametrize("failing", [False, True])
def test_who_waits_for_the_end_of_what_is_brought_waits_for_no_more(books: Books, failing: bool) -> None:
    def bring(_conn: Connection) -> None:
        if failing:
            raise LookupError("nothing to bring")

    before, ended = entries(books), Event()
    with (
        pytest.raises(LookupError) if failing else nullcontext(),
        writing_ahead(books.engine, beside=bring, ended=ended) as conn,
    ):
        assert ended.wait(60)
        assert answers(post(conn, [books.load("1", 7)], at=AT)) == ["posted"]
    assert entries(books) == before + (not failing)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_cannot_be_brought_takes_the_rest_with_it(books: Books) -> None:
    def bring(_conn: Connection) -> None:
        raise LookupError("nothing to bring")

    with (
        pytest.raises(LookupError, match="nothing to bring"),
        writing_ahead(books.engine, beside=bring) as conn,
    ):
        assert answers(post(conn, [books.load("1", 7)], at=AT)) == ["posted"]
    assert answers(books.post(books.load("1", 7))) == ["posted"]


def test_what_a_writer_brought_goes_with_what_it_could_not_write(books: Books) -> None:
    def bring(conn: Connection) -> None:
        conn.execute(text("CREATE TABLE brought (what varchar(1))"))

    with pytest.raises(LookupError, match="refused"), writing_ahead(books.engine, beside=bring):
        raise LookupError("refused")
    with reading(books.engine) as conn:
        assert not inspect(conn).has_table("brought")

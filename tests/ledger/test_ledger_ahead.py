"""A night writes its lines while others post on the next day: what comes of both is as if they had come in turn."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from itertools import pairwise
from threading import Event

import pytest
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError

from ledger import tables
from ledger.balances import balance_on, free
from ledger.columns import post_pieces
from ledger.day import begin_close, finish_close
from ledger.db import lock_writers, reading, writing, writing_ahead
from ledger.directory import Directory
from ledger.entry import Entry, Line, Posted, Refused
from ledger.history import history, walks
from ledger.orders import Hold, Reversal
from ledger.prepared import Prepared, prepare_columns
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, answers, as_columns, numbered

NEXT = DAY + timedelta(days=1)
BOTH_AT_ONCE = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
"""SQLite has one writer at a time, so that nobody can come in between."""

PATIENCE_S = 20
"""Longer than anybody here holds the writer's lock."""

Pieces = Callable[[], AbstractContextManager[Iterable[Prepared]]]


def _patient(conn: Connection) -> None:
    conn.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE_S}s'")


@pytest.fixture
def night(books: Books) -> Books:
    """Books whose first day is closing, with money in two purses; who would wait for himself is refused in the end."""
    event.listen(books.engine, "begin", _patient)
    books.post(books.load("1", 100), books.load("2", 100))
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
    return books


def prepared(books: Books, entries: Sequence[Entry]) -> Prepared:
    """Entries of the closing day as a piece."""
    return prepare_columns(*as_columns(entries), Directory(books.engine), business_date=DAY)


def booked(
    books: Books, pieces: Pieces, when_written: Callable[[], object] = lambda: None
) -> list[Posted | Refused]:
    """What a run answers that begins ahead of the writer's lock, as a night's does."""
    with writing_ahead(books.engine) as conn:
        directory = Directory(books.engine)
        return post_pieces(conn, pieces, directory, at=AT, closing=True, when_written=when_written)


def others_post(books: Books, *entries: Entry) -> None:
    """On the next day, over a connection of their own."""
    assert answers(books.on(NEXT).post(*entries)) == ["posted"] * len(entries)


def lines_of(conn: Connection, code: str) -> list[int]:
    return [one.line_id for one in history(conn, code)]


def is_good(conn: Connection) -> bool:
    return list(verify_books(conn)) == []


@BOTH_AT_ONCE
def test_what_others_book_meanwhile_comes_before_the_lines_that_were_being_written(night: Books) -> None:
    next_day = night.on(NEXT)

    @contextmanager
    def pieces() -> Iterator[Iterable[Prepared]]:
        def each() -> Iterator[Prepared]:
            yield prepared(night, [night.tap("1", 10, "a"), night.tap("2", 10, "b")])
            # The run has met both purses: this one's walk is known to it as it was.
            others_post(night, next_day.tap("1", 3, "noon"))
            yield prepared(night, [night.tap("1", 10, "c")])

        yield each()

    found = booked(night, pieces, when_written=lambda: others_post(night, next_day.load("1", 5, "more")))
    assert answers(found) == ["posted"] * 3
    with reading(night.engine) as conn:
        # Loads are the day's first and second line; then come a, b, c of the night; noon and more are the next day's.
        load, a, c = numbered(1), numbered(3), numbered(5)
        noon, more = numbered(1, NEXT), numbered(2, NEXT)
        assert lines_of(conn, "purse:1") == [c, a, more, noon, load]
        assert lines_of(conn, "purse:2") == [numbered(4), numbered(2)]
        for newer, older in pairwise(history(conn, "purse:1")):
            assert history(conn, "purse:1", limit=1, before=newer.line_id) == [older]
        walk = walks(tables.account.c.code == "purse:1")
        assert set(conn.scalars(select(walk.c.line_id))) == {load, a, c, noon, more}
        account, overtaken = tables.account.c, tables.overtaken.c
        query = select(account.code, overtaken.line_id, overtaken.before_id).join_from(
            tables.overtaken, tables.account, account.id == overtaken.account_id
        )
        assert {tuple(row) for row in conn.execute(query)} == {
            ("purse:1", a, more),
            ("clearing:METRO-1", a, noon),
        }
        assert is_good(conn)
    assert night.nets()["purse:1"] == -(100 - 20 - 3 + 5)


@BOTH_AT_ONCE
def test_a_purse_that_pays_out_meanwhile_has_lines_made_anew_under_the_lock(night: Books) -> None:
    asked = []

    def pieces() -> AbstractContextManager[Iterable[Prepared]]:
        with reading(night.engine) as conn:
            asked.append(free(conn, "purse:1").free_fen)
        # As a night does, which takes what is lacking from elsewhere: it books what there is.
        fen = min(60, asked[-1])
        return nullcontext([prepared(night, [night.tap("1", fen, "a"), night.tap("2", 10, "b")])])

    found = booked(
        night, pieces, when_written=lambda: others_post(night, night.on(NEXT).tap("1", 50, "noon"))
    )
    assert answers(found) == ["posted"] * 2
    assert asked == [100, 50]
    assert night.nets() == {"agent:A": 200, "purse:1": 0, "purse:2": -90, "clearing:METRO-1": -110}
    with reading(night.engine) as conn:
        assert conn.execute(select(tables.overtaken)).all() == []
        assert is_good(conn)


@BOTH_AT_ONCE
def test_an_entry_that_is_taken_back_while_it_is_being_written_is_refused(night: Books) -> None:
    def take_back() -> None:
        assert answers(night.ask(Reversal("back:a", "a", NEXT, AT))) == ["remembered"]

    def pieces() -> AbstractContextManager[Iterable[Prepared]]:
        return nullcontext([prepared(night, [night.tap("1", 10, "a"), night.tap("2", 10, "b")])])

    assert answers(booked(night, pieces, when_written=take_back)) == ["forestalled", "posted"]
    with reading(night.engine) as conn:
        assert is_good(conn)


@BOTH_AT_ONCE
def test_what_is_held_until_the_night_is_free_for_it_without_another_try(night: Books) -> None:
    held = Hold("h", "counter", AT - timedelta(hours=1), AT, (Line("purse:1", "clearing:METRO-1", 100),))
    assert answers(night.on(NEXT).ask(held, minutes=-5)) == ["held"]
    once = [prepared(night, [night.tap("1", 100, "a")])]
    assert answers(booked(night, lambda: nullcontext([once.pop()]))) == ["posted"]
    with reading(night.engine) as conn:
        assert conn.execute(select(tables.open_hold)).all() == []
        assert is_good(conn)


@BOTH_AT_ONCE
def test_on_a_day_that_is_open_a_run_is_the_one_writer_from_its_beginning(books: Books) -> None:
    books.post(books.load("1", 100))

    def others_wait() -> None:
        with pytest.raises(DBAPIError, match="lock timeout"), books.engine.begin() as conn:
            conn.execute(text("SET LOCAL lock_timeout = 50"))
            lock_writers(conn)

    one = prepared(books, [books.tap("1", 10, "a")])
    assert answers(booked(books, lambda: nullcontext([one]), when_written=others_wait)) == ["posted"]
    with reading(books.engine) as conn:
        assert is_good(conn)


@BOTH_AT_ONCE
def test_whatever_others_post_all_the_while_the_books_are_whole(night: Books) -> None:
    next_day, done = night.on(NEXT), Event()

    def post_on() -> int:
        posted = 0
        while not done.is_set() or posted < 20:
            taps = [
                next_day.tap(str(1 + posted % 2), 1, f"noon:{posted}"),
                next_day.load("1", 1, f"more:{posted}"),
            ]
            others_post(night, *taps)
            posted += 1
        return posted

    def each() -> Iterator[Prepared]:
        for piece in range(20):
            yield prepared(night, [night.tap(str(1 + n % 2), 1, f"tap:{piece}:{n}") for n in range(4)])

    with ThreadPoolExecutor(1) as others:
        posting = others.submit(post_on)
        try:
            found = booked(night, lambda: nullcontext(each()))
        finally:
            done.set()
        posted = posting.result(60)
    assert answers(found) == ["posted"] * 80
    with reading(night.engine) as conn:
        assert len(conn.scalars(select(tables.line.c.id)).all()) == 2 + 80 + 2 * posted
        assert is_good(conn)


@BOTH_AT_ONCE
def test_others_post_while_the_totals_of_a_day_are_kept(night: Books) -> None:
    seen: list[str] = []

    @event.listens_for(night.engine, "after_cursor_execute")
    def _post(conn: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith("INSERT INTO ledger_snapshot") and not seen:
            seen.append(statement)
            others_post(night, night.on(NEXT).tap("1", 3, "noon"))

    with writing_ahead(night.engine) as conn:
        finish_close(conn, DAY, at=AT)
    event.remove(night.engine, "after_cursor_execute", _post)
    assert len(seen) == 1
    with reading(night.engine) as conn:
        assert balance_on(conn, "purse:1", DAY).net_fen == -100
        assert is_good(conn)
    assert night.nets()["purse:1"] == -97

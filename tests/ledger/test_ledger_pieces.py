"""Pieces of columns that are booked as a run leave what each booked by itself does, whatever they hold."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, update

from ledger import tables
from ledger.checks import check_books
from ledger.columns import post_pieces
from ledger.day import begin_close
from ledger.db import reading, writing
from ledger.directory import Directory
from ledger.entry import Entry, Line, Posted, Refused
from ledger.prepared import Prepared, prepare_columns
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, answers, as_columns
from tests.ledger.test_ledger_columns import ENTRIES, booked, written

TAPS = st.lists(
    st.builds(
        Line,
        st.sampled_from(["purse:1", "purse:2", "purse:3"]),
        st.sampled_from(["clearing:METRO-1", "income:fee", "purse:1"]),
        st.integers(1, 60),
    ).filter(lambda line: line.debit != line.credit),
    min_size=1,
    max_size=4,
)
PIECES = st.one_of(
    st.lists(st.lists(ENTRIES, max_size=4), max_size=4),
    st.lists(st.lists(TAPS, min_size=1, max_size=2), max_size=4).map(
        lambda pieces: [
            [
                Entry(f"r:{at}:{n}", "tap", DAY, AT, tuple(lines))
                for n, lines in enumerate(piece)
            ]
            for at, piece in enumerate(pieces)
        ]
    ),
)  # fmt: skip


def in_columns(
    books: Books, pieces: Sequence[Sequence[Entry]]
) -> Callable[[], AbstractContextManager[Iterable[Prepared]]]:
    """Pieces of entries as `post_pieces` asks for them."""
    directory = Directory(books.engine)
    prepared = [prepare_columns(*as_columns(piece), directory, business_date=DAY) for piece in pieces]
    return lambda: nullcontext(prepared)


def run(conn: Connection, books: Books, pieces: Sequence[Sequence[Entry]]) -> list[Posted | Refused]:
    """What a run of pieces of entries answers."""
    return post_pieces(conn, in_columns(books, pieces), Directory(books.engine), at=AT)


def standing(conn: Connection) -> list[list[tuple[object, ...]]]:
    """Every row that posting can write; where an account's walk stood before a call is of no use after it."""
    conn.execute(update(tables.total).values(line_before_id=0))
    return written(conn)


@given(pieces=PIECES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_of_pieces_leaves_what_each_by_itself_does(books: Books, pieces: list[list[Entry]]) -> None:
    with books.engine.connect() as conn:
        books_with_money = [books.load(card, 100, f"money:{card}") for card in ("1", "2")]
        booked(conn, books_with_money, Directory(books.engine))
        with conn.begin_nested() as savepoint:
            directory = Directory(books.engine)
            each = [answer for piece in pieces for answer in booked(conn, piece, directory)]
            expected = each, standing(conn)
            savepoint.rollback()
        assert (run(conn, books, pieces), standing(conn)) == expected
        assert check_books(conn) == []
        assert list(verify_books(conn)) == []
        conn.rollback()


def test_an_account_of_many_pieces_is_renewed_once(books: Books) -> None:
    books.post(books.load("1", 100))
    renewed = []

    @event.listens_for(books.engine, "before_cursor_execute")
    def _see(conn: object, cursor: object, statement: str, *rest: object) -> None:
        renewed.extend(
            ["total"] * ("UPDATE ledger_total SET debits_before_fen" in " ".join(statement.split()))
        )

    with writing(books.engine) as conn:
        found = run(conn, books, [[books.tap("1", 10, f"t:{n}")] for n in range(5)])
    event.remove(books.engine, "before_cursor_execute", _see)
    assert answers(found) == ["posted"] * 5
    assert renewed == ["total"]
    assert books.nets()["purse:1"] == -50
    with reading(books.engine) as conn:
        assert list(verify_books(conn)) == []


def test_a_purse_that_runs_dry_in_a_later_piece_loses_that_entry_only(books: Books) -> None:
    books.post(books.load("1", 100))
    pieces = [[books.tap("1", 60, "first")], [books.tap("1", 60, "dry"), books.tap("1", 40, "last")]]
    with writing(books.engine) as conn:
        assert answers(run(conn, books, pieces)) == ["posted", "limit_exceeded", "posted"]
    assert books.nets()["purse:1"] == 0


def test_money_that_comes_in_one_piece_may_go_in_the_next_but_not_before(books: Books) -> None:
    before = [[books.tap("1", 60, "too-early")], [books.load("1", 60, "money")]]
    after = [[books.load("1", 60, "more")], [books.tap("1", 60, "in-time")]]
    with writing(books.engine) as conn:
        assert answers(run(conn, books, before)) == ["limit_exceeded", "posted"]
        assert answers(run(conn, books, after)) == ["posted", "posted"]


def test_pieces_of_two_dates_are_no_run(books: Books) -> None:
    directory = Directory(books.engine)
    taps = [books.load("1", 10, "a")], [books.load("1", 10, "b")]
    prepared = [
        prepare_columns(*as_columns(piece), directory, business_date=DAY + timedelta(days=later))
        for later, piece in enumerate(taps)
    ]
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
    with pytest.raises(ValueError, match="a run is of one date"), writing(books.engine) as conn:
        post_pieces(conn, lambda: nullcontext(prepared), directory, at=AT, closing=True)

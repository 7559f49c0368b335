"""What the database refuses by itself, whoever writes past the ledger."""

from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from ledger.seal import day_contents, store_seal
from tests.ledger.some_books import AT, DAY, Books, numbered

FIRST, SECOND = numbered(1), numbered(2)
HEAD = (
    f"INSERT INTO ledger_entry SELECT {{id}}, {{reference}}, kind, business_date, event_at, posted_at, '', NULL, NULL,"
    f" {SECOND}, {{lines}}, digest, chain FROM ledger_entry"
)
"""A second entry like the first, but for its number, its reference and its number of lines."""

GUARDS = [
    ("UPDATE ledger_line SET amount_fen = amount_fen + 1", "append-only"),
    ("UPDATE ledger_entry SET narrative = 'x'", "append-only"),
    ("DELETE FROM ledger_line", "append-only"),
    ("DELETE FROM ledger_entry", "append-only"),
    ("UPDATE ledger_total SET debits_posted_fen = 99999 WHERE account_id = 2", "no_debit_balance"),
    ("UPDATE ledger_total SET debits_held_fen = 501 WHERE account_id = 2", "no_debit_balance"),
    ("UPDATE ledger_total SET credits_held_fen = 1 WHERE account_id = 1", "no_credit_balance"),
    ("UPDATE ledger_total SET debits_held_fen = -1 WHERE account_id = 4", "totals"),
    ("UPDATE ledger_total SET closed = true WHERE account_id = 2", "closed_empty"),
    (f"INSERT INTO ledger_line VALUES ({SECOND}, {FIRST}, 1, 2, 5, '', 0, 0)", "a line belongs to its entry"),
    (f"INSERT INTO ledger_line VALUES ({SECOND}, 7, 1, 2, 5, '', 0, 0)", "a line belongs to its entry"),
    (HEAD.format(id=SECOND, reference="reference", lines=1), "reference"),
    (HEAD.format(id=SECOND, reference="'y'", lines=0), "line_count"),
    (HEAD.format(id=numbered(1, date(2018, 9, 2)), reference="'y'", lines=1), "id_of_date"),
]


@pytest.mark.parametrize(("statement", "guard"), GUARDS)
def test_the_database_refuses_what_the_ledger_would(books: Books, statement: str, guard: str) -> None:
    books.post(books.load("1", 500))
    with pytest.raises(DBAPIError, match=guard), writing(books.engine) as conn:
        conn.execute(text(statement))
    with reading(books.engine) as conn:
        assert check_books(conn) == []


@pytest.mark.parametrize(
    ("line", "guard"),
    [
        (f"({SECOND}, {SECOND}, 1, 2, 0, '', 0, 0)", "amount"),
        (f"({SECOND}, {SECOND}, 1, 1, 5, '', 0, 0)", "two_accounts"),
        (f"({SECOND}, {SECOND}, 1, 99, 5, '', 0, 0)", "a line belongs to its entry"),
        (f"({SECOND}, {SECOND}, 99, 1, 5, '', 0, 0)", "a line belongs to its entry"),
        (f"({numbered(4)}, {SECOND}, 1, 2, 5, '', 0, 0)", "a line belongs to its entry"),
    ],
)
def test_the_database_refuses_a_line_that_is_none(books: Books, line: str, guard: str) -> None:
    books.post(books.load("1", 500))
    head = HEAD.format(id=SECOND, reference="'y'", lines=2)
    with pytest.raises(DBAPIError, match=guard), writing(books.engine) as conn:
        conn.execute(text(head))
        conn.execute(text(f"INSERT INTO ledger_line VALUES {line}"))


def test_the_database_takes_no_entry_on_a_closed_day(books: Books) -> None:
    books.post(books.load("1", 500))
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
    late = HEAD.format(id=SECOND, reference="'y'", lines=1)
    with pytest.raises(DBAPIError, match="a closed day takes no entry"), writing(books.engine) as conn:
        conn.execute(text(late))


@pytest.mark.parametrize("table", ["ledger_snapshot", "ledger_seal"])
@pytest.mark.parametrize("change", ["UPDATE {} SET business_date = '2018-09-02'", "DELETE FROM {}"])
def test_the_database_keeps_snapshots_and_seals_as_they_were_made(
    books: Books, table: str, change: str
) -> None:
    books.post(books.load("1", 500))
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
        store_seal(conn, day_contents(conn, DAY), 1, bytes(64), at=AT)
    with pytest.raises(DBAPIError, match=f"{table} is append-only"), writing(books.engine) as conn:
        conn.execute(text(change.format(table)))

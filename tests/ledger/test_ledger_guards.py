"""What the database refuses by itself, whoever writes past the ledger."""

from datetime import date

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.checks import check_books
from ledger.day import begin_close, finish_close, open_day
from ledger.db import metadata, reading, writing
from ledger.verify import verify_books
from tests.ledger.full_books import DAYS, fill, public_key
from tests.ledger.some_books import AT, DAY, Books, answers, numbered

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


ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
APPEND_ONLY = (
    "account", "entry", "line", "hold", "hold_line", "event", "forestalled", "overtaken", "snapshot", "seal",
)  # fmt: skip
KEPT = ("total", "control", "day")


def refuses(books: Books, guard: str, *statements: str) -> None:
    """Each statement alone must be refused by this guard."""
    for statement in statements:
        with pytest.raises(DBAPIError, match=guard), writing(books.engine) as conn:
            conn.execute(text(statement))


def test_what_is_append_only_stays_as_it_was_written(books: Books) -> None:
    fill(books)
    for name in APPEND_ONLY:
        column = metadata.tables[f"ledger_{name}"].columns.keys()[-1]
        changes = [f"UPDATE ledger_{name} SET {column} = {column}", f"DELETE FROM ledger_{name}"]
        if books.engine.dialect.name == "postgresql":
            changes.append(f"TRUNCATE ledger_{name} CASCADE")
        refuses(books, r"is append-only|keeps its rows", *changes)
    with reading(books.engine) as conn:
        assert list(verify_books(conn, public_key)) == []


def test_what_changes_keeps_its_rows(books: Books) -> None:
    fill(books)
    for name in KEPT:
        changes = [f"DELETE FROM ledger_{name}"]
        if books.engine.dialect.name == "postgresql":
            changes.append(f"TRUNCATE ledger_{name} CASCADE")
        refuses(books, "keeps its rows|is append-only", *changes)
    with reading(books.engine) as conn:
        assert list(verify_books(conn, public_key)) == []


def test_the_database_takes_accounts_in_the_order_of_their_numbers(books: Books) -> None:
    copied = (
        "INSERT INTO ledger_account SELECT {}, 'purse:x', segment, kind, limit_rule, owner, currency, opened_at,"
        " digest FROM ledger_account WHERE id = 2"
    )
    refuses(books, "accounts have no gap", copied.format(0), copied.format(10), copied.format(99))
    with writing(books.engine) as conn:
        conn.execute(text(copied.format(9)))
        assert conn.execute(text("SELECT max(id) FROM ledger_account")).scalar_one() == 9


def test_a_total_is_of_an_account_that_there_is(books: Books) -> None:
    columns = ", ".join(column for column in metadata.tables["ledger_total"].columns.keys()[1:])
    stray = f"INSERT INTO ledger_total SELECT {{}}, {columns} FROM ledger_total WHERE account_id = 2"
    refuses(books, "a total belongs to an account|FOREIGN KEY", *map(stray.format, (0, 99)))
    with reading(books.engine) as conn:
        assert check_books(conn) == []


def test_a_snapshot_is_of_an_account_and_a_day_that_there_are(books: Books) -> None:
    fill(books)
    stray = "INSERT INTO ledger_snapshot VALUES (2, '{day}', 0, 0), ({account}, '{day}', 0, 0)"
    of_no_account = (stray.format(account=account, day=DAYS[-1]) for account in (0, 99))
    of_no_day = stray.format(account=1, day=date(2019, 9, 1))
    refuses(books, "a snapshot belongs|FOREIGN KEY", of_no_day, *of_no_account)
    with reading(books.engine) as conn:
        assert list(verify_books(conn, public_key)) == []


def lines_of(month: str) -> str:
    return f"ledger_line_{month}"


@ON_POSTGRESQL
def test_who_names_a_partition_meets_the_same_guards(books: Books) -> None:
    fill(books)
    partition, empty = lines_of("201809"), lines_of("201810")
    refuses(
        books, "is append-only",
        f"UPDATE {partition} SET item = 'x'", f"DELETE FROM {partition}", f"TRUNCATE {partition}",
        f"DELETE FROM {empty}", f"TRUNCATE {empty}",
    )  # fmt: skip
    copied = f"SELECT {{id}}, {{entry}}, 2, 4, 7, '', 0, 0 FROM {partition} LIMIT 1"
    strays = [
        copied.format(id=numbered(9, DAYS[3]), entry=numbered(2, DAYS[3])),
        copied.format(id=numbered(9, DAYS[3]), entry=numbered(77, DAYS[3])),
    ]
    refuses(books, "a line belongs to its entry", *(f"INSERT INTO {partition} {stray}" for stray in strays))
    elsewhere = copied.format(id=numbered(1, date(2018, 10, 1)), entry=numbered(2, DAYS[3]))
    refuses(books, "partition constraint", f"INSERT INTO {partition} {elsewhere}")
    nowhere = copied.format(id=numbered(1, date(2019, 9, 1)), entry=numbered(2, DAYS[3]))
    refuses(books, "no partition of relation", f"INSERT INTO ledger_line {nowhere}")
    with reading(books.engine) as conn:
        assert list(verify_books(conn, public_key)) == []


def partitions(conn: Connection) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger_line'::regclass ORDER BY 1"
    return list(conn.scalars(text(query)))


@ON_POSTGRESQL
def test_places_for_lines_are_made_ahead_of_their_month(engine: Engine) -> None:
    books = Books(engine, day=date(2018, 12, 31))
    with writing(engine) as conn:
        assert partitions(conn) == []
        open_day(conn, books.day, at=AT)
        open_accounts(conn, [account("agent:A"), account("purse:1")], at=AT)
        assert partitions(conn) == [lines_of(month) for month in ("201812", "201901", "201902")]
    assert answers(books.post(books.load("1", 4))) == ["posted"]
    with writing(engine) as conn:
        tomorrow = books.on(begin_close(conn, books.day, at=AT))
        assert partitions(conn) == [lines_of(month) for month in ("201812", "201901", "201902", "201903")]
    assert answers(tomorrow.post(tomorrow.load("1", 5, "new year"))) == ["posted"]
    assert answers(books.post(books.load("1", 6, "old year"), closing=True)) == ["posted"]
    with reading(engine) as conn:
        counts = {
            month: conn.execute(text(f"SELECT count(*) FROM {lines_of(month)}")).scalar_one()
            for month in ("201812", "201901", "201902")
        }
        assert list(verify_books(conn)) == []
    assert counts == {"201812": 2, "201901": 1, "201902": 0}


@ON_POSTGRESQL
def test_a_place_for_lines_is_made_while_others_write(engine: Engine) -> None:
    books = Books(engine, day=date(2018, 12, 31))
    with writing(engine) as conn:
        open_day(conn, books.day, at=AT)
    with engine.connect() as reader:
        # A report that reads lines all night long is not in the way of the next month's place.
        assert reader.execute(text("SELECT count(*) FROM ledger_line")).scalar_one() == 0
        with writing(engine) as conn:
            conn.execute(text("SET LOCAL lock_timeout = '2s'"))
            begin_close(conn, books.day, at=AT)
            assert partitions(conn)[-1] == lines_of("201903")

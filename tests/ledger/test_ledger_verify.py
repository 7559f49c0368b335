"""Whatever is changed behind the ledger's back, in any table and column, verification finds and names it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Engine, Row, Table, and_, select, text
from sqlalchemy.exc import DBAPIError

from ledger import chart, tables
from ledger.accounts import account_digest, open_accounts
from ledger.day import begin_close, finish_close
from ledger.db import make_engine, metadata, reading, writing
from ledger.entry import Line, canonical_bytes, chain_start, chained, digest, utc_text
from ledger.events import EVENTS_START, event_chained, read_events
from ledger.findings import Finding
from ledger.ids import A_DAY
from ledger.journal import read_day
from ledger.orders import hold_content
from ledger.verify import verify_books
from ledger.walks import Turn, astray
from tests.ledger.conftest import begin
from tests.ledger.full_books import DAYS, fill, hold, public_key
from tests.ledger.some_books import AT, Books
from tests.support.quick_databases import Copies

A, B = A_DAY, 2 * A_DAY
"""Before the first numbers of two days."""
ELSEWHERE = {"ledger_archive"}
"""Archived months have tests of their own."""
TABLES = [
    table
    for table in metadata.sorted_tables
    if table.name.startswith("ledger_") and table.name not in ELSEWHERE
]
BEFORE_LAST = tables.total.c.line_before_id
"""Any line of the account before its newest one may stand here: nothing is told from it later."""
HELD_BY_A_CHECK = {"ledger_entry": {"business_date"}}
"""Columns in which the table itself takes no other value, even without its triggers."""


@pytest.fixture
def full(copies: Copies) -> Iterator[Books]:
    """Books with rows of every kind, on either kind of database."""
    with copies.copied("full", begin_and_fill) as url:
        engine = make_engine(url)
        yield Books(engine)
        engine.dispose()


def begin_and_fill(engine: Engine) -> None:
    begin(engine)
    fill(Books(engine))


@contextmanager
def past_the_guards(books: Books) -> Iterator[Connection]:
    """A transaction in which neither triggers nor foreign keys hold, rolled back at the end."""
    with books.engine.connect() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            conn.execute(text("PRAGMA defer_foreign_keys = ON"))
            for name in conn.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                conn.execute(text(f"DROP TRIGGER {name}"))
        yield conn
        conn.rollback()


def rows_of(conn: Connection, table: Table) -> list[Row[Any]]:
    """The first, the middle and the last row of a table, and one with a value wherever there may be none."""
    rows = conn.execute(select(table).order_by(*table.primary_key)).all()
    places = {0, len(rows) // 2, len(rows) - 1}
    for position, column in enumerate(table.columns):
        if column.nullable:
            places.add(next(place for place, row in enumerate(rows) if row[position] is not None))
    return [rows[place] for place in sorted(places)]


def this(table: Table, row: Row[Any]) -> Any:
    return and_(*(column == getattr(row, column.name) for column in table.primary_key))


def others(conn: Connection, column: Column[Any], value: Any) -> list[Any]:
    """What else could stand in a column: a value a little off, another row's, and nothing where that may be."""
    if column is BEFORE_LAST:
        return [value + 10**9]
    there = [
        found
        for found in conn.scalars(select(column).distinct().order_by(column))
        if found not in (value, None)
    ]
    match value:
        case bool():
            off: Any = not value
        case int():
            off = value + 1
        case str():
            off = value[:-1] + "x"
        case bytes():
            off = bytes([value[0] ^ 1]) + value[1:]
        case datetime():
            off = value + timedelta(microseconds=1)
        case date():
            off = value + timedelta(days=1)
        case _:
            off = (
                AT if column.name.endswith("_at") else date(2018, 9, 1) if column.name.endswith("_on") else 1
            )
    return [off, *there[-1:], *([None] if column.nullable and value is not None else [])]


def named(conn: Connection, table: Table, row: Row[Any]) -> set[str]:
    """How people know a row: what a finding about it must have in its subject."""
    codes = dict(conn.execute(select(tables.account.c.id, tables.account.c.code)).all())
    match table.name.removeprefix("ledger_"):
        case "account":
            return {row.code}
        case "total" | "overtaken":
            return {codes[row.account_id], str(row.account_id)}
        case "control":
            return {row.segment}
        case "day" | "seal":
            return {str(row.business_date)}
        case "event":
            return {row.subject}
        case "forestalled" | "hold" | "entry":
            return {row.reference}
        case "hold_line" | "open_hold":
            query = select(tables.hold.c.reference).where(tables.hold.c.id == row.hold_id)
            return {conn.execute(query).scalar_one()}
        case "line":
            query = select(tables.entry.c.reference).where(tables.entry.c.id == row.entry_id)
            return {conn.execute(query).scalar_one(), codes[row.debit_id], codes[row.credit_id]}
        case "snapshot":
            return {f"{codes[row.account_id]} on {row.business_date:%Y%m%d}"}
    raise AssertionError(table.name)


def found(conn: Connection) -> list[Finding]:
    return list(verify_books(conn, public_key))


def names_one(finding: Finding, names: set[str]) -> bool:
    return any(name in finding.subject for name in names)


def upto_a_naming_one(conn: Connection, names: set[str]) -> list[Finding]:
    """What is found, up to the first finding about one of these; all of it where there is none."""
    findings = []
    for finding in verify_books(conn, public_key):
        findings.append(finding)
        if names_one(finding, names):
            break
    return findings


def test_good_books_of_every_kind_have_nothing_to_find(full: Books) -> None:
    with reading(full.engine) as conn:
        assert found(conn) == []
        empty = [table.name for table in TABLES if not conn.execute(select(table)).first()]
    assert empty == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_changed_value_of_every_column_is_found_and_named(full: Books, table: Table) -> None:
    unseen, unnamed, changed = [], [], set()
    with past_the_guards(full) as conn:
        first, *_ = rows = rows_of(conn, table)
        for row in rows:
            names = named(conn, table, row)
            for column in table.columns:
                for turn, value in enumerate(others(conn, column, getattr(row, column.name))):
                    savepoint = conn.begin_nested()
                    what = f"{column} of {names}: {getattr(row, column.name)!r} to {value!r}"
                    try:
                        conn.execute(table.update().where(this(table, row)).values({column.name: value}))
                    except DBAPIError:
                        savepoint.rollback()
                        continue
                    changed.add(column.name)
                    findings = upto_a_naming_one(conn, {*names, str(value)})
                    if not findings:
                        unseen.append(what)
                    elif not names_one(findings[-1], {*names, str(value)}):
                        unnamed.append((what, [(finding.check, finding.subject) for finding in findings]))
                    # No check may stumble over what another has found: each sees every column changed once.
                    assert row is not first or turn or len(found(conn)) >= len(findings)
                    savepoint.rollback()
        assert found(conn) == []
    assert (unseen, unnamed) == ([], [])
    assert {column.name for column in table.columns} - changed == HELD_BY_A_CHECK.get(table.name, set())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_row_taken_away_is_found(full: Books, table: Table) -> None:
    unseen = []
    with past_the_guards(full) as conn:
        for row in rows_of(conn, table):
            savepoint = conn.begin_nested()
            names = named(conn, table, row)
            conn.execute(table.delete().where(this(table, row)))
            if not found(conn):
                unseen.append(names)
            savepoint.rollback()
    assert unseen == []


def test_an_account_that_never_moved_is_missed_from_the_cut_off_on(full: Books) -> None:
    with writing(full.engine) as conn:
        open_accounts(conn, [chart.account("purse:never")], at=AT)
        finish_close(conn, DAYS[2], at=AT)
        begin_close(conn, DAYS[3], at=AT)
    with past_the_guards(full) as conn:
        assert found(conn) == []
        newest = select(tables.account.c.id).where(tables.account.c.code == "purse:never").scalar_subquery()
        conn.execute(tables.total.delete().where(tables.total.c.account_id == newest))
        conn.execute(tables.account.delete().where(tables.account.c.code == "purse:never"))
        (finding,) = found(conn)
    assert (finding.check, finding.subject) == ("events_tell_the_present", str(DAYS[3]))
    assert "holds=5' were there; they are not now" in finding.message


def test_a_cut_off_that_counts_otherwise_is_found_though_every_hash_is_renewed(full: Books) -> None:
    for detail in ("accounts=11 holds=3", "accounts=12 holds=4", "eleven"):
        with past_the_guards(full) as conn:
            cut_off = and_(
                tables.event.c.kind == "day_closing", tables.event.c.subject == DAYS[2].isoformat()
            )
            conn.execute(tables.event.update().where(cut_off).values(detail=detail))
            retell(conn)
            findings = [finding for finding in found(conn) if finding.check == "events_tell_the_present"]
            assert [finding.subject for finding in findings] == [str(DAYS[2])]


AT_TEXT = "'2018-09-01 03:04:05.678901+00:00'"
ZERO = {"sqlite": "zeroblob(32)", "postgresql": "decode(repeat('00', 32), 'hex')"}
NEXT = {
    "account": f"12, 'purse:x', 'purse', 'liability', 'none', '', 'CNY', {AT_TEXT}, {{zero}}",
    "total": "12, true, true, false, 0, 0, 0, 0, NULL, 0, 0, 0, 0",
    "control": "'ghost', 0, 0",
    "day": f"'2018-09-05', 'open', {AT_TEXT}, NULL, NULL",
    "event": f"25, {AT_TEXT}, 'account_closed', 'purse:1', '', {{zero}}",
    "forestalled": f"'tap:x', 'back:x', {AT_TEXT}",
    "hold": f"6, 'hold:x', 'counter', {AT_TEXT}, {AT_TEXT}, {AT_TEXT}, '', 1, {{zero}}",
    "hold_line": "5, 2, 2, 4, 7, ''",
    "open_hold": f"2, {AT_TEXT}",
    "entry": (
        f"201809040000000009, 'x', 'tap', '2018-09-04', {AT_TEXT}, {AT_TEXT}, '', NULL, NULL, 201809040000000009,"
        " 1, {zero}, {zero}"
    ),
    "line": "201809040000000009, 201809040000000002, 2, 4, 7, '', 0, 0",
    "overtaken": "201809010000000001, 2, 201809020000000001",
    "snapshot": "3, '2018-09-02', 0, 0",
    "seal": (
        "'2018-09-03', 0, {zero}, {zero}, 11, 5, 24, {zero}, {zero}, {zero}, 3, "
        f"{{zero}}, {AT_TEXT}"
    ),
}
"""One row more than there should be in each table, as someone might write it."""


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_row_from_nowhere_is_found(full: Books, table: Table) -> None:
    values = NEXT[table.name.removeprefix("ledger_")].format(zero=ZERO[full.engine.dialect.name])
    with past_the_guards(full) as conn:
        conn.execute(text(f"INSERT INTO {table.name} VALUES ({values})"))
        assert found(conn) != []
        assert all(finding.subject and finding.message for finding in found(conn))


def test_an_entry_moved_to_another_day_is_found_where_the_table_no_longer_holds_it(full: Books) -> None:
    with past_the_guards(full) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("ALTER TABLE ledger_entry DROP CONSTRAINT ck_ledger_entry_id_of_date"))
        else:
            conn.execute(text("PRAGMA ignore_check_constraints = ON"))
        conn.execute(text("UPDATE ledger_entry SET business_date = '2018-09-02' WHERE reference = 'fee'"))
        findings = found(conn)
        if conn.dialect.name == "sqlite":
            conn.execute(text("PRAGMA ignore_check_constraints = OFF"))
    assert ("entries_are_whole", "fee") in {(finding.check, finding.subject) for finding in findings}


def test_an_event_of_no_known_kind_is_a_finding_and_not_a_failure(full: Books) -> None:
    with past_the_guards(full) as conn:
        conn.execute(text("UPDATE ledger_event SET kind = 'miracle' WHERE id = 2"))
        checks = [finding.check for finding in found(conn)]
    assert checks[:2] == ["events_are_chained", "events_tell_the_present"]


def rebook(conn: Connection, business_date: date) -> None:
    """Renew the digests and the running hash of a day's entries, as one who knows how they are made could."""
    chain = chain_start(business_date)
    for recorded in list(read_day(conn, business_date)):
        content_digest = digest(canonical_bytes(recorded.entry))
        chain = chained(chain, recorded.entry_id, content_digest, utc_text(recorded.posted_at))
        renewed = tables.entry.update().where(tables.entry.c.id == recorded.entry_id)
        conn.execute(renewed.values(digest=content_digest, chain=chain))


def retell(conn: Connection) -> None:
    """Renew the running hash of all events."""
    chain = EVENTS_START
    for written in list(read_events(conn)):
        chain = event_chained(chain, written.event)
        conn.execute(tables.event.update().where(tables.event.c.id == written.event_id).values(chain=chain))


def change_an_entry(conn: Connection) -> None:
    conn.execute(text("UPDATE ledger_entry SET narrative = 'gift' WHERE reference = 'fee'"))
    rebook(conn, DAYS[0])


def change_an_instant_of_booking(conn: Connection) -> None:
    later = AT + timedelta(seconds=90)
    conn.execute(tables.entry.update().where(tables.entry.c.reference == "fee").values(posted_at=later))
    rebook(conn, DAYS[0])


def change_an_account(conn: Connection) -> None:
    owner = "someone else"
    conn.execute(tables.account.update().where(tables.account.c.code == "purse:3").values(owner=owner))
    renewed = account_digest(replace(chart.account("purse:3"), owner=owner), AT)
    conn.execute(tables.account.update().where(tables.account.c.code == "purse:3").values(digest=renewed))


def change_a_hold(conn: Connection) -> None:
    # The digest of another hold is as good as any to one who changes what was held.
    other = hold("hold:voided", Line("purse:2", "clearing:METRO-1", 31), hours=2)
    renewed = digest(hold_content(other))
    conn.execute(text("UPDATE ledger_hold_line SET amount_fen = 31 WHERE hold_id = 3"))
    conn.execute(tables.hold.update().where(tables.hold.c.id == 3).values(digest=renewed))
    placed = and_(tables.event.c.subject == "hold:voided", tables.event.c.kind == "hold_placed")
    conn.execute(tables.event.update().where(placed).values(detail=renewed.hex()))
    retell(conn)


def change_an_event(conn: Connection) -> None:
    conn.execute(text("UPDATE ledger_forestalled SET by_reference = 'x' WHERE reference = 'tap:never'"))
    conn.execute(text("UPDATE ledger_event SET detail = 'x' WHERE subject = 'tap:never'"))
    retell(conn)


@pytest.mark.parametrize(
    "change",
    [change_an_entry, change_an_instant_of_booking, change_an_account, change_a_hold, change_an_event],
)
def test_who_renews_every_hash_still_meets_the_seal(
    full: Books, change: Callable[[Connection], None]
) -> None:
    with past_the_guards(full) as conn:
        change(conn)
        findings = found(conn)
    assert [(finding.check, finding.subject) for finding in findings] == [("seals_agree", str(DAYS[0]))]


def test_who_renews_the_seals_too_has_no_key_to_sign_them(full: Books) -> None:
    with past_the_guards(full) as conn:
        conn.execute(
            text("UPDATE ledger_seal SET signature = (SELECT signature FROM ledger_seal ORDER BY 1 LIMIT 1)")
        )
        assert list(verify_books(conn)) == []
        [finding] = found(conn)
    assert (finding.check, finding.message) == (
        "seals_agree",
        f"the seal of {finding.subject} is not signed by key version 3; restore the books from a backup",
    )


TURNS = [
    # The newest line by number, where the walk starts, the turns, and where it goes astray.
    (0, 0, [], None),
    (A + 3, A + 3, [], None),
    (A + 3, A + 2, [], A + 2),
    (0, A + 3, [], A + 3),
    (A + 3, 0, [], A + 3),
    # Line 2 of the first day came after the first of the second, whose line before was 1.
    (B + 1, A + 2, [Turn(7, A + 2, A + 1, B + 1), Turn(7, B + 1, A + 2, A + 1)], None),
    (B + 1, A + 2, [Turn(7, A + 1, 0, B + 1), Turn(7, B + 1, A + 2, 0)], None),
    # In a circle, past lines, from a line that is not there, and in another order within a day.
    (B + 1, B + 1, [Turn(7, A + 2, A + 1, B + 1), Turn(7, B + 1, A + 2, A + 2)], A + 2),
    (B + 1, B + 1, [Turn(7, B + 1, A + 2, A + 1)], B + 1),
    (B + 1, B + 1, [Turn(7, B + 1, A + 2, A + 77)], B + 1),
    (A + 3, A + 3, [Turn(7, A + 3, A + 2, A + 1)], A + 3),
    (A + 3, A + 3, [Turn(7, A + 3, A + 2, 0)], A + 2),
]


@pytest.mark.parametrize(("newest", "start", "turns", "expected"), TURNS)
def test_a_walk_leads_over_all_lines_once_or_goes_astray(
    newest: int, start: int, turns: list[Turn], expected: int | None
) -> None:
    assert astray(newest, start, turns) == expected

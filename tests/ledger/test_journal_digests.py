"""Digests made from columns of lines are those of the entries, whatever is in them and wherever a piece ends."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from ledger import line_columns
from ledger.checks import days_equal_digests
from ledger.db import reading
from ledger.entry import Entry, Line, Posted, canonical_bytes, digest
from ledger.journal import read_day
from ledger.journal_digests import digests_told
from ledger.line_columns import AccountCodes, lines_of_day
from ledger.post import post
from tests.ledger.some_books import AT, DAY, Books, Tamper

LINES = st.builds(
    Line,
    st.sampled_from(["agent:A", "bank:reserve"]),
    st.sampled_from(["purse:1", "clearing:METRO-1"]),
    st.integers(1, 10**9),
    st.sampled_from(["", "tap:1", 'quote " and \\ back', "站台"]),
)
BATCHES = st.lists(st.lists(LINES, min_size=1, max_size=5).map(tuple), min_size=1, max_size=5)


@given(batches=BATCHES, rows=st.integers(1, 6))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_columns_tell_is_what_entries_say(
    books: Books, batches: list[tuple[Line, ...]], rows: int
) -> None:
    entries = [Entry(f"e{n}", "test", DAY, AT, lines, "早") for n, lines in enumerate(batches)]
    with pytest.MonkeyPatch.context() as patch, books.engine.connect() as conn:
        patch.setattr(line_columns, "CHUNK_ROWS", rows)
        assert all(isinstance(answer, Posted) for answer in post(conn, entries, at=AT))
        told = list(digests_told(conn, DAY, AccountCodes(conn)))
        assert [one.digest for one in told] == [digest(canonical_bytes(entry)) for entry in entries]
        assert [one.recorded.entry.reference for one in told] == [entry.reference for entry in entries]
        assert days_equal_digests(conn, [DAY]) == []
        conn.rollback()


def test_an_amount_that_was_changed_changes_the_digest_that_is_told(books: Books, tampered: Tamper) -> None:
    books.post(books.load("1", 100))
    with reading(books.engine) as conn:
        assert days_equal_digests(conn, [DAY]) == []
        whole = [recorded.digest for recorded in read_day(conn, DAY)]
    tampered("UPDATE ledger_line SET amount_fen = amount_fen + 1")
    with reading(books.engine) as conn:
        assert [one.digest for one in digests_told(conn, DAY, AccountCodes(conn))] != whole
        found = days_equal_digests(conn, [DAY])
    assert [finding.check for finding in found] == ["entries_equal_digests"]


def test_the_codes_of_accounts_are_fetched_once_for_all_days(books: Books) -> None:
    books.post(books.load("1", 100))
    asked = list[str]()

    def hear(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(books.engine, "before_cursor_execute", hear)
    with reading(books.engine) as conn:
        assert days_equal_digests(conn, [DAY] * 3) == []
    of_lines = [one for one in asked if "FROM ledger_line" in one and "amount_fen" in one]
    of_accounts = [one for one in asked if "FROM ledger_account" in one]
    # Each is asked for until a piece is empty: the second one here.
    assert (len(of_lines), len(of_accounts)) == (3 * 2, 2)
    # PostgreSQL is told to go along the key until the last piece of a table has come, and no longer.
    assert asked.index(of_accounts[-1]) < asked.index(of_lines[0])


@pytest.mark.parametrize("change", ["entry_id = entry_id + 1", "debit_id = 1000000", "item = 'an''other'"])
def test_a_line_that_was_changed_shows_in_its_entry_whatever_of_it_was(
    books: Books, tampered: Tamper, change: str
) -> None:
    for reference in ("a", "b", "c"):
        books.post(books.load("1", 100, reference))
    tampered(f"UPDATE ledger_line SET {change} WHERE id = (SELECT min(id) FROM ledger_line)")
    with reading(books.engine) as conn:
        found = days_equal_digests(conn, [DAY])
        first = next(read_day(conn, DAY)).entry.reference
    assert found[0].subject == first


def test_lines_that_are_not_in_the_order_of_their_entries_are_told_with_them(
    books: Books, tampered: Tamper
) -> None:
    loads = [books.load("1", 100, reference) for reference in ("a", "b", "c")]
    for load in loads:
        books.post(load)
    tampered("UPDATE ledger_line SET id = id + 100 WHERE id = (SELECT min(id) FROM ledger_line)")
    with reading(books.engine) as conn:
        assert [one.digest for one in digests_told(conn, DAY, AccountCodes(conn))] == [
            digest(canonical_bytes(load)) for load in loads
        ]
        assert [one.entry_id for one in read_day(conn, DAY)] == [
            number
            for piece in lines_of_day(conn, DAY, AccountCodes(conn))
            for number in piece.entry_id.tolist()
        ]

"""The checks find what someone changed behind the ledger's back, by name, and change nothing."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from ledger.checks import CHECKS, Finding, check_books
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from ledger.seal import day_contents, store_seal
from tests.ledger.some_books import AT, DAY, Books, Tamper

NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture
def kept(books: Books) -> Books:
    """Books with a sealed day of three entries, and one entry on the next day."""
    books.post(books.load("1", 500), books.load("2", 300), books.tap("1", 200, "tap:1"))
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
        store_seal(conn, day_contents(conn, DAY), 1, bytes(64), at=AT)
    tomorrow = books.on(NEXT_DAY)
    tomorrow.post(tomorrow.tap("2", 100, "tap:2"))
    return books


def test_good_books_have_nothing_to_find(kept: Books) -> None:
    with reading(kept.engine) as conn:
        assert check_books(conn) == []


def test_empty_books_have_nothing_to_find(books: Books) -> None:
    with reading(books.engine) as conn:
        assert check_books(conn) == []


PURSE_1 = "(SELECT id FROM ledger_account WHERE code = 'purse:1')"
CHANGES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "a running total": (
        ("UPDATE ledger_account SET credits_posted_fen = credits_posted_fen + 7 WHERE code = 'purse:1'",),
        {"accounts_sum_to_zero", "totals_equal_lines", "controls_equal_accounts"},
    ),
    "two running totals that cancel out": (
        (
            "UPDATE ledger_account SET credits_posted_fen = credits_posted_fen + 7 WHERE code = 'purse:1'",
            "UPDATE ledger_account SET debits_posted_fen = debits_posted_fen + 7 WHERE code = 'agent:A'",
        ),
        {"totals_equal_lines", "controls_equal_accounts"},
    ),
    "a control total": (
        ("UPDATE ledger_control SET debits_posted_fen = 0 WHERE segment = 'agent'",),
        {"controls_equal_accounts"},
    ),
    "a control total gone": (
        ("DELETE FROM ledger_control WHERE segment = 'agent'",),
        {"controls_equal_accounts"},
    ),
    "an amount of a sealed day": (
        ("UPDATE ledger_line SET amount_fen = amount_fen - 1 WHERE id = 3",),
        {"totals_equal_lines", "snapshots_agree", "seals_agree"},
    ),
    "an amount of an open day": (
        ("UPDATE ledger_line SET amount_fen = amount_fen - 1 WHERE id = 4",),
        {"totals_equal_lines", "entries_equal_digests"},
    ),
    "whose money it was": (
        (f"UPDATE ledger_line SET debit_id = {PURSE_1} WHERE id = 4",),
        {"totals_equal_lines", "entries_equal_digests"},
    ),
    "what a line is about": (
        ("UPDATE ledger_line SET item = 'another tap' WHERE id = 3",),
        {"seals_agree"},
    ),
    "when it happened": (
        ("UPDATE ledger_entry SET event_at = '2018-09-02T00:00:00+00:00' WHERE id = 4",),
        {"entries_equal_digests"},
    ),
    "an entry and its digest": (
        (
            "UPDATE ledger_entry SET kind = 'gift', digest = (SELECT merkle_root FROM ledger_seal) WHERE id = 3",
        ),
        {"seals_agree"},
    ),
    "a line gone": (
        ("DELETE FROM ledger_line WHERE id = 4",),
        {"totals_equal_lines", "entries_are_whole", "entries_equal_digests"},
    ),
    "an entry gone with its lines": (
        ("DELETE FROM ledger_line WHERE id = 3", "DELETE FROM ledger_entry WHERE id = 3"),
        {"totals_equal_lines", "entries_are_whole", "snapshots_agree", "seals_agree"},
    ),
    "an entry gone without its lines": (
        ("DELETE FROM ledger_entry WHERE id = 4",),
        {"totals_equal_lines", "entries_are_whole"},
    ),
    "a line from nowhere": (
        ("INSERT INTO ledger_line VALUES (5, 77, 1, 2, 5, '')",),
        {"entries_are_whole"},
    ),
    "a snapshot": (
        ("UPDATE ledger_snapshot SET credits_posted_fen = 1 WHERE account_id = 2",),
        {"snapshots_agree"},
    ),
    "a snapshot gone": (
        ("DELETE FROM ledger_snapshot WHERE account_id = 2",),
        {"snapshots_agree"},
    ),
    "a root": (("UPDATE ledger_seal SET root = merkle_root",), {"seals_agree"}),
    "the chain": (("UPDATE ledger_seal SET previous_root = merkle_root",), {"seals_agree"}),
    "an entry moved to another day": (
        ("UPDATE ledger_entry SET business_date = '2018-09-02' WHERE id = 3",),
        {"snapshots_agree", "seals_agree"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_behind_the_ledgers_back_is_found(kept: Books, tampered: Tamper, change: str) -> None:
    statements, expected = CHANGES[change]
    tampered(*statements)
    with reading(kept.engine) as conn:
        findings = check_books(conn)
        assert {found.check for found in findings} == expected
        # Looking again finds the same: a check repairs nothing.
        assert check_books(conn) == findings
    assert all(found.subject and found.message for found in findings)


def test_a_difference_is_shown_to_the_fen_by_account(kept: Books, tampered: Tamper) -> None:
    tampered("UPDATE ledger_account SET credits_posted_fen = credits_posted_fen + 7 WHERE code = 'purse:1'")
    with reading(kept.engine) as conn:
        assert check_books(conn)[1] == Finding(
            "totals_equal_lines",
            "purse:1",
            500,
            507,
            "purse:1: credits by lines 500 fen, by the running total 507 fen",
        )


def test_an_overdrawn_account_needs_more_than_missing_triggers(kept: Books, tampered: Tamper) -> None:
    # The limit is a CHECK of the table, which stands when the triggers are gone.
    with pytest.raises(DBAPIError, match="no_debit_balance"):
        tampered("UPDATE ledger_account SET debits_posted_fen = 501 WHERE code = 'purse:1'")


def test_an_account_past_its_limit_is_found_even_where_the_limit_was_taken_away(
    kept: Books, tampered: Tamper
) -> None:
    if kept.engine.dialect.name == "postgresql":
        unlimited = "ALTER TABLE ledger_account DROP CONSTRAINT ck_ledger_account_no_debit_balance"
    else:
        unlimited = "PRAGMA ignore_check_constraints = ON"
    tampered(unlimited, "UPDATE ledger_account SET debits_held_fen = 301 WHERE code = 'purse:1'")
    with reading(kept.engine) as conn:
        [found] = check_books(conn)
    assert (found.check, found.subject, found.found_fen) == ("limits_hold", "purse:1", 1)


def test_every_check_is_named_after_what_it_reports() -> None:
    named = {check.__name__ for check in CHECKS}
    reported = {name for _, expected in CHANGES.values() for name in expected}
    assert reported | {"limits_hold"} == named

"""The checks find what someone changed behind the ledger's back, by name, and change nothing."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from ledger.checks import CHECKS, check_books, nightly_checks
from ledger.day import begin_close, finish_close
from ledger.db import asked_together, reading, writing
from ledger.findings import Finding
from ledger.seal import day_contents, store_seal
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, Tamper, numbered

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
MORE = f"UPDATE ledger_total SET credits_posted_fen = credits_posted_fen + 7 WHERE account_id = {PURSE_1}"
TAP_1, TAP_2 = f"id = {numbered(3)}", f"id = {numbered(1, NEXT_DAY)}"
"""The entry and the line of a ride on the sealed day, and of one on the open day."""

CHANGES: dict[str, tuple[tuple[str, ...], set[str], set[str]]] = {
    # What was changed, what every night finds, and what verification finds besides.
    "a running total": (
        (MORE,),
        {"accounts_sum_to_zero", "totals_equal_lines", "controls_equal_accounts"},
        set(),
    ),
    "two running totals that cancel out": (
        (MORE, "UPDATE ledger_total SET debits_posted_fen = debits_posted_fen + 7 WHERE account_id = 4"),
        {"totals_equal_lines", "controls_equal_accounts"},
        set(),
    ),
    "the totals of the day before": (
        ("UPDATE ledger_total SET debits_before_fen = 1 WHERE account_id = 3",),
        {"totals_tell_the_day_before"},
        set(),
    ),
    "the newest date of what did not move since": (
        (f"UPDATE ledger_total SET moved_on = '2018-09-02' WHERE account_id = {PURSE_1}",),
        {"totals_tell_the_day_before"},
        set(),
    ),
    "what is held": (
        ("UPDATE ledger_total SET debits_held_fen = 1 WHERE account_id = 4",),
        {"held_is_what_holds_say"},
        set(),
    ),
    "a control total": (
        ("UPDATE ledger_control SET debits_posted_fen = 1 WHERE segment = 'agent'",),
        {"controls_equal_accounts"},
        set(),
    ),
    "a control total gone": (
        ("DELETE FROM ledger_control WHERE segment = 'agent'",),
        {"controls_equal_accounts"},
        set(),
    ),
    "an amount of a sealed day": (
        (f"UPDATE ledger_line SET amount_fen = amount_fen - 1 WHERE {TAP_1}",),
        set(),
        {"totals_equal_lines", "totals_tell_the_day_before", "entries_equal_digests", "snapshots_agree"},
    ),
    "an amount of an open day": (
        (f"UPDATE ledger_line SET amount_fen = amount_fen - 1 WHERE {TAP_2}",),
        {"totals_equal_lines", "entries_equal_digests"},
        set(),
    ),
    "whose money it was": (
        (f"UPDATE ledger_line SET debit_id = {PURSE_1} WHERE {TAP_2}",),
        {"totals_equal_lines", "totals_tell_the_day_before", "entries_equal_digests"},
        {"walks_reach_every_line"},
    ),
    "what a line is about": (
        (f"UPDATE ledger_line SET item = 'another tap' WHERE {TAP_2}",),
        {"entries_equal_digests"},
        set(),
    ),
    "when it happened": (
        (f"UPDATE ledger_entry SET event_at = '2018-09-02T00:00:00+00:00' WHERE {TAP_2}",),
        {"entries_equal_digests"},
        set(),
    ),
    "when it was booked": (
        (f"UPDATE ledger_entry SET posted_at = '2018-09-02T00:00:00+00:00' WHERE {TAP_2}",),
        {"entries_equal_digests"},
        set(),
    ),
    "an entry of a sealed day and its digest": (
        (f"UPDATE ledger_entry SET kind = 'gift', digest = (SELECT root FROM ledger_seal) WHERE {TAP_1}",),
        set(),
        {"entries_equal_digests", "seals_agree"},
    ),
    "a line gone": (
        (f"DELETE FROM ledger_line WHERE {TAP_2}",),
        {"totals_equal_lines", "totals_tell_the_day_before", "entries_are_whole", "entries_equal_digests"},
        {"walks_reach_every_line"},
    ),
    "an entry of a sealed day gone with its lines": (
        (f"DELETE FROM ledger_line WHERE {TAP_1}", f"DELETE FROM ledger_entry WHERE {TAP_1}"),
        set(),
        {
            "totals_equal_lines",
            "totals_tell_the_day_before",
            "walks_reach_every_line",
            "snapshots_agree",
            "seals_agree",
        },
    ),
    "an entry gone without its lines": (
        (f"DELETE FROM ledger_entry WHERE {TAP_2}",),
        {"entries_are_whole"},
        set(),
    ),
    "a line from nowhere": (
        (f"INSERT INTO ledger_line VALUES ({numbered(2, NEXT_DAY)}, 77, 1, 2, 5, '', 0, 0)",),
        {"totals_equal_lines", "totals_tell_the_day_before", "entries_are_whole"},
        {"walks_reach_every_line"},
    ),
    "a snapshot that the night stands on": (
        (f"UPDATE ledger_snapshot SET credits_posted_fen = 1 WHERE account_id = {PURSE_1}",),
        {"totals_equal_lines"},
        {"snapshots_agree"},
    ),
    "a root": (
        ("UPDATE ledger_seal SET root = merkle_root",),
        set(),
        {"events_tell_the_present", "seals_agree"},
    ),
    "the root before": (("UPDATE ledger_seal SET previous_root = merkle_root",), set(), {"seals_agree"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_behind_the_ledgers_back_is_found(kept: Books, tampered: Tamper, change: str) -> None:
    statements, nightly, besides = CHANGES[change]
    tampered(*statements)
    with reading(kept.engine) as conn:
        findings = check_books(conn)
        assert {found.check for found in findings} == nightly
        # Looking again finds the same: a check repairs nothing.
        assert check_books(conn) == findings
        together = asked_together(kept.engine, nightly_checks())
        assert [finding for found in together for finding in found] == findings
        verified = list(verify_books(conn))
    assert {found.check for found in verified} - nightly == besides
    assert {found.check for found in verified} >= nightly - {"totals_equal_lines"}
    assert all(found.subject and found.message for found in [*findings, *verified])


def test_a_difference_is_shown_to_the_fen_by_account(kept: Books, tampered: Tamper) -> None:
    tampered(MORE)
    with reading(kept.engine) as conn:
        assert check_books(conn)[0] == Finding(
            "totals_equal_lines",
            "purse:1",
            500,
            507,
            "purse:1: credits by lines 500 fen, by the running total 507 fen",
        )


def test_an_overdrawn_account_needs_more_than_missing_triggers(kept: Books, tampered: Tamper) -> None:
    # The limit is a CHECK of the table, which stands when the triggers are gone.
    with pytest.raises(DBAPIError, match="no_debit_balance"):
        tampered(f"UPDATE ledger_total SET debits_posted_fen = 501 WHERE account_id = {PURSE_1}")


def test_an_account_past_its_limit_is_found_even_where_the_limit_was_taken_away(
    kept: Books, tampered: Tamper
) -> None:
    if kept.engine.dialect.name == "postgresql":
        unlimited = "ALTER TABLE ledger_total DROP CONSTRAINT ck_ledger_total_no_debit_balance"
    else:
        unlimited = "PRAGMA ignore_check_constraints = ON"
    tampered(unlimited, f"UPDATE ledger_total SET debits_held_fen = 301 WHERE account_id = {PURSE_1}")
    with reading(kept.engine) as conn:
        found = [(finding.check, finding.subject, finding.found_fen) for finding in check_books(conn)]
    assert found == [("limits_hold", "purse:1", 1), ("held_is_what_holds_say", "purse:1", 301)]


def test_every_check_is_named_after_what_it_reports() -> None:
    named = {check.__name__ for check in CHECKS}
    reported = {name for _, nightly, _ in CHANGES.values() for name in nightly}
    # The one that reads every line reports under two names.
    of_lines = {"totals_equal_lines", "totals_tell_the_day_before"}
    assert reported | {"limits_hold"} == (named - {"totals_agree_with_lines"}) | of_lines

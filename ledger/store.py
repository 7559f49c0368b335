"""Writing what was decided: a bounded number of statements, however much there is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete

from ledger import tables
from ledger.bulk import insert_rows, one_of_numbers
from ledger.decision import Offer, decide
from ledger.entry_rows import line_rows
from ledger.events import record_events
from ledger.facts import Facts
from ledger.moved import added_by
from ledger.orders import Answer
from ledger.standing import Accepted, Decision
from ledger.totals import add_to_totals, hold_on_totals


def decide_and_store(
    conn: Connection, offers: Sequence[Offer], facts: Facts, *, closing: bool, at: datetime
) -> list[Answer]:
    """Decide over offers and write what was decided; `at` is the instant of booking."""
    decision = decide(offers, facts, closing=closing, at=at)
    _store_all(conn, decision, at)
    _store_ends(conn, decision)
    if decision.forestalled:
        rows = [(reference, by, at) for reference, by in decision.forestalled.items()]
        insert_rows(conn, tables.forestalled, rows)
    record_events(conn, decision.events)
    return decision.answers


def _store_all(conn: Connection, decision: Decision, at: datetime) -> None:
    """Write holds, entries and what both do to accounts."""
    held = _held(decision) if decision.placed or decision.ended else []
    # Freed before it is posted and held after, so that no account is past its limit in between.
    hold_on_totals(conn, [(number, min(debits, 0), min(credits, 0)) for number, debits, credits in held])
    if decision.placed:
        _store_holds(conn, decision, at)
    if decision.accepted:
        insert_rows(
            conn,
            tables.entry,
            (
                entry_row(taken, at, first_line_id=taken.first_line_id, line_count=len(taken.entry.lines))
                for taken in decision.accepted
            ),
        )
        insert_rows(conn, tables.line, line_rows(decision.accepted, decision.accounts))
        add_to_totals(conn, *added_by(decision))
    hold_on_totals(conn, [(number, max(debits, 0), max(credits, 0)) for number, debits, credits in held])


def entry_row(taken: Accepted, at: datetime, *, first_line_id: int, line_count: int) -> tuple[Any, ...]:
    """A row of the entries, booked at `at`."""
    entry = taken.entry
    return (
        taken.entry_id,
        entry.reference,
        entry.kind,
        entry.business_date,
        entry.event_at,
        at,
        entry.narrative,
        taken.reverses_id,
        taken.settles_id,
        first_line_id,
        line_count,
        taken.digest,
        taken.chain,
    )


def _store_holds(conn: Connection, decision: Decision, at: datetime) -> None:
    placed, accounts = decision.placed, decision.accounts
    insert_rows(
        conn,
        tables.hold,
        (
            (
                one.hold_id, one.hold.reference, one.hold.kind, one.hold.event_at, at, one.hold.expires_at,
                one.hold.narrative, len(one.hold.lines), one.digest,
            )
            for one in placed
        ),
    )  # fmt: skip
    insert_rows(
        conn,
        tables.hold_line,
        (
            (
                one.hold_id, number, accounts[line.debit].account_id, accounts[line.credit].account_id,
                line.amount_fen, line.item,
            )
            for one in placed
            for number, line in enumerate(one.hold.lines, 1)
        ),
    )  # fmt: skip
    still_open = [(one.hold_id, one.hold.expires_at) for one in placed if one.hold_id not in decision.ended]
    insert_rows(conn, tables.open_hold, still_open)


def _store_ends(conn: Connection, decision: Decision) -> None:
    if decision.ended:
        ended = one_of_numbers(conn, tables.open_hold.c.hold_id, sorted(decision.ended))
        conn.execute(delete(tables.open_hold).where(ended))


def _held(decision: Decision) -> list[tuple[int, int, int]]:
    """What is held more, or less, on each account: (account id, debits, credits) in fen, by id."""
    return sorted((running.account_id, *running.held_more_fen()) for running in decision.accounts.values())

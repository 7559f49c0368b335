"""Writing what was decided: a bounded number of statements, however much there is."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, delete

from ledger import tables
from ledger.accounts import segment_of
from ledger.bulk import insert_rows, one_of_numbers
from ledger.events import record_events
from ledger.decision import Offer, answer, begun
from ledger.entry_rows import line_rows, say_entries
from ledger.facts import Facts
from ledger.orders import Answer, Hold
from ledger.questions import AS_IT_LIKES, BY_KEY
from ledger.standing import Accepted, Both, Decision, Running, Standing, Sums, sums
from ledger.talk import talking
from ledger.totals import Added, add_to_totals, hold_on_totals, say_held, say_totals

MOST_SAID: Final = 1_000
"""Orders in a call that are written by statements: of more than that, COPY takes in rows faster."""

WORTH_PARTING: Final = 64
"""From so many on, the first half is written while the second is being decided."""


def decide_and_store(
    conn: Connection, offers: Sequence[Offer], facts: Facts, *, closing: bool, at: datetime
) -> list[Answer]:
    """Decide over offers and write what was decided; `at` is the instant of booking."""
    books = begun(facts, closing=closing, at=at)
    if conn.dialect.name == "postgresql" and _can_be_said(offers, facts):
        _say_all(conn, books, offers, facts)
    else:
        answer(books, offers)
        _store_all(conn, books.decision, facts, at)
    decision = books.decision
    _store_ends(conn, decision)
    if decision.forestalled:
        rows = [(reference, by, at) for reference, by in decision.forestalled.items()]
        insert_rows(conn, tables.forestalled, rows)
    record_events(conn, decision.events)
    return decision.answers


def _can_be_said(offers: Sequence[Offer], facts: Facts) -> bool:
    """Whether it is as few as come together online, and no hold: that is to be there before an entry settles it."""
    return len(offers) <= MOST_SAID and not facts.due and not any(isinstance(one.order, Hold) for one in offers)


def _say_all(conn: Connection, books: Standing, offers: Sequence[Offer], facts: Facts) -> None:
    """Write entries while the next are being decided, then what all of them do to accounts."""
    decision = books.decision
    ids = {code: account.account_id for code, account in facts.accounts.items()}
    last_line_ids = _last_line_ids(facts)
    with talking(conn) as talk:
        talk.say(BY_KEY)
        a_part = len(offers) if len(offers) < WORTH_PARTING else -(-len(offers) // 2)
        for start in range(0, len(offers), max(1, a_part)):
            said = len(decision.accepted)
            answer(books, offers[start : start + a_part])
            if len(decision.accepted) > said:
                say_entries(talk, decision.accepted[said:], ids, last_line_ids, at=books.at)
        held = _held(decision) if decision.ended else []
        # Freed before it is posted, so that no account is past its limit in between.
        say_held(talk, held)
        if decision.accepted:
            say_totals(talk, _by_last_date(decision, last_line_ids), controls_of(*_by_segment(decision.moved)))
        talk.say(AS_IT_LIKES)


def _store_all(conn: Connection, decision: Decision, facts: Facts, at: datetime) -> None:
    """Write holds, entries and what both do to accounts."""
    held = _held(decision) if decision.placed or decision.ended else []
    # Freed before it is posted and held after, so that no account is past its limit in between.
    hold_on_totals(conn, [(number, min(debits, 0), min(credits, 0)) for number, debits, credits in held])
    if decision.placed:
        _store_holds(conn, decision, facts, at)
    if decision.accepted:
        last_line_ids = _last_line_ids(facts)
        ids = {code: account.account_id for code, account in facts.accounts.items()}
        insert_rows(
            conn,
            tables.entry,
            (
                entry_row(taken, at, first_line_id=taken.first_line_id, line_count=len(taken.entry.lines))
                for taken in decision.accepted
            ),
        )
        insert_rows(conn, tables.line, line_rows(decision.accepted, ids, last_line_ids))
        add_to_totals(conn, _by_last_date(decision, last_line_ids), controls_of(*_by_segment(decision.moved)))
    hold_on_totals(conn, [(number, max(debits, 0), max(credits, 0)) for number, debits, credits in held])


def _last_line_ids(facts: Facts) -> dict[int, int]:
    return {account.account_id: account.last_line_id for account in facts.accounts.values()}


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


def _by_last_date(decision: Decision, last_line_ids: Mapping[int, int]) -> Mapping[date, Sequence[Added]]:
    """What is added to accounts, by the last date that each is moved on.

    Nearly always that is one date; at most it is two, as no more days take entries.
    """
    *earlier, last = sorted({taken.entry.business_date for taken in decision.accepted})
    late = {code for amounts_fen in _sums_on(decision, last) for code in amounts_fen} if earlier else set()
    early_debits, early_credits = _sums_on(decision, earlier[0]) if earlier else ({}, {})
    added: dict[date, list[Added]] = {}
    for code, running in decision.moved.items():
        debits_fen, credits_fen = running.added_fen()
        if not debits_fen and not credits_fen:
            continue
        number = running.facts.account_id
        on_last = not earlier or code in late
        before = (early_debits.get(code, 0), early_credits.get(code, 0)) if on_last else (0, 0)
        added.setdefault(last if on_last else earlier[0], []).append(
            Added(number, debits_fen, credits_fen, *before, last_line_ids[number])
        )
    # In the order of their ids, which is the order of every lock on accounts.
    return {business_date: sorted(several) for business_date, several in added.items()}


def _sums_on(decision: Decision, business_date: date) -> Both:
    entries = [taken.entry for taken in decision.accepted if taken.entry.business_date == business_date]
    return sums([line for entry in entries for line in entry.lines])


def controls_of(debits_fen: Sums, credits_fen: Sums) -> list[tuple[str, int, int]]:
    """What is added to the control totals of sub-ledgers, from fen by segment: segment, debits, credits."""
    return [
        (segment, debits_fen.get(segment, 0), credits_fen.get(segment, 0))
        for segment in sorted(debits_fen.keys() | credits_fen.keys())
    ]


def _by_segment(moved: Mapping[str, Running]) -> Both:
    debits_fen: Sums = {}
    credits_fen: Sums = {}
    for code, running in moved.items():
        segment = segment_of(code)
        added = running.added_fen()
        for totals_fen, amount_fen in zip((debits_fen, credits_fen), added, strict=True):
            if amount_fen:
                totals_fen[segment] = totals_fen.get(segment, 0) + amount_fen
    return debits_fen, credits_fen


def _store_holds(conn: Connection, decision: Decision, facts: Facts, at: datetime) -> None:
    placed = decision.placed
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
                one.hold_id, number, facts.accounts[line.debit].account_id,
                facts.accounts[line.credit].account_id, line.amount_fen, line.item,
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
    return sorted((running.facts.account_id, *running.held_more_fen()) for running in decision.moved.values())

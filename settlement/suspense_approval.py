"""A proposal for taps in suspense carried out on the open day, or not at all.

All of it is done in one transaction while no night runs: its entries, its taps, and who said so. It is void where one
of its taps is no longer in suspense as it was, since then somebody proposed something else than would happen.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Engine, Row, select, update

from clearing.interop.centres import answers_of
from clearing.late_booking import book_late
from clearing.proposals import (
    Decision,
    Proposal,
    State,
    numbers_of_ours,
    of_proposal,
    paid_counters,
    proposal_of,
    why_not_paid,
)
from clearing.records import keep_positions
from clearing.suspense_tables import suspense_item
from clearing.tables import tap
from clearing.verdict import Money
from ledger.day import current_day
from ledger.db import writing
from ledger.directory import Directory
from ledger.prepared import Heading
from settlement.night_lock import exclusive
from settlement.night_log import unfinished_before
from settlement.suspense_decisions import keep_word, known
from settlement.two_people import (
    DecisionRefusal,
    DecisionRefused,
    Word,
    refusal_of_word,
)
from settlement.waiting_proposals import Room


def approve(engine: Engine, word: Word, *, nights: Path) -> Proposal | DecisionRefused:
    """Carry a proposal out on the open day; said again by the same person, the proposal as it stands.

    Raises NightRunning while a night runs, DayOrderError where no day is open, StepRefused where the ledger refuses;
    then nothing is written.
    """
    with exclusive(engine, nights), writing(engine) as conn:
        found = proposal_of(conn, word.number)
        refused = refusal_of_word(found, word, State.APPROVED, Room.SUSPENSE)
        if refused is not None:
            return refused
        assert found is not None
        if found.state is not State.PROPOSED:
            return found
        unfinished = unfinished_before(conn, date.max)
        if unfinished is not None:
            message = f"the night of {unfinished} is not finished"
            remedy = f"run the night of {unfinished} to its end first"
            return DecisionRefused(DecisionRefusal.NIGHT_UNFINISHED, message, remedy)
        taps = _taps(conn, word.number)
        void = why_void(found, taps)
        if void is None and found.decision is Decision.PAY:
            void = why_not_paid(taps, paid_counters(conn, taps), numbers_of_ours(conn, taps))
        if void is not None:
            keep_word(conn, word, State.VOID, void)
            remedy = "nothing was done; propose anew what is still in suspense: `onecard suspense list`"
            message = f"proposal {word.number} is void: {void}"
            return DecisionRefused(DecisionRefusal.VOID, message, remedy)
        business_date = current_day(conn)
        _carry_out(conn, Directory(engine), found, taps, business_date, word.at)
        keep_word(conn, word, State.APPROVED, "", business_date)
        return known(conn, word.number)


def why_void(proposal: Proposal, taps: Sequence[Row[Any]]) -> str | None:
    """What has become of a proposal's taps since, or None where all are in suspense as they were."""
    for one in taps:
        place = f"tap {one.sequence}:{one.position} of {one.operator}"
        if one.money != Money.SUSPENDED.value:
            return f"{place} is {one.verdict}, {one.money} since {one.decided_on}"
        if one.verdict != proposal.verdict.value:
            return f"{place} is in suspense for another reason now: {one.verdict}"
    return None


def _taps(conn: Connection, number: int) -> Sequence[Row[Any]]:
    """A proposal's taps as they stand now, by place, each with what it is to be paid (`due_fen`)."""
    columns = tap.c
    query = select(tap, suspense_item.c.paid_fen.label("due_fen")).where(of_proposal(number))
    return conn.execute(query.order_by(columns.operator, columns.sequence, columns.position)).all()


def _carry_out(
    conn: Connection,
    directory: Directory,
    proposal: Proposal,
    taps: Sequence[Row[Any]],
    business_date: date,
    at: datetime,
) -> None:
    def named(heading: Heading) -> Heading:
        narrative = f"{heading.narrative}, as decided in {proposal.number}"
        return replace(
            heading, reference=f"{heading.reference}:decided:{proposal.number}", narrative=narrative
        )

    pays = proposal.decision is Decision.PAY
    costly = [one for one in taps if pays and one.amount_fen > 0]
    if costly:
        book_late(conn, directory, _columns(costly), named, business_date=business_date, at=at)
    conn.execute(
        update(tap)
        .where(of_proposal(proposal.number))
        .values(
            decided_on=business_date,
            money=(Money.PAID if pays else Money.REJECTED).value,
            paid_fen=suspense_item.c.paid_fen,
            flaw=f"decided in proposal {proposal.number}: {proposal.reason}",
        )
    )
    if pays:
        abroad = {one.issuer for one in answers_of(conn)}
        keep_positions(conn, _positions([one for one in taps if one.issuer not in abroad]))


def _columns(taps: Sequence[Row[Any]]) -> pa.Table:
    names = ("operator", "sequence", "card_no", "counter", "amount_fen")
    columns = {name: [getattr(one, name) for one in taps] for name in names}
    return pa.table(columns | {"paid_fen": [one.due_fen for one in taps], "retried": [True] * len(taps)})


def _positions(taps: Sequence[Row[Any]]) -> list[pa.Table]:
    """Where the cards of paid taps stand, as for `Judged.positions`, so that a twin gets its closer look."""
    if not taps:
        return []
    last = {one.card_no: one for one in sorted(taps, key=lambda one: one.counter)}
    first = {one.card_no: one.counter for one in sorted(taps, key=lambda one: -one.counter)}
    rows = list(last.values())
    columns = {
        "card_no": [one.card_no for one in rows],
        "first_counter": [first[one.card_no] for one in rows],
        "counter": [one.counter for one in rows],
        "balance_fen": [one.balance_before_fen - one.amount_fen for one in rows],
        "at_s": [int(one.event_at.astimezone(UTC).timestamp()) for one in rows],
    }
    return [pa.table(columns)]

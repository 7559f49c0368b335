"""What a night hands to people: read from the books after everything is booked and reconciled."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, Engine, Table, func, select

from clearing.context import Night, StepResult
from clearing.intake import missing_batches
from clearing.interop.waiting import odd_lines, refused_taps
from clearing.online.qr_tables import qr_ride
from clearing.tables import rejected_file, tap
from clearing.verdict import WINDOW_DAYS, Money, Verdict
from clearing.wording import taps_in_words
from ledger.db import reading
from ledger.money import yuan
from ledger.snapshots import total_fen
from settlement.bank.points import WORK_KINDS, morning_after, points_of, work_of
from settlement.netting import Standing
from settlement.night_log import recorded_steps
from settlement.peers import waiting_items
from settlement.positions import positions_of
from settlement.waiting_proposals import waiting_proposals
from settlement.work_queue import DAYS, Found, Kind, hand_over

PRICE_DIFFERENCE_FEN: Final = 1_000
"""What an operator may have charged above the tariff on one night before somebody looks at it."""

TOLD_AT_ONCE: Final = (*WORK_KINDS, Kind.APPROVAL_WAITS)
"""What whoever changes it tells the queue of as well, by day."""

STANDING: Final = (
    Kind.FILE_MISSING, *TOLD_AT_ONCE, Kind.POSITION_CARRIED, Kind.PEER_OPEN, Kind.SUSPENDED,
)  # fmt: skip
"""Found every night for as long as they last; the rest belongs to the night that found it."""

_NUMBERS_NAMED: Final = 20


def hand_over_work(engine: Engine, night: Night) -> StepResult:
    """Put what a person must look at into the work queue; the counts are by kind, of what was found."""
    with reading(engine) as conn:
        found = found_by_night(conn, night.business_date)
    counts = Counter(one.kind.value for one in found)

    def write(conn: Connection) -> None:
        # Of what others tell the queue at once, what came since this was read is not gone.
        lasting = [one for one in found if one.kind not in TOLD_AT_ONCE]
        now = _in_order([*lasting, *_told_at_once(conn, night.business_date)])
        hand_over(conn, now, STANDING, night.business_date, at=night.at)

    return StepResult(
        {kind.value: counts[kind.value] for kind in Kind if kind is not Kind.NIGHT_REFUSED}, write=write
    )


def found_by_night(conn: Connection, business_date: date) -> list[Found]:
    """Everything that the night of a business date leaves for people, in the order of kinds and subjects."""
    found = [
        *_clones(conn, business_date),
        *_rejected(conn, business_date),
        *_missing(conn, business_date),
        *_told_at_once(conn, business_date),
        *_carried(conn, business_date),
        *_peers(conn, business_date),
        *_prices(conn, business_date),
        *_lines(conn, business_date),
        *_refused_elsewhere(conn, business_date),
        *_suspended(conn, tap, "taps"),
        *_suspended(conn, qr_ride, "rides on codes"),
    ]
    return _in_order(found)


def refused(business_date: date, step: str, reason: str, remedy: str) -> Found:
    """A night that stopped, as an item of the queue."""
    return Found(Kind.NIGHT_REFUSED, f"{business_date}", business_date, 1, 0, f"{step}: {reason}", remedy)


def _in_order(found: list[Found]) -> list[Found]:
    order = tuple(Kind)
    return sorted(found, key=lambda one: (order.index(one.kind), one.subject))


def _told_at_once(conn: Connection, business_date: date) -> Iterator[Found]:
    yield from work_of(points_of(conn, morning_after(business_date)))
    yield from (one.work for one in waiting_proposals(conn))


def _clones(conn: Connection, business_date: date) -> Iterator[Found]:
    columns = tap.c
    query = (
        select(columns.card_no, func.count(), total_fen(columns.amount_fen))
        .where(
            columns.decided_on == business_date,
            columns.verdict == Verdict.COUNTER_CONFLICT.value,
            columns.money == Money.SUSPENDED.value,
        )
        .group_by(columns.card_no)
    )
    for card_no, taps, amount_fen in conn.execute(query):
        what = f"card {card_no} made {taps} taps of which two have one counter; it is hotlisted"
        remedy = (
            "find the cloned or broken card; decide the taps in suspense with its holder and the operators: "
            "`onecard suspense propose`"
        )
        yield _found(Kind.CLONE, card_no, business_date, taps, amount_fen, what, remedy)


def _rejected(conn: Connection, business_date: date) -> Iterator[Found]:
    query = select(rejected_file).where(rejected_file.c.collected_on == business_date)
    for row in conn.execute(query):
        what = f"{row.name}: {row.message.removesuffix(f'; {row.remedy}')}"
        subject = f"{row.name} {row.digest[:16]}"
        yield _found(Kind.FILE_REJECTED, subject, business_date, 1, 0, what, row.remedy)


def _missing(conn: Connection, business_date: date) -> Iterator[Found]:
    for operator, gaps in groupby(missing_batches(conn), key=lambda gap: gap[0]):
        numbers = [sequence for _, sequence in gaps]
        named = ", ".join(map(str, numbers[:_NUMBERS_NAMED]))
        more = f" and {len(numbers) - _NUMBERS_NAMED} more" if numbers[_NUMBERS_NAMED:] else ""
        what = f"batches {named}{more} of {operator} never came, though later ones did"
        remedy = "ask the operator to send them"
        yield _found(Kind.FILE_MISSING, operator, business_date, len(numbers), 0, what, remedy)


def _carried(conn: Connection, business_date: date) -> Iterator[Found]:
    for row in positions_of(conn, business_date):
        if row.standing is Standing.CARRIED:
            what = f"{row.party} owes {yuan(-row.position_fen)} yuan, carried into the next night"
            remedy = "if it does not earn that soon, ask it to pay"
            yield _found(Kind.POSITION_CARRIED, row.party, business_date, 1, row.position_fen, what, remedy)


def _peers(conn: Connection, business_date: date) -> Iterator[Found]:
    waiting = sorted(waiting_items(conn, business_date), key=lambda one: (one.peer, one.waits_for))
    for (peer, waits_for), group in groupby(waiting, key=lambda one: (one.peer, one.waits_for)):
        held = list(group)
        oldest, amount_fen = min(one.since for one in held), sum(one.amount_fen for one in held)
        what = f"{waits_for}, waiting for {peer}: {len(held)}, the oldest since {oldest}"
        remedy = "see peer_waiting.csv; ask the institution"
        yield _found(
            Kind.PEER_OPEN, f"{peer} {waits_for}", business_date, len(held), amount_fen, what, remedy
        )
    counts = {one.step: one.counts for one in recorded_steps(conn, business_date)}.get("reconcile_peers", {})
    for who, many in (("biller", "billers"), ("insurer", "insurer"), ("centre", "other cities")):
        days = counts.get(f"{who}_days_open", 0)
        if days:
            what = f"days not settled with the {many}: {days}"
            remedy = "see peers.csv and peer_differences.csv"
            yield _found(Kind.PEER_OPEN, f"{who} days", business_date, days, 0, what, remedy)


def _lines(conn: Connection, business_date: date) -> Iterator[Found]:
    for centre, group in groupby(odd_lines(conn), key=lambda one: one.centre):
        lines = list(group)
        oldest, amount_fen = min(one.found_on for one in lines), sum(one.amount_fen for one in lines)
        what = f"lines in results of {centre} that fit no tap: {len(lines)}, the oldest since {oldest}"
        remedy = (
            f"see `onecard centres lines {centre}`; have the centre correct them, or settle them with why"
        )
        subject = f"{centre} result lines"
        yield _found(Kind.PEER_OPEN, subject, business_date, len(lines), amount_fen, what, remedy)


def _refused_elsewhere(conn: Connection, business_date: date) -> Iterator[Found]:
    for operator, group in groupby(refused_taps(conn, business_date), key=lambda one: one.operator):
        parts = list(group)
        taps, amount_fen = sum(one.taps for one in parts), sum(one.amount_fen for one in parts)
        why = ", ".join(f"{one.taps} by {one.centre}: {one.reason}" for one in parts)
        what = f"other cities refused {taps_in_words(taps)} of {operator} on their cards: {why}"
        remedy = "tell the operator; see exceptions.csv"
        subject = f"{operator} {business_date}"
        yield _found(Kind.ISSUER_REFUSED, subject, business_date, taps, amount_fen, what, remedy)


def _prices(conn: Connection, business_date: date) -> Iterator[Found]:
    columns = tap.c
    over_fen = total_fen(columns.amount_fen - columns.paid_fen)
    query = (
        select(columns.operator, func.count(), over_fen)
        .where(columns.decided_on == business_date, columns.verdict == Verdict.PRICE_DIFFERS.value)
        .group_by(columns.operator)
        .having(over_fen > PRICE_DIFFERENCE_FEN)
    )
    for operator, taps, amount_fen in conn.execute(query):
        what = f"{operator} charged {yuan(amount_fen)} yuan above the tariff on {taps_in_words(taps)}"
        remedy = "compare its tariff with ours; riders are owed the difference (suspense:overcharge)"
        yield _found(
            Kind.PRICE_DIFFERS, f"{operator} {business_date}", business_date, taps, amount_fen, what, remedy
        )


def _suspended(conn: Connection, table: Table, word: str) -> Iterator[Found]:
    columns = table.c
    keys = (columns.business_date, columns.operator, columns.verdict)
    query = select(*keys, func.count(), total_fen(columns.amount_fen)).group_by(*keys)
    suspended = query.where(columns.money == Money.SUSPENDED.value)
    for first, operator, verdict, count, amount_fen in conn.execute(suspended):
        what = f"{word} of {operator}, first presented on {first}, in suspense: {verdict} ({count})"
        remedy = f"settle the cause; whatever is not settled within {WINDOW_DAYS} days is not paid"
        if verdict == Verdict.ROUTED.value:
            remedy = "ask the centre that answers for the cards: see peer_waiting.csv"
        elif table is tap and verdict != Verdict.TAC_WRONG.value:
            remedy = (
                "settle the cause: every night judges it again, and it is paid whenever it is settled; "
                "or let two people decide it: `onecard suspense propose`"
            )
        subject = f"{word} {operator} {verdict} {first}"
        yield _found(Kind.SUSPENDED, subject, first, count, amount_fen, what, remedy)


def _found(
    kind: Kind, subject: str, since: date, items: int, amount_fen: int, what: str, remedy: str
) -> Found:
    due_on = since + timedelta(days=DAYS[kind])
    return Found(kind, subject, due_on, items, amount_fen, what[:2000], remedy)

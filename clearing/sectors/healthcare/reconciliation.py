"""Reconciling business days with the insurer: what it pays of a day's claims against our bills, to the fen.

Totals first, then lines. Nothing is booked: a bill that waits is asked about, and what else differs a person
puts right with the insurer. A day on which something differs is compared again every night until nothing does.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, or_, select, update

from clearing.context import Night
from clearing.peers import SILENT_IN_A_ROW
from clearing.sectors.healthcare.bill_book import bills_among, bills_of_day
from clearing.sectors.healthcare.bills import BillRecord
from clearing.sectors.healthcare.claims import OPEN, State
from clearing.sectors.healthcare.insurer import Insurer, InsurerDay, NoAnswer, PaidClaim
from clearing.sectors.healthcare.tables import hospital_bill, insurer_day
from clearing.sectors.peer_day import Compared, LineDifference, Outcome, PeerDay, PeerDays, Totals
from ledger.db import reading
from ledger.tables import day as day_table

INSURER = "insurer"
"""What the insurer is called where peers are listed."""


class DifferenceKind(StrEnum):
    """How a claim differs, in order of precedence: the first that applies is the one listed."""

    OURS_ONLY = "ours_only"
    """We have paid the hospital for the fund, and the insurer does not pay it."""
    WAITING = "waiting"
    """The insurer pays it, and our bill has not heard so, or is being taken back: it is asked about again."""
    THEIRS_ONLY = "theirs_only"
    """The insurer pays what we do not have, or what has ended here without money."""
    OTHER_AMOUNT = "other_amount"


def compare(ours: Iterable[BillRecord], theirs: InsurerDay, elsewhere: Mapping[str, BillRecord]) -> Compared:
    """Hold the bills of a business date against the claims that the insurer pays of it.

    `elsewhere` are bills of other dates that the insurer lists. Ours counts bills paid and not taken back.
    """
    held = {one.reference: one for one in ours}
    listed = {one.reference: one for one in theirs.claims}
    paid = [one.fund_fen for one in held.values() if one.state is State.PAID]
    found = [
        _difference(held.get(reference), listed.get(reference), elsewhere.get(reference))
        for reference in sorted(held.keys() | listed.keys())
    ]
    return Compared(
        theirs.business_date,
        Totals(len(paid), sum(paid)),
        Totals(len(theirs.claims), theirs.fund_fen),
        tuple(one for one in found if one is not None),
    )


def _difference(
    bill: BillRecord | None, claim: PaidClaim | None, elsewhere: BillRecord | None
) -> LineDifference | None:
    if claim is None:
        if bill is None or bill.state is not State.PAID:
            return None  # a bill that waits and that the insurer does not pay differs in nothing yet
        message = "paid by us and not by the insurer; ask the insurer why, or cancel the bill"
        return LineDifference(bill.reference, DifferenceKind.OURS_ONLY, bill.fund_fen, None, message)
    if bill is not None and bill.state in OPEN:
        message = f"paid by the insurer and {bill.state} with us; the insurer is asked again"
        return LineDifference(claim.reference, DifferenceKind.WAITING, None, claim.fund_fen, message)
    if bill is None or bill.state is not State.PAID:
        message = f"paid by the insurer and {_why_not_ours(bill, elsewhere)}; have the insurer withdraw it"
        return LineDifference(claim.reference, DifferenceKind.THEIRS_ONLY, None, claim.fund_fen, message)
    if bill.fund_fen != claim.fund_fen:
        message = (
            f"we hold {bill.fund_fen} fen of it, the insurer pays {claim.fund_fen} fen; one has to correct"
        )
        return LineDifference(
            claim.reference, DifferenceKind.OTHER_AMOUNT, bill.fund_fen, claim.fund_fen, message
        )
    return None


def _why_not_ours(held: BillRecord | None, elsewhere: BillRecord | None) -> str:
    if held is not None:
        return f"{held.state} with us"
    return f"with us of {elsewhere.claimed_on}" if elsewhere is not None else "unknown to us"


def reconcile_insurer(engine: Engine, night: Night) -> PeerDays:
    """Ask for and compare all days through the night's own that do not agree yet; `write` keeps the totals."""
    with reading(engine) as conn:
        wanted = days_to_compare(conn, through=night.business_date)
    told = _ask_each(night.peers.insurer, wanted)
    days: list[PeerDay] = []
    compared: list[Compared] = []
    with reading(engine) as conn:
        for day, answer in told:
            if isinstance(answer, InsurerDay):
                compared.append(compare_day(conn, answer))
                days.append(_day_of(compared[-1]))
            else:
                days.append(PeerDay(INSURER, day, *answer))

    def write(conn: Connection) -> None:
        for one in compared:
            keep_day(conn, one, at=night.at)

    return PeerDays(tuple(days), write)


def days_to_compare(conn: Connection, *, through: date) -> list[date]:
    """Business days since the first claim that were not compared yet, or on which something differs."""
    first = select(func.min(hospital_bill.c.claimed_on)).scalar_subquery()
    query = (
        select(day_table.c.business_date)
        .outerjoin(insurer_day, insurer_day.c.business_date == day_table.c.business_date)
        .where(
            day_table.c.business_date >= first,
            day_table.c.business_date <= through,
            or_(insurer_day.c.business_date.is_(None), insurer_day.c.differences > 0),
        )
        .order_by(day_table.c.business_date)
    )
    return list(conn.scalars(query))


def compare_day(conn: Connection, told: InsurerDay) -> Compared:
    """Compare a day with our books as they are now."""
    ours = bills_of_day(conn, told.business_date)
    held = {one.reference for one in ours}
    strangers = [claim.reference for claim in told.claims if claim.reference not in held]
    return compare(ours, told, bills_among(conn, strangers))


def keep_day(conn: Connection, found: Compared, *, at: datetime) -> None:
    """Keep how a day stands, in place of how it stood."""
    columns = insurer_day.c
    values: dict[str, Any] = {
        "ours_count": found.ours.count,
        "ours_fen": found.ours.amount_fen,
        "theirs_count": found.theirs.count,
        "theirs_fen": found.theirs.amount_fen,
        "differences": len(found.differences),
        "reconciled_at": at,
    }
    here = columns.business_date == found.business_date
    if not conn.execute(update(insurer_day).where(here).values(values)).rowcount:
        conn.execute(insert(insurer_day).values(business_date=found.business_date, **values))


def kept_day(conn: Connection, business_date: date) -> tuple[Totals, Totals, int] | None:
    """How a day stood when it was compared last: ours, theirs, lines differing; None where it never was."""
    columns = insurer_day.c
    row = conn.execute(select(insurer_day).where(columns.business_date == business_date)).one_or_none()
    if row is None:
        return None
    return Totals(row.ours_count, row.ours_fen), Totals(row.theirs_count, row.theirs_fen), row.differences


def _ask_each(
    insurer: Insurer | None, days: Iterable[date]
) -> list[tuple[date, InsurerDay | tuple[Outcome, str]]]:
    """Each day's claims, the newest asked first, or how it ended without them; oldest first."""
    told: list[tuple[date, InsurerDay | tuple[Outcome, str]]] = []
    silent = 0
    for day in sorted(days, reverse=True):
        if insurer is None:
            told.append((day, (Outcome.NOT_CONNECTED, "no address of the insurer is set; set it")))
        elif silent == SILENT_IN_A_ROW:
            why = "the insurer is silent tonight; it is asked again the next night"
            told.append((day, (Outcome.NOT_TRIED, why)))
        elif isinstance(answer := insurer.day(day), NoAnswer):
            silent += 1
            told.append((day, (Outcome.NO_ANSWER, answer.detail)))
        else:
            silent = 0
            told.append((day, answer))
    return told[::-1]


def _day_of(found: Compared) -> PeerDay:
    outcome = Outcome.AGREES if found.agrees else Outcome.DIFFERS
    return PeerDay(INSURER, found.business_date, outcome, "", found.ours, found.theirs, found.differences)

"""Taps whose money awaits a decision: listed with their age, and which of them every night judges again."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Connection, Subquery, and_, func, select

from clearing.proposals import waiting_taps
from clearing.tables import tap
from clearing.verdict import Money, Verdict
from ledger.snapshots import total_fen


@dataclass(frozen=True, slots=True)
class SuspendedTap:
    """A tap in suspense, why, for how many days since it was first presented, and the proposal that it waits in."""

    operator: str
    sequence: int
    position: int
    card_no: str
    counter: int
    terminal: str
    amount_fen: int
    verdict: Verdict
    presented_on: date
    age_days: int
    proposal: int | None


@dataclass(frozen=True, slots=True)
class SuspendedGroup:
    """Taps of an operator in suspense for one verdict, first presented on one day: how many, and what they show.

    `proposed` of them wait in proposals; all of them in one: `proposal`.
    """

    operator: str
    verdict: Verdict
    presented_on: date
    age_days: int
    taps: int
    amount_fen: int
    proposed: int
    proposal: int | None


def suspended_groups(
    conn: Connection, business_date: date, *, operator: str | None = None, verdict: Verdict | None = None
) -> list[SuspendedGroup]:
    """What is in suspense, oldest first, of one operator or verdict or of all; ages as of `business_date`."""
    keys = (tap.c.business_date, tap.c.operator, tap.c.verdict)
    waits, places = _proposed()
    numbers = (func.count(waits.c.proposal), func.min(waits.c.proposal), func.max(waits.c.proposal))
    query = (
        select(*keys, func.count(), total_fen(tap.c.amount_fen), *numbers)
        .outerjoin(waits, places)
        .where(*_suspended(operator, verdict))
        .group_by(*keys)
        .order_by(*keys)
    )
    groups = []
    for since, who, why, taps, amount_fen, proposed, first, last in conn.execute(query):
        age_days, whole = (business_date - since).days, proposed == taps and first == last
        groups.append(
            SuspendedGroup(
                who, Verdict(why), since, age_days, taps, int(amount_fen), proposed, first if whole else None
            )
        )
    return groups


def suspended_taps(
    conn: Connection, business_date: date, *, operator: str | None = None, verdict: Verdict | None = None
) -> list[SuspendedTap]:
    """Taps in suspense, oldest first, of one operator or verdict or of all; ages as of `business_date`."""
    waits, places = _proposed()
    query = (
        select(tap, waits.c.proposal)
        .outerjoin(waits, places)
        .where(*_suspended(operator, verdict))
        .order_by(tap.c.business_date, tap.c.operator, tap.c.sequence, tap.c.position)
    )
    return [
        SuspendedTap(
            row.operator,
            row.sequence,
            row.position,
            row.card_no,
            row.counter,
            row.terminal,
            row.amount_fen,
            Verdict(row.verdict),
            row.business_date,
            (business_date - row.business_date).days,
            row.proposal,
        )
        for row in conn.execute(query)
    ]


def _suspended(operator: str | None, verdict: Verdict | None) -> list[ColumnElement[bool]]:
    wanted = [tap.c.money == Money.SUSPENDED.value]
    if operator is not None:
        wanted.append(tap.c.operator == operator)
    if verdict is not None:
        wanted.append(tap.c.verdict == verdict.value)
    return wanted


def _proposed() -> tuple[Subquery, ColumnElement[bool]]:
    """Taps that wait in proposals, and the condition that one is a row of `tap`."""
    waits = waiting_taps().subquery()
    return waits, and_(*(tap.c[name] == waits.c[name] for name in ("operator", "sequence", "position")))


def awaits_judgement() -> ColumnElement[bool]:
    """The condition on `tap` that it comes before every night again.

    One that was routed does not: what becomes of it is its issuer's to say.
    """
    return (tap.c.money == Money.SUSPENDED.value) & (tap.c.verdict != Verdict.ROUTED.value)


def decided() -> ColumnElement[bool]:
    """The opposite: nights judge it no more."""
    return (tap.c.money != Money.SUSPENDED.value) | (tap.c.verdict == Verdict.ROUTED.value)

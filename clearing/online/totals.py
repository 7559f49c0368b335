"""What a participant's statement says of its online payments on a business date.

A line is something that was booked on that date: a payment, a refund or a reversal. A payment of yesterday
that goes back today stands on yesterday's statement as paid and on today's as refunded, as money moved.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    String,
    Table,
    case,
    func,
    literal,
    select,
    union_all,
)

from clearing.online.payment_record import Channel
from clearing.online.tables import payment, payment_refund, payment_reversal
from ledger.snapshots import total_fen


class Happening(StrEnum):
    """What a line of a statement is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True)
class ParticipantLine:
    """Something that moved a participant's money; `net_fen` is what it is owed by it, negative if it owes.

    `reference` is the payment's, the refund's or the reversal's own, `payment` that of the payment behind it,
    which also gives `kind`, `channel` and `holder`; `event_at` is when this line's own event happened.
    """

    happening: Happening
    reference: str
    payment: str
    kind: str
    channel: Channel
    gross_fen: int
    refunded_fen: int
    event_at: datetime
    holder: str
    entry_id: int

    @property
    def net_fen(self) -> int:
        """Gross less what went back."""
        return self.gross_fen - self.refunded_fen


@dataclass(frozen=True, slots=True)
class ParticipantTotal:
    """The sums over a participant's lines of one kind and channel, in fen; reversals count as refunded."""

    participant: str
    kind: str
    channel: Channel
    payments: int
    refunds: int
    reversals: int
    gross_fen: int
    refunded_fen: int

    @property
    def net_fen(self) -> int:
        """What the participant is owed by them."""
        return self.gross_fen - self.refunded_fen


def participant_lines(conn: Connection, participant: str, business_date: date) -> list[ParticipantLine]:
    """A participant's lines of a business date in the order of booking."""
    lines = _lines(business_date, payment.c.merchant == participant).subquery()
    return [
        ParticipantLine(
            happening=Happening(row.happening),
            reference=row.reference,
            payment=row.payment,
            kind=row.kind,
            channel=Channel(row.channel),
            gross_fen=row.gross_fen,
            refunded_fen=row.refunded_fen,
            event_at=row.event_at,
            holder=row.holder,
            entry_id=row.entry_id,
        )
        for row in conn.execute(select(lines).order_by(lines.c.entry_id))
    ]


def participant_totals(
    conn: Connection, business_date: date, participant: str | None = None
) -> list[ParticipantTotal]:
    """The totals of a business date by participant (all, or the one given), kind and channel, summed there."""
    mine = () if participant is None else (payment.c.merchant == participant,)
    lines = _lines(business_date, *mine).subquery()
    keys = (lines.c.merchant, lines.c.kind, lines.c.channel)
    counts = [
        func.sum(case((lines.c.happening == happening.value, 1), else_=0)).label(happening.value)
        for happening in Happening
    ]
    sums = (total_fen(lines.c.gross_fen), total_fen(lines.c.refunded_fen))
    query = select(*keys, *counts, *sums).group_by(*keys).order_by(*keys)
    return [
        ParticipantTotal(merchant, kind, Channel(channel), *(int(number) for number in numbers))
        for merchant, kind, channel, *numbers in conn.execute(query)
    ]


def _lines(business_date: date, *where: ColumnElement[bool]) -> CompoundSelect[Any]:
    """Everything booked on a date, one row a line, as three selects of the same columns."""
    refunds = payment_refund.join(payment, payment.c.reference == payment_refund.c.original)
    reversals = payment_reversal.join(payment, payment.c.reference == payment_reversal.c.original)
    nothing = literal(0, BigInteger)
    return union_all(
        _select(Happening.PAYMENT, payment, payment, payment.c.amount_fen, nothing, business_date, where),
        _select(
            Happening.REFUND,
            payment_refund,
            refunds,
            nothing,
            payment_refund.c.amount_fen,
            business_date,
            where,
        ),
        _select(
            Happening.REVERSAL,
            payment_reversal,
            reversals,
            nothing,
            payment.c.amount_fen,
            business_date,
            where,
        ),
    )


def _select(
    happening: Happening,
    table: Table,
    source: FromClause,
    gross_fen: ColumnElement[int],
    refunded_fen: ColumnElement[int],
    business_date: date,
    where: tuple[ColumnElement[bool], ...],
) -> Select[Any]:
    return (
        select(
            literal(happening.value, String).label("happening"),
            table.c.reference.label("reference"),
            payment.c.reference.label("payment"),
            payment.c.merchant.label("merchant"),
            payment.c.kind.label("kind"),
            payment.c.channel.label("channel"),
            gross_fen.label("gross_fen"),
            refunded_fen.label("refunded_fen"),
            table.c.event_at.label("event_at"),
            payment.c.holder.label("holder"),
            table.c.entry_id.label("entry_id"),
        )
        .select_from(source)
        .where(table.c.business_date == business_date, *where)
    )

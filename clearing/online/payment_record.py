"""Payments as they were booked: what was asked, from which pockets, and what has gone back since."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, and_, select

from clearing.online.tables import payment, payment_leg
from ledger.bulk import one_of


class Channel(StrEnum):
    """The door that a payment came in by."""

    GATEWAY = "gateway"
    HTTP = "http"
    QR = "qr"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a payment and the account that pays it, such as `wallet:H0000000017` or `fund:MED-POOL`."""

    account: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """A booked payment; `refunded_legs` says what of each of `legs` has gone back, in the same order.

    `entry_id` is the ledger's number of its entry. A payment that was reversed has gone back whole.
    """

    reference: str
    entry_id: int
    channel: Channel
    kind: str
    merchant: str
    holder: str
    legs: tuple[Leg, ...]
    refunded_legs: tuple[Leg, ...]
    reversed_by: str | None
    business_date: date
    event_at: datetime
    narrative: str

    @property
    def amount_fen(self) -> int:
        """What was paid, over all legs."""
        return sum(leg.amount_fen for leg in self.legs)

    @property
    def refunded_fen(self) -> int:
        """What refunds have given back; a reversal is not one."""
        return sum(leg.amount_fen for leg in self.refunded_legs)

    @property
    def standing_fen(self) -> int:
        """What the merchant keeps of it as things stand."""
        return 0 if self.reversed_by is not None else self.amount_fen - self.refunded_fen


def payment_of(conn: Connection, reference: str) -> PaymentRecord | None:
    """The payment of a reference, or None where none was booked under it."""
    return payments_by_reference(conn, [reference]).get(reference)


def payments_by_reference(conn: Connection, references: Sequence[str]) -> dict[str, PaymentRecord]:
    """Those payments that are booked under one of `references`, in two statements."""
    found = _records(conn, one_of(conn, payment.c.reference, list(references)))
    return {record.reference: record for record in found}


def payments_of_holder(
    conn: Connection, holder: str, *, limit: int = 50, before: int | None = None
) -> list[PaymentRecord]:
    """A holder's newest payments first; `before` is the `entry_id` of the last one seen already."""
    return _newest(conn, payment.c.holder == holder, limit=limit, before=before)


def newest_of_merchant(
    conn: Connection, merchant: str, business_date: date, *, limit: int = 50, before: int | None = None
) -> list[PaymentRecord]:
    """A merchant's newest payments of a business date first; `before` as in `payments_of_holder`."""
    of_day = and_(payment.c.merchant == merchant, payment.c.business_date == business_date)
    return _newest(conn, of_day, limit=limit, before=before)


def payments_of_merchant(conn: Connection, merchant: str, business_date: date) -> list[PaymentRecord]:
    """A merchant's payments booked on a business date, in the order of booking."""
    return _records(conn, payment.c.merchant == merchant, payment.c.business_date == business_date)


def _newest(
    conn: Connection, where: ColumnElement[bool], *, limit: int, before: int | None
) -> list[PaymentRecord]:
    newest = select(payment.c.reference).where(where)
    if before is not None:
        newest = newest.where(payment.c.entry_id < before)
    newest = newest.order_by(payment.c.entry_id.desc()).limit(limit)
    return _records(conn, payment.c.reference.in_(list(conn.scalars(newest))))[::-1]


def _records(conn: Connection, *where: ColumnElement[bool]) -> list[PaymentRecord]:
    """Payments that fulfil conditions on `payment`, in the order of booking."""
    legs: dict[str, list[tuple[Leg, Leg]]] = {}
    columns = payment_leg.c
    parts = (
        select(columns.reference, columns.account, columns.amount_fen, columns.refunded_fen)
        .join(payment, payment.c.reference == columns.reference)
        .where(*where)
        .order_by(columns.reference, columns.position)
    )
    for reference, account, amount_fen, refunded_fen in conn.execute(parts):
        legs.setdefault(reference, []).append((Leg(account, amount_fen), Leg(account, refunded_fen)))
    return [
        PaymentRecord(
            reference=row.reference,
            entry_id=row.entry_id,
            channel=Channel(row.channel),
            kind=row.kind,
            merchant=row.merchant,
            holder=row.holder,
            legs=tuple(leg for leg, _ in legs[row.reference]),
            refunded_legs=tuple(back for _, back in legs[row.reference]),
            reversed_by=row.reversed_by,
            business_date=row.business_date,
            event_at=row.event_at,
            narrative=row.narrative,
        )
        for row in conn.execute(select(payment).where(*where).order_by(payment.c.entry_id))
    ]

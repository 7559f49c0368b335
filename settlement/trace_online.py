"""A ride on a rider's code, or an online payment, followed to the bank's line that paid a participant for it.

A code says which it was, and not whose: of whoever paid only the sub-ledger is told.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, or_, select, union

from clearing.online.qr_tables import qr_batch_file, qr_ride
from clearing.online.tables import payment, payment_refund, payment_reversal
from clearing.verdict import Money
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.names import qr_batch_name
from ledger.accounts import segment_of
from ledger.archive import Archive
from ledger.entry import Line
from ledger.money import yuan
from ledger.tables import entry
from settlement.bank.story import Told
from settlement.trace import (
    Place,
    file_told,
    lines_booked,
    of_batch,
    places_of,
    presented_at,
    presented_told,
    settled,
    verdict_told,
)


def trace_ride(
    conn: Connection, operator: str, sequence: int, place: int, archive: Archive | None = None
) -> list[Told]:
    """Every step from a ride on a code on, as far as it has come; nothing where no such ride was presented.

    Lines of archived months come from `archive`, and LinesArchived says that it is needed.
    """
    row = presented_at(conn, qr_ride, operator, sequence, place)
    return [] if row is None else list(_ride_steps(conn, row, archive))


def rides_on_code(conn: Connection, serial: str, nonce: str) -> list[Place]:
    """The places of the rides that a code was presented for, what is paid first."""
    return places_of(conn, qr_ride, qr_ride.c.serial == serial, qr_ride.c.nonce == nonce)


def trace_payment(conn: Connection, reference: str, archive: Archive | None = None) -> list[Told]:
    """Every step of an online payment, given its own reference, or else that of a refund or reversal of it.

    Lines of archived months as in `trace_ride`.
    """
    of_other = union(
        *(
            select(other.c.original).where(other.c.reference == reference)
            for other in (payment_refund, payment_reversal)
        )
    )
    own = payment.c.reference == reference
    either = select(payment).where(or_(own, payment.c.reference.in_(of_other)))
    row = conn.execute(either.order_by(own.desc(), payment.c.entry_id)).first()
    return [] if row is None else list(_payment_steps(conn, row, archive))


def _ride_steps(conn: Connection, row: Row[Any], archive: Archive | None) -> Iterator[Told]:
    code = f"{row.serial}:{row.nonce}"
    yield presented_told("ride", row, f"code {code}")
    yield file_told(conn, row, qr_batch_file, qr_batch_file.c.cleared_on, qr_batch_name)
    yield verdict_told(row)
    if row.money != Money.PAID or not row.paid_fen:
        return
    named = of_batch(f"qr-batch:{row.operator}:{row.sequence}")
    for source, line in lines_booked(conn, row.decided_on, named, archive):
        if line.item == code:
            yield Told(row.decided_on, source, _moved(line))
    yield from settled(conn, row.operator, row.decided_on)


def _payment_steps(conn: Connection, row: Row[Any], archive: Archive | None) -> Iterator[Told]:
    when = row.event_at.astimezone(CITY_ZONE)
    made = f"{row.kind} by {row.channel}, {yuan(row.amount_fen)} yuan to {row.merchant} at {when:%H:%M:%S}"
    yield Told(when.date(), f"payment {row.reference}", made)
    for source, line in lines_booked(conn, row.business_date, entry.c.id == row.entry_id, archive):
        yield Told(row.business_date, source, _moved(line))
    yield from _gone_back(conn, row)
    yield from settled(conn, row.merchant, row.business_date)


def _gone_back(conn: Connection, row: Row[Any]) -> Iterator[Told]:
    columns = payment_refund.c
    refunds = select(payment_refund).where(columns.original == row.reference).order_by(columns.entry_id)
    for refund in conn.execute(refunds):
        what = f"{yuan(refund.amount_fen)} yuan back from {row.merchant}"
        yield Told(refund.business_date, f"refund {refund.reference}", what)
    reversals = select(payment_reversal).where(payment_reversal.c.original == row.reference)
    for reversal in conn.execute(reversals):
        why = f": {reversal.why}" if reversal.why else ""
        what = f"all {yuan(row.amount_fen)} yuan back from {row.merchant}{why}"
        yield Told(reversal.business_date, f"reversal {reversal.reference}", what)


def _moved(line: Line) -> str:
    return f"{yuan(line.amount_fen)} yuan from {segment_of(line.debit)} to {line.credit}"

"""The register of bills' payments: what is kept of each, and how its state moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from clearing.online.tables import payment as online_payment
from clearing.sectors.utilities.states import State
from clearing.sectors.utilities.tables import payment
from ledger.bulk import one_of


@dataclass(frozen=True, slots=True)
class BillPayment:
    """A payment of a bill, or of a part of it, and where it stands; the amount in fen."""

    reference: str
    biller: str
    account_no: str
    bill_no: str
    amount_fen: int
    holder: str
    business_date: date
    event_at: datetime
    state: State
    state_at: datetime


def payments_of(conn: Connection, references: Sequence[str]) -> dict[str, BillPayment]:
    """The payments of these references that there are."""
    return {one.reference: one for one in _read(conn, one_of(conn, payment.c.reference, references))}


def payment_of(conn: Connection, reference: str) -> BillPayment | None:
    """The payment of a reference, or None."""
    return payments_of(conn, [reference]).get(reference)


def payments_of_day(conn: Connection, biller: str, business_date: date) -> list[BillPayment]:
    """The payments to a biller on a business date, whatever became of them, by reference."""
    return _read(conn, payment.c.biller == biller, payment.c.business_date == business_date)


def payments_of_holder(
    conn: Connection, holder: str, *, limit: int = 50, before: int | None = None
) -> list[tuple[int, BillPayment]]:
    """A holder's payments, newest first, each with its number; `before` is the number of the last one seen."""
    number = online_payment.c.entry_id
    query = (
        select(number, payment)
        .join(online_payment, online_payment.c.reference == payment.c.reference)
        .where(payment.c.holder == holder)
        .order_by(number.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(number < before)
    return [(row.entry_id, _payment(row)) for row in conn.execute(query)]


def paid_on_bill(conn: Connection, biller: str, bill_no: str) -> Mapping[str, int]:
    """Fen paid on a bill by the reference of each payment whose money has not gone back."""
    columns = payment.c
    query = select(columns.reference, columns.amount_fen).where(
        columns.biller == biller,
        columns.bill_no == bill_no,
        columns.state.not_in([State.REVERSED, State.RETURNED]),
    )
    return {row.reference: row.amount_fen for row in conn.execute(query)}


def set_states(conn: Connection, states: Mapping[str, State], *, at: datetime) -> None:
    """Write the new states of payments, by reference."""
    if states:
        conn.execute(
            update(payment).where(payment.c.reference == bindparam("of")),
            [{"of": reference, "state": state, "state_at": at} for reference, state in states.items()],
        )


def _read(conn: Connection, *where: ColumnElement[bool]) -> list[BillPayment]:
    query = select(payment).where(*where).order_by(payment.c.reference)
    return [_payment(row) for row in conn.execute(query)]


def _payment(row: Any) -> BillPayment:
    return BillPayment(
        row.reference,
        row.biller,
        row.account_no,
        row.bill_no,
        row.amount_fen,
        row.holder,
        row.business_date,
        row.event_at,
        State(row.state),
        row.state_at,
    )

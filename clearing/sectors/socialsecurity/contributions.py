"""Contributions paid: from the payer's wallet to the agency, each month of each insurance once.

Anybody's wallet may pay, as families do; what counts is counted for the insured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, delete, insert, select, update

from clearing.online.payment import Channel, Decline, Declined, Leg, PaymentOrder, pay
from clearing.online.reversal import Reversal, ReversalRefusal, ReversalRefused, reverse
from clearing.sectors.socialsecurity.bills import Bill, BillState, bill_of
from clearing.sectors.socialsecurity.tables import contribution_month, contribution_payment

KIND = "contribution"


class ContributionRefusal(StrEnum):
    """Why a bill is not paid or its payment not cancelled, in order of precedence: the first that applies."""

    BILL_UNKNOWN = "contribution_unknown"
    BILL_WITHDRAWN = "contribution_withdrawn"
    PAID_BEFORE = "contribution_paid"
    NOT_PAID = "contribution_not_paid"
    BRACKET_UNKNOWN = "bracket_unknown"
    NOT_PAYABLE_NOW = "not_payable_now"
    MONTHS_PAID = "months_paid"
    DECLINED = "contribution_declined"


@dataclass(frozen=True, slots=True)
class Contribution:
    """An order to pay a bill from the wallet of `payer`, by one of the bill's brackets."""

    agency: str
    number: str
    payer: str
    bracket: str
    channel: Channel
    business_date: date
    event_at: datetime


@dataclass(frozen=True, slots=True)
class ContributionTaken:
    """The bill stands as asked; `reference` is the payment's, `first_time` False where it stood so before."""

    bill: Bill
    reference: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class ContributionRefused:
    """Nothing has changed; `cause` is the payment's or the reversal's own reason, where that is why."""

    number: str
    reason: ContributionRefusal
    message: str
    cause: Decline | ReversalRefusal | None = None


ContributionAnswer = ContributionTaken | ContributionRefused


def pay_bill(conn: Connection, order: Contribution, *, at: datetime) -> ContributionAnswer:
    """Pay a bill, `wallet:{payer}` to `clearing:{agency}`; the same order again is answered as before.

    `conn` comes from `ledger.db.writing`. After a cancelled payment the bill is open and can be paid anew.
    """
    bill = bill_of(conn, order.agency, order.number)
    if bill is None:
        return _unknown(order.agency, order.number)
    if bill.state is BillState.PAID and (bill.paid_by, bill.paid_bracket) == (order.payer, order.bracket):
        return ContributionTaken(bill, reference_of(bill, bill.attempts), first_time=False)
    refusal = _refusal(conn, bill, order)
    if refusal is not None:
        return refusal
    attempt = bill.attempts + 1
    reference, amount_fen = reference_of(bill, attempt), bill.price_fen(order.bracket) or 0
    payment = PaymentOrder(
        reference=reference,
        channel=order.channel,
        kind=KIND,
        merchant=order.agency,
        holder=order.payer,
        legs=(Leg(f"wallet:{order.payer}", amount_fen),),
        business_date=order.business_date,
        event_at=order.event_at,
        narrative=f"{bill.insurance} {bill.year} {order.bracket}",
    )
    (answer,) = pay(conn, [payment], at=at)
    if isinstance(answer, Declined):
        return ContributionRefused(order.number, ContributionRefusal.DECLINED, answer.message, answer.reason)
    _keep(conn, bill, order, attempt, reference, amount_fen)
    return ContributionTaken(_again(conn, bill), reference, first_time=True)


def cancel_contribution(
    conn: Connection,
    *,
    agency: str,
    number: str,
    business_date: date,
    event_at: datetime,
    why: str,
    at: datetime,
) -> ContributionAnswer:
    """Give a contribution back to its payer, at the agency's word: the bill is open, its months unpaid again."""
    bill = bill_of(conn, agency, number)
    if bill is None:
        return _unknown(agency, number)
    if bill.state is not BillState.PAID:
        message = f"bill {number} is {bill.state}; only a paid one can be given back"
        return ContributionRefused(number, ContributionRefusal.NOT_PAID, message)
    original = reference_of(bill, bill.attempts)
    reversal = Reversal(f"{original}:cancel", original, business_date, event_at, why)
    (answer,) = reverse(conn, [reversal], at=at)
    if isinstance(answer, ReversalRefused):
        return ContributionRefused(number, ContributionRefusal.DECLINED, answer.message, answer.reason)
    columns, month = contribution_payment.c, contribution_month.c
    conn.execute(update(contribution_payment).where(columns.reference == original).values(cancelled_at=at))
    conn.execute(delete(contribution_month).where(month.agency == agency, month.number == number))
    return ContributionTaken(_again(conn, bill), original, first_time=True)


def reference_of(bill: Bill, attempt: int) -> str:
    """The natural key of a bill's payment: the bill, and one more after each payment that was cancelled."""
    return f"agency:{bill.agency}:{bill.number}:{attempt}"


def _refusal(conn: Connection, bill: Bill, order: Contribution) -> ContributionRefused | None:
    """Why the bill cannot be paid so, or None: the first check that says something."""
    checks: Sequence[Callable[[Connection, Bill, Contribution], tuple[ContributionRefusal, str] | None]] = (
        _standing,
        _bracket,
        _paid_months,
    )
    for check in checks:
        found = check(conn, bill, order)
        if found is not None:
            return ContributionRefused(bill.number, *found)
    return None


def _standing(_conn: Connection, bill: Bill, _order: Contribution) -> tuple[ContributionRefusal, str] | None:
    if bill.state is BillState.WITHDRAWN:
        message = f"bill {bill.number} was withdrawn; ask the agency which one holds"
        return ContributionRefusal.BILL_WITHDRAWN, message
    if bill.state is BillState.PAID:
        message = f"bill {bill.number} is paid already; nothing more is due on it"
        return ContributionRefusal.PAID_BEFORE, message
    return None


def _bracket(_conn: Connection, bill: Bill, order: Contribution) -> tuple[ContributionRefusal, str] | None:
    found = [one for one in bill.brackets if one.bracket == order.bracket]
    if not found:
        names = ", ".join(one.bracket for one in bill.brackets)
        message = f"bracket {order.bracket!r} is not one of bill {bill.number}; choose one of {names}"
        return ContributionRefusal.BRACKET_UNKNOWN, message
    if not found[0].payable_on(order.business_date):
        days = f"{found[0].payable_from} to {found[0].payable_to}"
        message = f"bill {bill.number} is payable from {days}, not on {order.business_date}; ask the agency"
        return ContributionRefusal.NOT_PAYABLE_NOW, message
    return None


def _paid_months(
    conn: Connection, bill: Bill, _order: Contribution
) -> tuple[ContributionRefusal, str] | None:
    """Whether another agency's bill has paid a month already; one agency cannot bill it twice."""
    columns = contribution_month.c
    query = select(columns.month, columns.agency, columns.number).where(
        columns.holder == bill.holder,
        columns.insurance == bill.insurance.value,
        columns.year == bill.year,
        columns.month.between(bill.first_month, bill.first_month + bill.months - 1),
    )
    row = conn.execute(query.order_by(columns.month).limit(1)).one_or_none()
    if row is None:
        return None
    message = f"month {row.month} of {bill.year} is paid by bill {row.number} of {row.agency}; ask them"
    return ContributionRefusal.MONTHS_PAID, message


def _keep(
    conn: Connection, bill: Bill, order: Contribution, attempt: int, reference: str, amount_fen: int
) -> None:
    conn.execute(
        insert(contribution_payment).values(
            agency=bill.agency,
            number=bill.number,
            attempt=attempt,
            payer=order.payer,
            bracket=order.bracket,
            amount_fen=amount_fen,
            reference=reference,
            business_date=order.business_date,
            paid_at=order.event_at,
        )
    )
    key = {"holder": bill.holder, "insurance": bill.insurance.value, "year": bill.year}
    months = range(bill.first_month, bill.first_month + bill.months)
    rows = [key | {"month": month, "agency": bill.agency, "number": bill.number} for month in months]
    conn.execute(insert(contribution_month), rows)


def _unknown(agency: str, number: str) -> ContributionRefused:
    message = f"agency {agency} has no bill {number}; look at the number again"
    return ContributionRefused(number, ContributionRefusal.BILL_UNKNOWN, message)


def _again(conn: Connection, bill: Bill) -> Bill:
    return bill_of(conn, bill.agency, bill.number) or bill

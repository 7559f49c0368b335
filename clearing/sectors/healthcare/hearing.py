"""What the insurer says, brought into the books: the bill moves on, and the money with it, in one transaction."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from clearing.online.payment import Channel, Decline, Declined, Leg, PaymentOrder, pay
from clearing.online.reversal import Reversal, ReversalRefused, reverse
from clearing.sectors.healthcare.bill_book import bill_of, move, note
from clearing.sectors.healthcare.bills import BillRecord
from clearing.sectors.healthcare.claims import Event, State, advance
from clearing.sectors.healthcare.insurer import ClaimAnswer, Heard, NoAnswer, Standing
from ledger.day import current_day


class Asked(StrEnum):
    """What the insurer was asked when it said it."""

    CLAIM = "claim"
    QUERY = "query"
    CANCEL = "cancel"


def hear(conn: Connection, reference: str, asked: Asked, heard: Heard, *, at: datetime) -> BillRecord:
    """Take down what was heard about a bill and what follows; `conn` comes from `ledger.db.writing`.

    An approval pays the hospital out of the pockets agreed to, the end of a cancellation gives it all back.
    Raises LookupError where there is no such bill, DayOrderError where no business day is open; then
    nothing is taken down, and the insurer is asked again later.
    """
    bill = bill_of(conn, reference)
    if bill is None:
        raise LookupError(f"no bill {reference} is in the book; enter it before asking the insurer")
    event, why = _event_of(bill, asked, heard)
    after = advance(bill.state, event)
    note(conn, reference, asked.value, heard, legal=after is not None, at=at)
    if after is None or after is bill.state:
        return bill
    paid_at: datetime | None = None
    if after is State.PAID:
        refused = _pay(conn, bill, at)
        if refused is None:
            paid_at = at
        else:
            after, why = State.CANCELLING, refused
    elif after is State.CANCELLED and bill.paid_at is not None:
        refused = _give_back(conn, bill, at)
        if refused is not None:
            after, why = State.CANCELLING, refused
    number = heard.insurer_no if isinstance(heard, ClaimAnswer) else None
    # The reason why a bill is taken back is not replaced by how it was taken back.
    why_kept = None if bill.state is State.CANCELLING and after is State.CANCELLED else why
    return move(conn, bill, after, at=at, why=why_kept, insurer_no=number or None, paid_at=paid_at)


def _event_of(bill: BillRecord, asked: Asked, heard: Heard) -> tuple[Event, str]:
    if isinstance(heard, NoAnswer):
        unsent = asked is Asked.CLAIM and not heard.sent
        return (Event.NOT_SENT if unsent else Event.NO_ANSWER), heard.detail
    if heard.standing is Standing.APPROVED and heard.fund_fen != bill.fund_fen:
        return Event.CONTRADICTED, f"the insurer would pay {heard.fund_fen} fen, not {bill.fund_fen}"
    if heard.standing is Standing.NOT_FOUND:
        return Event.NO_ANSWER, "the insurer does not know the claim, which may still arrive"
    event = {
        Standing.APPROVED: Event.APPROVED,
        Standing.REFUSED: Event.REFUSED,
        Standing.CANCELLED: Event.WITHDRAWN,
    }[heard.standing]
    return event, heard.reason


def _pay(conn: Connection, bill: BillRecord, at: datetime) -> str | None:
    """Book the bill as agreed; what stands against it, or None."""
    legs = (
        Leg(f"fund:{bill.pool}", bill.fund_fen),
        Leg(f"medical:{bill.holder}", bill.account_fen),
        Leg(f"wallet:{bill.holder}", bill.patient_fen),
    )
    order = PaymentOrder(
        reference=bill.reference,
        channel=Channel.HTTP,
        kind="hospital_bill",
        merchant=bill.hospital,
        holder=bill.holder,
        legs=tuple(leg for leg in legs if leg.amount_fen),
        business_date=current_day(conn),
        event_at=bill.opened_at,
    )
    (answer,) = pay(conn, [order], at=at)
    if not isinstance(answer, Declined):
        return None
    # What a pocket lacks is the holder's affair: the hospital reads this.
    short = answer.reason is Decline.INSUFFICIENT
    return "the holder's pockets no longer cover the rest" if short else answer.message


def _give_back(conn: Connection, bill: BillRecord, at: datetime) -> str | None:
    """Mirror every leg; what stands against it, or None."""
    reversal = Reversal(
        reference=f"cancel:{bill.reference}",
        original=bill.reference,
        business_date=current_day(conn),
        event_at=at,
        why=bill.why or "cancelled",
    )
    (answer,) = reverse(conn, [reversal], at=at)
    return answer.message if isinstance(answer, ReversalRefused) else None

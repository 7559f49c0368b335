"""Bills: asked of the biller, decided against what has been paid already, paid whole or in part."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, insert

from clearing.online.payment import Approved, Channel, Declined, Leg, PaymentOrder, pay
from clearing.sectors.utilities.catalogue import Biller, biller_of
from clearing.sectors.utilities.notices import queue_notices
from clearing.sectors.utilities.peer import (
    NUMBER,
    REFERENCE,
    Bill,
    BillerAccount,
    BillerClients,
    NoAnswer,
)
from clearing.sectors.utilities.register import BillPayment, paid_on_bill, payment_of
from clearing.sectors.utilities.states import Act, State
from clearing.sectors.utilities.tables import payment as payment_table
from ledger.day import current_day
from ledger.db import reading
from ledger.sharing import Alone, Writer


class BillRefusal(StrEnum):
    """Why a bill is not shown or not paid, in order of precedence: the first that applies is the one given.

    A payment that was made already with the same content is not refused at all: that is asked first.
    """

    REFERENCE_MALFORMED = "reference_malformed"
    REFERENCE_TAKEN = "reference_taken"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    BILLER_UNKNOWN = "biller_unknown"
    ACCOUNT_MALFORMED = "account_malformed"
    BILLER_SILENT = "biller_silent"
    ACCOUNT_UNKNOWN = "account_unknown"
    BILL_UNKNOWN = "bill_unknown"
    BILL_SETTLED = "bill_settled"
    MORE_THAN_OPEN = "more_than_open"
    PART_NOT_PERMITTED = "part_not_permitted"
    PAYMENT_DECLINED = "payment_declined"


@dataclass(frozen=True, slots=True)
class BillOrder:
    """A holder pays `amount_fen` of a bill from the wallet; `reference` is the caller's natural key.

    It is what the payment and the biller's register are known by as well.
    """

    reference: str
    biller: str
    account_no: str
    bill_no: str
    amount_fen: int
    holder: str
    channel: Channel
    event_at: datetime


@dataclass(frozen=True, slots=True)
class BillPaid:
    """The bill is paid and its notice queued; `first_time` is False where it was paid before."""

    payment: BillPayment
    first_time: bool


@dataclass(frozen=True, slots=True)
class BillRefused:
    """Nothing was booked, and why; `declined` is what the wallet's side said, if it was that."""

    reason: BillRefusal
    message: str
    declined: Declined | None = None


def query_bills(
    engine: Engine, clients: BillerClients, biller_id: str, account_no: str
) -> BillerAccount | BillRefused:
    """Ask a biller for an account's bills; what we have paid and it has not written off yet is taken off."""
    with reading(engine) as conn:
        biller = biller_of(conn, biller_id)
    told = _ask(clients, biller, biller_id, account_no)
    if isinstance(told, BillRefused):
        return told
    with reading(engine) as conn:
        bills = tuple(
            Bill(
                one.bill_no,
                one.period,
                one.amount_fen,
                still_open_fen(one, paid_on_bill(conn, biller_id, one.bill_no)),
                one.due_on,
                one.written_off,
            )
            for one in told.bills
        )
    return BillerAccount(told.account_no, told.customer, bills)


def pay_bill(
    engine: Engine,
    clients: BillerClients,
    order: BillOrder,
    *,
    at: datetime,
    writer: Writer | None = None,
) -> BillPaid | BillRefused:
    """Pay a bill: the biller is asked first, then wallet, register and outbox change in one transaction.

    The same order again is answered as before, without asking the biller. Raises ledger.day.DayOrderError
    where no business day is open, and Busy of a `writer` that is shared.
    """
    with reading(engine) as conn:
        before = paid_before(conn, order)
        biller = biller_of(conn, order.biller)
    if before is not None:
        return before
    if order.amount_fen <= 0:
        return BillRefused(
            BillRefusal.AMOUNT_NOT_POSITIVE, f"amount is {order.amount_fen} fen; pay at least one fen"
        )
    told = _ask(clients, biller, order.biller, order.account_no)
    if isinstance(told, BillRefused):
        return told
    return (writer or Alone(engine)).write(lambda conn: book_bill(conn, order, told, at=at))


def book_bill(
    conn: Connection, order: BillOrder, told: BillerAccount, *, at: datetime
) -> BillPaid | BillRefused:
    """Decide on what the biller told and book on the open business day; `conn` from `ledger.db.writing`."""
    before = paid_before(conn, order)
    if before is not None:
        return before
    biller = biller_of(conn, order.biller)
    if biller is None:
        return _unknown_biller(order.biller)
    refused = decide(order, biller, told, paid_on_bill(conn, order.biller, order.bill_no))
    if refused is not None:
        return refused
    made = BillPayment(
        order.reference, order.biller, order.account_no, order.bill_no, order.amount_fen, order.holder,
        current_day(conn), order.event_at, State.PAID, at,
    )  # fmt: skip
    (answer,) = pay(conn, [_payment_order(order, made)], at=at)
    if not isinstance(answer, Approved):
        return BillRefused(BillRefusal.PAYMENT_DECLINED, answer.message, answer)
    conn.execute(insert(payment_table).values(asdict(made)))
    queue_notices(conn, [order.reference], Act.WRITE_OFF, at=at)
    return BillPaid(made, first_time=True)


def decide(
    order: BillOrder, biller: Biller, told: BillerAccount, paid_fen: Mapping[str, int]
) -> BillRefused | None:
    """Why the order cannot be paid, or None; `paid_fen` is what we took for this bill, by reference."""
    bill = next((one for one in told.bills if one.bill_no == order.bill_no), None)
    if bill is None:
        return BillRefused(
            BillRefusal.BILL_UNKNOWN,
            f"account {told.account_no} at {biller.id} has no bill {order.bill_no!r}; ask for its bills again",
        )
    open_fen = still_open_fen(bill, paid_fen)
    if open_fen == 0:
        return BillRefused(BillRefusal.BILL_SETTLED, f"bill {bill.bill_no} is paid; nothing is left to pay")
    if order.amount_fen > open_fen:
        return BillRefused(
            BillRefusal.MORE_THAN_OPEN,
            f"amount {order.amount_fen} fen is more than the {open_fen} fen open on bill {bill.bill_no}; "
            f"pay {open_fen} fen",
        )
    if order.amount_fen < open_fen and not biller.part_payment:
        return BillRefused(
            BillRefusal.PART_NOT_PERMITTED,
            f"{biller.id} takes bills whole, and {order.amount_fen} fen is a part of {open_fen} fen; "
            f"pay {open_fen} fen",
        )
    return None


def still_open_fen(bill: Bill, paid_fen: Mapping[str, int]) -> int:
    """What is left of a bill: open at the biller, less what we took and it does not count yet."""
    on_the_way_fen = sum(fen for reference, fen in paid_fen.items() if reference not in bill.written_off)
    return max(bill.open_fen - on_the_way_fen, 0)


def paid_before(conn: Connection, order: BillOrder) -> BillPaid | BillRefused | None:
    """The answer to an order that came before; an order whose reference cannot be one is refused here."""
    if not REFERENCE.fullmatch(order.reference):
        return BillRefused(
            BillRefusal.REFERENCE_MALFORMED,
            f"reference {order.reference!r} is not 1 to 80 visible ASCII characters without `|`; give another",
        )
    held = payment_of(conn, order.reference)
    if held is None:
        return None
    # Not the instant: an order whose answer was lost is given again later, and is the same order.
    ours = (held.biller, held.account_no, held.bill_no, held.amount_fen, held.holder)
    if ours != (order.biller, order.account_no, order.bill_no, order.amount_fen, order.holder):
        return BillRefused(
            BillRefusal.REFERENCE_TAKEN,
            f"reference {order.reference} is another payment; use a new reference",
        )
    return BillPaid(held, first_time=False)


def _ask(
    clients: BillerClients, biller: Biller | None, biller_id: str, account_no: str
) -> BillerAccount | BillRefused:
    if biller is None:
        return _unknown_biller(biller_id)
    if not NUMBER.fullmatch(account_no):
        return BillRefused(
            BillRefusal.ACCOUNT_MALFORMED,
            f"account number {account_no!r} is not 1 to 32 letters, digits and hyphens; copy it from a bill",
        )
    client = clients.get(biller.id)
    if client is None:
        return BillRefused(BillRefusal.BILLER_SILENT, f"{biller.name} is not connected; try again later")
    try:
        told = client.account(account_no)
    except NoAnswer:
        return BillRefused(BillRefusal.BILLER_SILENT, f"{biller.name} does not answer; try again later")
    if told is None:
        return BillRefused(
            BillRefusal.ACCOUNT_UNKNOWN,
            f"{biller.name} has no account {account_no}; compare the number with a bill",
        )
    return told


def _unknown_biller(biller_id: str) -> BillRefused:
    return BillRefused(
        BillRefusal.BILLER_UNKNOWN, f"biller {biller_id!r} is not in the catalogue; choose one that is"
    )


def _payment_order(order: BillOrder, made: BillPayment) -> PaymentOrder:
    return PaymentOrder(
        reference=order.reference,
        channel=order.channel,
        kind="utility_bill",
        merchant=order.biller,
        holder=order.holder,
        legs=(Leg(f"wallet:{order.holder}", order.amount_fen),),
        business_date=made.business_date,
        event_at=order.event_at,
        narrative=f"bill {order.bill_no} of account {order.account_no}",
    )

"""Taking back the payment of a bill: the biller is told first, the money goes back when it has let go."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from clearing.sectors.utilities.moves import happen
from clearing.sectors.utilities.register import BillPayment, payment_of
from clearing.sectors.utilities.states import LIVE, Happening, State
from clearing.sectors.utilities.tables import difference
from ledger.day import current_day


class TakeBackRefusal(StrEnum):
    """Why a payment is not taken back, in order of precedence: the first that applies is the one given."""

    PAYMENT_UNKNOWN = "payment_unknown"
    ALREADY_RETURNED = "already_returned"
    NOT_SAME_DAY = "not_same_day"
    NO_DIFFERENCE = "no_difference"


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The payment is on its way back, or there; `first_time` is False where that was so before."""

    payment: BillPayment
    first_time: bool


@dataclass(frozen=True, slots=True)
class TakeBackRefused:
    """The payment stays as it is, and why."""

    reason: TakeBackRefusal
    message: str


def reverse_bill(
    conn: Connection, reference: str, *, holder: str, at: datetime
) -> TakenBack | TakeBackRefused:
    """A holder takes a payment back on the business day it was made; `conn` from `ledger.db.writing`.

    The biller is told by the next `send_notices`. Asked again, it is answered with where the payment stands.
    Raises ledger.day.DayOrderError where no business day is open.
    """
    held = payment_of(conn, reference)
    # Another holder's payment is none of this one's business, not even that it exists.
    if held is None or held.holder != holder:
        return _unknown(reference)
    if held.state in LIVE and (today := current_day(conn)) != held.business_date:
        return TakeBackRefused(
            TakeBackRefusal.NOT_SAME_DAY,
            f"payment {reference} is of {held.business_date} and today is {today}; "
            f"ask {held.biller} for the money, as only its own day's payments can be taken back",
        )
    return _take_back(conn, held, at)


def withdraw_bill(conn: Connection, reference: str, *, at: datetime) -> TakenBack | TakeBackRefused:
    """Operations give back a payment that a biller's daily file lacks, on whatever day.

    The biller is told first here too, so that it cannot write the bill off afterwards.
    """
    held = payment_of(conn, reference)
    if held is None:
        return _unknown(reference)
    if held.state in LIVE and not _is_ours_only(conn, reference):
        return TakeBackRefused(
            TakeBackRefusal.NO_DIFFERENCE,
            f"payment {reference} is not listed as missing in {held.biller}'s file; reconcile the day first",
        )
    return _take_back(conn, held, at)


def _take_back(conn: Connection, held: BillPayment, at: datetime) -> TakenBack | TakeBackRefused:
    if held.state is State.RETURNED:
        return TakeBackRefused(
            TakeBackRefusal.ALREADY_RETURNED,
            f"{held.biller} refused payment {held.reference} and its money is back; nothing is left to do",
        )
    moved = happen(conn, {held.reference: Happening.REVERSAL_ASKED}, at=at)
    now = payment_of(conn, held.reference) or held
    return TakenBack(now, first_time=held.reference in moved.states)


def _unknown(reference: str) -> TakeBackRefused:
    return TakeBackRefused(
        TakeBackRefusal.PAYMENT_UNKNOWN, f"no payment {reference!r} of a bill; look its reference up"
    )


def _is_ours_only(conn: Connection, reference: str) -> bool:
    columns = difference.c
    query = select(columns.reference).where(
        columns.reference == reference, columns.kind == "ours_only", columns.settled_at.is_(None)
    )
    return conn.execute(query).first() is not None

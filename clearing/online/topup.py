"""Top-ups: ordered from a channel, in the wallet when the channel confirms that it was paid.

Channels confirm when they like, more than once, and sometimes wrongly. What they confirm and we cannot book
is kept as a stray: it is money in their hands that a person has to place.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, update

from clearing.online.parties import (
    HOLDER,
    MERCHANT,
    REFERENCE_LENGTH,
    locked_holders,
    open_codes,
    text_flaw,
    wallet,
)
from clearing.online.tables import topup
from clearing.online.topup_record import (
    Stray,
    TopUpRecord,
    TopUpState,
    keep_stray,
    pending_topups,
    stray_confirmations,
    topup_by_channel_reference,
    topup_of,
    topups_of_holder,
)
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.entry import MAX_AMOUNT_FEN, Entry, Line, Posted, Refused
from ledger.post import post

__all__ = [
    "Stray",
    "TopUp",
    "TopUpAccepted",
    "TopUpAnswer",
    "TopUpRecord",
    "TopUpRefusal",
    "TopUpRefused",
    "TopUpState",
    "confirm_topup",
    "fail_topup",
    "order_topup",
    "pending_topups",
    "stray_confirmations",
    "topup_of",
    "topups_of_holder",
]


class TopUpRefusal(StrEnum):
    """Why a top-up is not ordered, confirmed or given up, in order of precedence: the first that applies.

    What was accepted before is accepted again: of an order and of a failure that is asked after the checks of
    form and key, of a confirmation after AMOUNT_DIFFERS.
    """

    MALFORMED = "malformed"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    REFERENCE_TAKEN = "reference_taken"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    TOPUP_UNKNOWN = "topup_unknown"
    CHANNEL_DIFFERS = "channel_differs"
    AMOUNT_DIFFERS = "amount_differs"
    CONFIRMED_OTHERWISE = "confirmed_otherwise"
    CHANNEL_REFERENCE_TAKEN = "channel_reference_taken"
    LEDGER_REFUSES = "ledger_refuses"


@dataclass(frozen=True, slots=True)
class TopUp:
    """An order: `amount_fen` for a holder's wallet by channel `channel_id`; `reference` is its natural key.

    After `expires_at` a confirmation still counts, but is said to be late. `event_at` is when it was ordered.
    """

    reference: str
    holder: str
    channel_id: str
    amount_fen: int
    event_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TopUpAccepted:
    """The order, confirmation or failure is taken; `first_time` is False where it was before.

    `late` says that the channel was paid after the order had expired, or after it had said it would not be.
    """

    reference: str
    first_time: bool
    late: bool = False


@dataclass(frozen=True, slots=True)
class TopUpRefused:
    """Nothing is booked, and why."""

    reference: str
    reason: TopUpRefusal
    message: str


TopUpAnswer = TopUpAccepted | TopUpRefused


@dataclass(frozen=True, slots=True)
class _Confirmation:
    """The channel's word that a top-up was paid."""

    reference: str
    channel_id: str
    channel_reference: str
    amount_fen: int
    business_date: date
    event_at: datetime


def order_topup(conn: Connection, order: TopUp, *, at: datetime) -> TopUpAnswer:
    """Expect money from a channel; nothing is booked yet. `conn` comes from `ledger.db.writing`."""
    refused = _flaw(order.reference, order.channel_id, order.amount_fen)
    if refused is not None:
        return refused
    known = topup_of(conn, order.reference)
    if known is not None:
        if (known.holder, known.channel_id, known.amount_fen) != _asked(order):
            message = f"reference {known.reference} is another top-up; use a new reference"
            return TopUpRefused(order.reference, TopUpRefusal.REFERENCE_TAKEN, message)
        return TopUpAccepted(order.reference, first_time=False)
    if not HOLDER.fullmatch(order.holder) or not open_codes(conn, [wallet(order.holder)]):
        message = f"holder {order.holder!r} has no wallet here; enrol the person, or look at the id again"
        return TopUpRefused(order.reference, TopUpRefusal.HOLDER_UNKNOWN, message)
    if locked_holders(conn, [order.holder]):
        message = f"holder {order.holder} has reported a loss; lift the report before topping up"
        return TopUpRefused(order.reference, TopUpRefusal.HOLDER_LOCKED, message)
    open_accounts(conn, [account(f"agent:{order.channel_id}")], at=at)
    conn.execute(
        insert(topup).values(
            reference=order.reference,
            holder=order.holder,
            channel_id=order.channel_id,
            amount_fen=order.amount_fen,
            ordered_at=order.event_at,
            expires_at=order.expires_at,
            state=TopUpState.PENDING.value,
            late=False,
        )
    )
    return TopUpAccepted(order.reference, first_time=True)


def confirm_topup(
    conn: Connection,
    reference: str,
    *,
    channel_id: str,
    channel_reference: str,
    amount_fen: int,
    business_date: date,
    event_at: datetime,
    at: datetime,
) -> TopUpAnswer:
    """Book what the channel was paid at `event_at`, `agent:{channel}` to `wallet:{holder}`, once.

    `channel_reference` is the channel's own number of the payment. A holder locked since the order is
    credited all the same: the money is the holder's. A confirmation that is unknown here, or contradicts the
    order or an earlier one, is refused and kept among the strays; one that only the ledger refuses is not, as
    it can be booked on an open day. `conn` comes from `ledger.db.writing`.
    """
    word = _Confirmation(reference, channel_id, channel_reference, amount_fen, business_date, event_at)
    flawed = _flaw(reference, channel_id, amount_fen) or _text_refused(
        reference, "channel_reference", channel_reference
    )
    if flawed is not None:
        return flawed
    known = topup_of(conn, reference)
    rival = topup_by_channel_reference(conn, channel_id, channel_reference)
    decided = _decide(word, known, rival)
    if isinstance(decided, TopUpRefused):
        stray = Stray(channel_id, channel_reference, reference, amount_fen, decided.reason, event_at, at)
        keep_stray(conn, stray)
        return decided
    if isinstance(decided, TopUpAccepted):
        return decided
    (posted,) = post(conn, [_entry(word, decided)], at=at)
    if isinstance(posted, Refused):
        return TopUpRefused(reference, TopUpRefusal.LEDGER_REFUSES, posted.message)
    late = _late(word, decided)
    _settle(conn, word, posted, late=late)
    return TopUpAccepted(reference, first_time=True, late=late)


def fail_topup(conn: Connection, reference: str, *, channel_id: str, event_at: datetime) -> TopUpAnswer:
    """Give up an order that the channel says will not be paid; again, it changes nothing."""
    flawed = _flaw(reference, channel_id, 1)
    if flawed is not None:
        return flawed
    known = topup_of(conn, reference)
    if known is None:
        message = f"no top-up {reference!r} was ordered; look at the reference again"
        return TopUpRefused(reference, TopUpRefusal.TOPUP_UNKNOWN, message)
    if known.channel_id != channel_id:
        return _other_channel(known, channel_id)
    if known.state is TopUpState.CONFIRMED:
        message = f"top-up {reference} was confirmed as {known.channel_reference}; settle it with the channel"
        return TopUpRefused(reference, TopUpRefusal.CONFIRMED_OTHERWISE, message)
    if known.state is TopUpState.FAILED:
        return TopUpAccepted(reference, first_time=False)
    failed = update(topup).where(topup.c.reference == reference)
    conn.execute(failed.values(state=TopUpState.FAILED.value, settled_at=event_at))
    return TopUpAccepted(reference, first_time=True)


def _decide(word: _Confirmation, known: TopUpRecord | None, rival: TopUpRecord | None) -> (
    TopUpRecord | TopUpAnswer
):  # fmt: skip
    """The top-up that is to be booked, or the answer at once."""

    def refused(reason: TopUpRefusal, message: str) -> TopUpRefused:
        return TopUpRefused(word.reference, reason, message)

    if known is None:
        message = f"no top-up {word.reference!r} was ordered; ask the channel whose money it is"
        return refused(TopUpRefusal.TOPUP_UNKNOWN, message)
    if known.channel_id != word.channel_id:
        return _other_channel(known, word.channel_id)
    if known.amount_fen != word.amount_fen:
        message = f"{known.amount_fen} fen were ordered, not {word.amount_fen}; settle it with the channel"
        return refused(TopUpRefusal.AMOUNT_DIFFERS, message)
    if known.state is TopUpState.CONFIRMED:
        if known.channel_reference == word.channel_reference:
            return TopUpAccepted(known.reference, first_time=False, late=known.late)
        message = f"it was confirmed as {known.channel_reference}; ask the channel if it was paid twice"
        return refused(TopUpRefusal.CONFIRMED_OTHERWISE, message)
    if rival is not None:
        message = f"{word.channel_reference!r} confirmed {rival.reference}; ask the channel which was paid"
        return refused(TopUpRefusal.CHANNEL_REFERENCE_TAKEN, message)
    return known


def _settle(conn: Connection, word: _Confirmation, posted: Posted, *, late: bool) -> None:
    conn.execute(
        update(topup)
        .where(topup.c.reference == word.reference)
        .values(
            state=TopUpState.CONFIRMED.value,
            channel_reference=word.channel_reference,
            settled_at=word.event_at,
            entry_id=posted.entry_id,
            late=late,
        )
    )


def _entry(word: _Confirmation, known: TopUpRecord) -> Entry:
    line = Line(f"agent:{known.channel_id}", wallet(known.holder), known.amount_fen, word.channel_reference)
    return Entry(f"topup:{known.reference}", "topup", word.business_date, word.event_at, (line,))


def _late(word: _Confirmation, known: TopUpRecord) -> bool:
    expired = known.expires_at is not None and word.event_at > known.expires_at
    return expired or known.state is TopUpState.FAILED


def _asked(order: TopUp) -> tuple[str, str, int]:
    return order.holder, order.channel_id, order.amount_fen


def _flaw(reference: str, channel_id: str, amount_fen: int) -> TopUpRefused | None:
    refused = _text_refused(reference, "reference", reference)
    if refused is not None:
        return refused
    if not MERCHANT.fullmatch(channel_id):
        message = f"channel_id {channel_id!r} is not one; use 1 to 16 capital letters, digits and hyphens"
        return TopUpRefused(reference, TopUpRefusal.MALFORMED, message)
    if not 0 < amount_fen <= MAX_AMOUNT_FEN:
        message = f"amount_fen {amount_fen} is not from 1 to {MAX_AMOUNT_FEN}; check its unit"
        return TopUpRefused(reference, TopUpRefusal.AMOUNT_NOT_POSITIVE, message)
    return None


def _text_refused(reference: str, name: str, text: str) -> TopUpRefused | None:
    wrong = text_flaw(name, text, REFERENCE_LENGTH)
    return TopUpRefused(reference, TopUpRefusal.MALFORMED, wrong) if wrong is not None else None


def _other_channel(known: TopUpRecord, channel_id: str) -> TopUpRefused:
    message = f"top-up {known.reference} was ordered from {known.channel_id}, not {channel_id}; ask that one"
    return TopUpRefused(known.reference, TopUpRefusal.CHANNEL_DIFFERS, message)

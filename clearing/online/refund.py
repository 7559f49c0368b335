"""Refunds: a part of a payment goes back, the last leg first, never more than was paid.

What has gone back to each pocket depends on the sum of the refunds alone, not on how it was cut up or in
which order its parts came (decision 0012).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import starmap

from sqlalchemy import Connection, bindparam, select, update

from clearing.online.parties import REFERENCE_LENGTH, text_flaw
from clearing.online.payment_record import Leg, PaymentRecord, payments_by_reference
from clearing.online.runs import runs
from clearing.online.tables import payment, payment_leg, payment_refund
from ledger.bulk import insert_rows, one_of
from ledger.entry import Entry, Line, Posted, Refused
from ledger.post import post


class RefundRefusal(StrEnum):
    """Why nothing goes back, in order of precedence: the first that applies is given.

    A refund that was made before is answered as then: after AMOUNT_NOT_POSITIVE, that is asked first.
    """

    MALFORMED = "malformed"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    REFERENCE_TAKEN = "reference_taken"
    PAYMENT_UNKNOWN = "payment_unknown"
    PAYMENT_REVERSED = "payment_reversed"
    ABOVE_PAYMENT = "above_payment"
    LEDGER_REFUSES = "ledger_refuses"


@dataclass(frozen=True, slots=True)
class Refund:
    """`amount_fen` of the payment `original` to go back; `reference` is the natural key of giving it back.

    `event_at` and `business_date` say when it was asked: they are not part of what makes one the same.
    """

    reference: str
    original: str
    amount_fen: int
    business_date: date
    event_at: datetime


@dataclass(frozen=True, slots=True)
class Refunded:
    """The refund is in the books; `first_time` is False where it was there before."""

    reference: str
    original: str
    amount_fen: int
    first_time: bool


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """Nothing went back, and why; `refundable_fen` is what still could."""

    reference: str
    original: str
    reason: RefundRefusal
    refundable_fen: int
    message: str


@dataclass(frozen=True, slots=True)
class KnownRefund:
    """A refund that is in the books."""

    reference: str
    original: str
    amount_fen: int
    entry_id: int
    business_date: date
    event_at: datetime


def refund(conn: Connection, refunds: Sequence[Refund], *, at: datetime) -> list[Refunded | RefundRefused]:
    """Give parts of payments back; answers in the order given.

    `conn` comes from `ledger.db.writing`; `at` is the instant of booking.
    """
    return [
        answer
        for run in runs(refunds, lambda one: (("reference", one.reference), ("original", one.original)))
        for answer in _refund_run(conn, run, at=at)
    ]


def refunds_of(conn: Connection, original: str) -> list[KnownRefund]:
    """The refunds of a payment in the order of booking."""
    columns = payment_refund.c
    query = _QUERY.where(columns.original == original).order_by(columns.entry_id)
    return list(starmap(KnownRefund, conn.execute(query)))


def shares(legs: Sequence[Leg], refunded: Sequence[Leg], amount_fen: int) -> list[int]:
    """What of a refund each leg gets, in fen: the last leg is filled up first.

    Raises ValueError where more is asked for than has not gone back yet.
    """
    parts: list[int] = []
    rest_fen = amount_fen
    for leg, back in zip(reversed(legs), reversed(refunded), strict=True):
        part_fen = min(rest_fen, leg.amount_fen - back.amount_fen)
        parts.append(part_fen)
        rest_fen -= part_fen
    if rest_fen:
        raise ValueError(f"refund of {amount_fen} fen is {rest_fen} fen above what is left; ask for less")
    return parts[::-1]


def decide(
    asked: Refund, known: KnownRefund | None, booked: PaymentRecord | None
) -> list[int] | Refunded | RefundRefused:
    """The share of each leg in fen, to be posted, or the answer at once."""
    flawed = _flaw(asked)
    if flawed is not None:
        return _refused(asked, RefundRefusal.MALFORMED, flawed)
    if asked.amount_fen <= 0:
        message = f"amount_fen {asked.amount_fen} is not positive; refund at least one fen"
        return _refused(asked, RefundRefusal.AMOUNT_NOT_POSITIVE, message)
    if known is not None:
        if (known.original, known.amount_fen) == (asked.original, asked.amount_fen):
            return Refunded(asked.reference, asked.original, asked.amount_fen, first_time=False)
        message = (
            f"reference {asked.reference} refunded {known.amount_fen} fen of {known.original}; use a new one"
        )
        return _refused(asked, RefundRefusal.REFERENCE_TAKEN, message)
    if booked is None:
        message = f"no payment {asked.original!r} is in the books; refund what was paid"
        return _refused(asked, RefundRefusal.PAYMENT_UNKNOWN, message)
    if booked.reversed_by is not None:
        message = f"payment {booked.reference} was reversed by {booked.reversed_by}; nothing is left of it"
        return _refused(asked, RefundRefusal.PAYMENT_REVERSED, message)
    if asked.amount_fen > booked.standing_fen:
        message = (
            f"amount_fen {asked.amount_fen} is above the {booked.standing_fen} fen left of payment "
            f"{booked.reference}; ask for no more"
        )
        return _refused(asked, RefundRefusal.ABOVE_PAYMENT, message, booked.standing_fen)
    return shares(booked.legs, booked.refunded_legs, asked.amount_fen)


_QUERY = select(
    payment_refund.c.reference,
    payment_refund.c.original,
    payment_refund.c.amount_fen,
    payment_refund.c.entry_id,
    payment_refund.c.business_date,
    payment_refund.c.event_at,
)


def _refund_run(
    conn: Connection, refunds: Sequence[Refund], *, at: datetime
) -> list[Refunded | RefundRefused]:
    sound = [one for one in refunds if _flaw(one) is None]
    known = _known(conn, [one.reference for one in sound])
    booked = payments_by_reference(conn, [one.original for one in sound])
    decisions = [decide(one, known.get(one.reference), booked.get(one.original)) for one in refunds]
    entries = [
        _entry(asked, booked[asked.original], decision)
        for asked, decision in zip(refunds, decisions, strict=True)
        if isinstance(decision, list)
    ]
    posted = iter(post(conn, entries, at=at) if entries else [])
    answers: list[Refunded | RefundRefused] = []
    kept: list[tuple[Refund, int, list[int]]] = []
    for asked, decision in zip(refunds, decisions, strict=True):
        if not isinstance(decision, list):
            answers.append(decision)
            continue
        answer = next(posted)
        answers.append(_answer(asked, booked[asked.original], answer))
        if isinstance(answer, Posted) and answer.first_time:
            kept.append((asked, answer.entry_id, decision))
    if kept:
        _keep(conn, kept)
    return answers


def _known(conn: Connection, references: list[str]) -> Mapping[str, KnownRefund]:
    query = _QUERY.where(one_of(conn, payment_refund.c.reference, references))
    return {row.reference: KnownRefund(*row) for row in conn.execute(query)}


def _answer(asked: Refund, booked: PaymentRecord, posted: Posted | Refused) -> Refunded | RefundRefused:
    left_fen = booked.standing_fen
    if isinstance(posted, Refused):
        return _refused(asked, RefundRefusal.LEDGER_REFUSES, posted.message, left_fen)
    if not posted.first_time:
        message = f"entry {posted.reference} was booked by someone else; use a new reference"
        return _refused(asked, RefundRefusal.LEDGER_REFUSES, message, left_fen)
    return Refunded(asked.reference, asked.original, asked.amount_fen, first_time=True)


def _keep(conn: Connection, kept: Sequence[tuple[Refund, int, list[int]]]) -> None:
    insert_rows(
        conn,
        payment_refund,
        (
            (asked.reference, asked.original, entry_id, asked.amount_fen, asked.business_date, asked.event_at)
            for asked, entry_id, _ in kept
        ),
    )
    conn.execute(
        update(payment)
        .where(payment.c.reference == bindparam("of"))
        .values(refunded_fen=payment.c.refunded_fen + bindparam("more_fen")),
        [{"of": asked.original, "more_fen": asked.amount_fen} for asked, _, _ in kept],
    )
    conn.execute(
        update(payment_leg)
        .where(payment_leg.c.reference == bindparam("of"), payment_leg.c.position == bindparam("place"))
        .values(refunded_fen=payment_leg.c.refunded_fen + bindparam("more_fen")),
        [
            {"of": asked.original, "place": place, "more_fen": part_fen}
            for asked, _, parts in kept
            for place, part_fen in enumerate(parts)
            if part_fen
        ],
    )


def _entry(asked: Refund, booked: PaymentRecord, parts: Sequence[int]) -> Entry:
    lines = tuple(
        Line(f"clearing:{booked.merchant}", leg.account, part_fen, booked.reference)
        for leg, part_fen in zip(booked.legs, parts, strict=True)
        if part_fen
    )
    reference = f"refund:{asked.reference}"
    return Entry(reference, "refund", asked.business_date, asked.event_at, lines)


def _flaw(asked: Refund) -> str | None:
    return text_flaw("reference", asked.reference, REFERENCE_LENGTH) or text_flaw(
        "original", asked.original, REFERENCE_LENGTH
    )


def _refused(asked: Refund, reason: RefundRefusal, message: str, refundable_fen: int = 0) -> RefundRefused:
    return RefundRefused(asked.reference, asked.original, reason, refundable_fen, message)

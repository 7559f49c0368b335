"""Reversals: a payment is taken back whole, once, as if it had never been.

A reversal may overtake its original: then it is remembered, and the original is declined for ever. So
whichever of the two arrives first, and however often either does, nobody has paid in the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import starmap

from sqlalchemy import Connection, bindparam, or_, select, update

from clearing.online.parties import REFERENCE_LENGTH, text_flaw
from clearing.online.payment import NARRATIVE_LENGTH, entry_reference
from clearing.online.payment_record import PaymentRecord, payments_by_reference
from clearing.online.runs import runs
from clearing.online.tables import payment, payment_reversal
from ledger.bulk import insert_rows, one_of
from ledger.entry import Entry, Line, Posted, Refused, mirrored
from ledger.post import post


class ReversalRefusal(StrEnum):
    """Why a payment is not reversed, in order of precedence: the first that applies is given.

    A reversal that was accepted before is accepted again: after MALFORMED, that is asked first.
    """

    MALFORMED = "malformed"
    REFERENCE_TAKEN = "reference_taken"
    ALREADY_REVERSED = "already_reversed"
    REFUNDED_BEFORE = "refunded_before"
    LEDGER_REFUSES = "ledger_refuses"


@dataclass(frozen=True, slots=True)
class Reversal:
    """A payment to be taken back: `original` is its reference, `reference` the natural key of taking it back.

    `event_at` and `business_date` say when it was asked: they are not part of what makes one the same.
    """

    reference: str
    original: str
    business_date: date
    event_at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reversed:
    """The payment does not stand; `amount_fen` went back, nothing where the original had not arrived."""

    reference: str
    original: str
    amount_fen: int
    first_time: bool

    @property
    def remembered(self) -> bool:
        """Whether there was nothing to take back yet: the original will be declined when it comes."""
        return self.amount_fen == 0


@dataclass(frozen=True, slots=True)
class ReversalRefused:
    """Nothing was taken back, and why."""

    reference: str
    original: str
    reason: ReversalRefusal
    message: str


@dataclass(frozen=True, slots=True)
class KnownReversal:
    """A reversal that was accepted; `entry_id` is None where its original had not arrived."""

    reference: str
    original: str
    entry_id: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides over reversals: the payments meant, and the reversals known by either key."""

    payments: Mapping[str, PaymentRecord]
    by_reference: Mapping[str, KnownReversal]
    by_original: Mapping[str, KnownReversal]


def reverse(
    conn: Connection, reversals: Sequence[Reversal], *, at: datetime
) -> list[Reversed | ReversalRefused]:
    """Take payments back, every leg to where it came from; answers in the order given.

    `conn` comes from `ledger.db.writing`; `at` is the instant of booking.
    """
    return [
        answer
        for run in runs(reversals, lambda one: (("reference", one.reference), ("original", one.original)))
        for answer in _reverse_run(conn, run, at=at)
    ]


def reversal_of(conn: Connection, original: str) -> KnownReversal | None:
    """The reversal of a payment by the payment's reference, also where that never arrived, or None."""
    return _known(conn, [], [original])[1].get(original)


def decide(reversal: Reversal, facts: Facts) -> Entry | Reversed | ReversalRefused:
    """Reverse with an entry that is to be posted, or answer at once; Reversed for the first time: remember it."""
    flawed = _flaw(reversal)
    if flawed is not None:
        return _refused(reversal, ReversalRefusal.MALFORMED, flawed)
    booked = facts.payments.get(reversal.original)
    known = facts.by_reference.get(reversal.reference)
    if known is not None:
        if (known.original, known.why) != (reversal.original, reversal.why):
            message = (
                f"reference {reversal.reference} reversed {known.original} ({known.why!r}); use a new one"
            )
            return _refused(reversal, ReversalRefusal.REFERENCE_TAKEN, message)
        amount_fen = booked.amount_fen if booked is not None else 0
        return Reversed(reversal.reference, reversal.original, amount_fen, first_time=False)
    rival = facts.by_original.get(reversal.original)
    if rival is not None:
        message = f"payment {reversal.original} was reversed by {rival.reference}; once is enough"
        return _refused(reversal, ReversalRefusal.ALREADY_REVERSED, message)
    if booked is None:
        return Reversed(reversal.reference, reversal.original, 0, first_time=True)
    if booked.refunded_fen:
        message = f"{booked.refunded_fen} fen of payment {booked.reference} were refunded; refund the rest"
        return _refused(reversal, ReversalRefusal.REFUNDED_BEFORE, message)
    return _entry(reversal, booked)


def _reverse_run(
    conn: Connection, reversals: Sequence[Reversal], *, at: datetime
) -> list[Reversed | ReversalRefused]:
    facts = _facts(conn, [one for one in reversals if _flaw(one) is None])
    decisions = [decide(reversal, facts) for reversal in reversals]
    entries = [decision for decision in decisions if isinstance(decision, Entry)]
    booked = iter(post(conn, entries, at=at) if entries else [])
    answers: list[Reversed | ReversalRefused] = []
    kept: list[tuple[Reversal, int | None]] = []
    for reversal, decision in zip(reversals, decisions, strict=True):
        if isinstance(decision, Entry):
            posted = next(booked)
            answers.append(_answer(reversal, facts.payments[reversal.original], posted))
            if isinstance(posted, Posted) and posted.first_time:
                kept.append((reversal, posted.entry_id))
            continue
        answers.append(decision)
        if isinstance(decision, Reversed) and decision.first_time:
            kept.append((reversal, None))
    if kept:
        _keep(conn, kept)
    return answers


def _facts(conn: Connection, reversals: Sequence[Reversal]) -> Facts:
    originals = [one.original for one in reversals]
    by_reference, by_original = _known(conn, [one.reference for one in reversals], originals)
    return Facts(payments_by_reference(conn, originals), by_reference, by_original)


def _known(
    conn: Connection, references: list[str], originals: list[str]
) -> tuple[dict[str, KnownReversal], dict[str, KnownReversal]]:
    columns = payment_reversal.c
    query = select(columns.reference, columns.original, columns.entry_id, columns.why).where(
        or_(one_of(conn, columns.reference, references), one_of(conn, columns.original, originals))
    )
    found = list(starmap(KnownReversal, conn.execute(query)))
    return {one.reference: one for one in found}, {one.original: one for one in found}


def _answer(
    reversal: Reversal, booked: PaymentRecord, posted: Posted | Refused
) -> Reversed | ReversalRefused:
    if isinstance(posted, Refused):
        return _refused(reversal, ReversalRefusal.LEDGER_REFUSES, posted.message)
    if not posted.first_time:
        message = f"entry {posted.reference} was booked by someone else; use a new reference"
        return _refused(reversal, ReversalRefusal.LEDGER_REFUSES, message)
    return Reversed(reversal.reference, reversal.original, booked.amount_fen, first_time=True)


def _keep(conn: Connection, kept: Sequence[tuple[Reversal, int | None]]) -> None:
    insert_rows(
        conn,
        payment_reversal,
        (
            (one.reference, one.original, number, one.business_date, one.event_at, one.why)
            for one, number in kept
        ),
    )
    taken_back = [
        {"of": one.original, "reversed_by": one.reference} for one, number in kept if number is not None
    ]
    if taken_back:
        conn.execute(update(payment).where(payment.c.reference == bindparam("of")), taken_back)


def _entry(reversal: Reversal, booked: PaymentRecord) -> Entry:
    owed = f"clearing:{booked.merchant}"
    lines = mirrored(Line(leg.account, owed, leg.amount_fen, booked.reference) for leg in booked.legs)
    return Entry(
        reference=f"reverse:{reversal.reference}",
        kind="reversal",
        business_date=reversal.business_date,
        event_at=reversal.event_at,
        lines=lines,
        narrative=reversal.why,
        reverses=entry_reference(booked.reference),
    )


def _flaw(reversal: Reversal) -> str | None:
    return (
        text_flaw("reference", reversal.reference, REFERENCE_LENGTH)
        or text_flaw("original", reversal.original, REFERENCE_LENGTH)
        or text_flaw("why", reversal.why, NARRATIVE_LENGTH, empty=True)
    )


def _refused(reversal: Reversal, reason: ReversalRefusal, message: str) -> ReversalRefused:
    return ReversalRefused(reversal.reference, reversal.original, reason, message)

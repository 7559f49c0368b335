"""Payments: from a holder's pockets and the funds that pay with him to what a merchant is owed.

Facts are loaded, each order is decided from them alone, and the ledger books: it has the last word on
whether the money is there. The natural key of a payment is its reference, and its entry is `pay:{reference}`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from clearing.online.parties import (
    HOLDER,
    MERCHANT,
    POCKETS,
    REFERENCE_LENGTH,
    locked_holders,
    open_codes,
    text_flaw,
    wallet,
)
from clearing.online.payment_record import (
    Channel,
    Leg,
    PaymentRecord,
    newest_of_merchant,
    payment_of,
    payments_by_reference,
    payments_of_holder,
    payments_of_merchant,
)
from clearing.online.runs import runs
from clearing.online.tables import payment, payment_leg, payment_reversal
from clearing.sectors.socialsecurity.pockets import SUBSIDY, takers
from ledger.bulk import insert_rows, one_of
from ledger.entry import Entry, Line, Posted, Reason, Refused
from ledger.post import post

__all__ = [
    "Approved",
    "Channel",
    "Decline",
    "Declined",
    "Leg",
    "PaymentOrder",
    "PaymentRecord",
    "entry_reference",
    "newest_of_merchant",
    "pay",
    "payment_of",
    "payments_of_holder",
    "payments_of_merchant",
]

NARRATIVE_LENGTH = 500
RESERVED_KINDS = frozenset(
    ("clearing", "load", "load_confirmed", "load_returned", "net", "opening", "refund", "reversal", "topup")
)
"""Kinds of entry by which the night and the other doors know their own."""
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Decline(StrEnum):
    """Why an order is not paid, in order of precedence: the first that applies is given.

    An order that was approved before is approved again, whatever has changed since, unless it was reversed:
    after LEG_NOT_PAYABLE, that is asked first.
    """

    MALFORMED = "malformed"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    LEG_NOT_PAYABLE = "leg_not_payable"
    MERCHANT_UNKNOWN = "merchant_unknown"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    SUBSIDY_NOT_ACCEPTED = "subsidy_not_accepted"
    REFERENCE_TAKEN = "reference_taken"
    REVERSED_BEFORE = "reversed_before"
    INSUFFICIENT = "insufficient"
    LEDGER_REFUSES = "ledger_refuses"


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """A payment that is asked for; `reference` is its natural key, made by the caller: `http:HOSP-1:bill-42`.

    The order of `legs` matters to refunds, which take the last one first. `event_at` and `business_date` say
    when it was asked: they are not part of what makes an order the same.
    """

    reference: str
    channel: Channel
    kind: str
    merchant: str
    holder: str
    legs: tuple[Leg, ...]
    business_date: date
    event_at: datetime
    narrative: str = ""


@dataclass(frozen=True, slots=True)
class Approved:
    """The payment is in the books; `first_time` is False where it was there before."""

    reference: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class Declined:
    """Nothing was paid, and why: `account` is the code at fault and `amount_fen` what it lacks, if any."""

    reference: str
    reason: Decline
    account: str
    amount_fen: int
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides over orders before the ledger is asked for the money.

    `subsidy_takers` are the merchants of a kind that holders' subsidy pockets may be spent at.
    """

    booked: Mapping[str, PaymentRecord]
    reversed_before: frozenset[str]
    open_codes: frozenset[str]
    locked: frozenset[str]
    subsidy_takers: frozenset[str]


def pay(conn: Connection, orders: Sequence[PaymentOrder], *, at: datetime) -> list[Approved | Declined]:
    """Book payments, each whole or not at all, and answer in the order given; `conn` comes from `writing`.

    An order sees those before it; one that is declined leaves nothing, so that its reference stays free.
    `at` is the instant of booking.
    """
    return [
        answer
        for run in runs(orders, lambda order: (order.reference,))
        for answer in _pay_run(conn, run, at=at)
    ]


def decide(order: PaymentOrder, facts: Facts) -> Entry | Approved | Declined:
    """Pay an order with an entry that is to be posted, or answer it at once."""
    flawed = flaw(order)
    if flawed is not None:
        return flawed
    known = facts.booked.get(order.reference)
    if known is not None and _same(known, order):
        if known.reversed_by is None:
            return Approved(order.reference, first_time=False)
        return _reversed(order)
    if f"clearing:{order.merchant}" not in facts.open_codes:
        message = f"merchant {order.merchant!r} takes no payments here; register it, or look at its id again"
        return _declined(order, Decline.MERCHANT_UNKNOWN, message, f"clearing:{order.merchant}")
    if wallet(order.holder) not in facts.open_codes:
        message = f"holder {order.holder!r} has no wallet here; enrol the person, or look at the id again"
        return _declined(order, Decline.HOLDER_UNKNOWN, message, wallet(order.holder))
    if order.holder in facts.locked:
        message = f"holder {order.holder} has reported a loss; lift the report before paying"
        return _declined(order, Decline.HOLDER_LOCKED, message)
    if spends_subsidy(order) and order.merchant not in facts.subsidy_takers:
        message = (
            f"merchant {order.merchant} may not take {SUBSIDY}{order.holder}; pay from the wallet, or at a "
            "merchant of a kind that benefits are meant for"
        )
        return _declined(order, Decline.SUBSIDY_NOT_ACCEPTED, message, f"{SUBSIDY}{order.holder}")
    if known is not None:
        message = f"reference {order.reference} is another payment; use a new reference"
        return _declined(order, Decline.REFERENCE_TAKEN, message)
    if order.reference in facts.reversed_before:
        return _reversed(order)
    return _entry(order)


def flaw(order: PaymentOrder) -> Declined | None:
    """What makes an order impossible whatever is in the books, or None."""
    wrong = (
        text_flaw("reference", order.reference, REFERENCE_LENGTH)
        or text_flaw("narrative", order.narrative, NARRATIVE_LENGTH, empty=True)
        or _kind_flaw(order.kind)
        or ("there are no legs; say who pays" if not order.legs else None)
    )
    if wrong is not None:
        return _declined(order, Decline.MALFORMED, wrong)
    for leg in order.legs:
        if leg.amount_fen <= 0:
            message = f"amount_fen {leg.amount_fen} of {leg.account!r} is not positive; pay at least one fen"
            return _declined(order, Decline.AMOUNT_NOT_POSITIVE, message, leg.account)
    payable = {f"{pocket}:{order.holder}" for pocket in POCKETS}
    for leg in order.legs:
        if leg.account not in payable and not (
            leg.account.startswith("fund:") and MERCHANT.fullmatch(leg.account.removeprefix("fund:"))
        ):
            message = (
                f"holder {order.holder!r} cannot pay from {leg.account!r}; name a pocket of his or a fund"
            )
            return _declined(order, Decline.LEG_NOT_PAYABLE, message, leg.account)
    return None


def spends_subsidy(order: PaymentOrder) -> bool:
    """Whether a part of an order comes out of a subsidy pocket, which is not good everywhere."""
    return any(leg.account.startswith(SUBSIDY) for leg in order.legs)


def entry_reference(reference: str) -> str:
    """The reference of a payment's entry in the ledger."""
    return f"pay:{reference}"


def _pay_run(conn: Connection, orders: Sequence[PaymentOrder], *, at: datetime) -> list[Approved | Declined]:
    facts = _facts(conn, [order for order in orders if flaw(order) is None])
    decisions = [decide(order, facts) for order in orders]
    entries = [decision for decision in decisions if isinstance(decision, Entry)]
    booked = iter(post(conn, entries, at=at) if entries else [])
    answers: list[Approved | Declined] = []
    kept: list[tuple[int, PaymentOrder]] = []
    for order, decision in zip(orders, decisions, strict=True):
        if not isinstance(decision, Entry):
            answers.append(decision)
            continue
        posted = next(booked)
        answers.append(_answer(order, posted))
        if isinstance(posted, Posted) and posted.first_time:
            kept.append((posted.entry_id, order))
    if kept:
        _keep(conn, kept)
    return answers


def _facts(conn: Connection, orders: Sequence[PaymentOrder]) -> Facts:
    references = [order.reference for order in orders]
    original = payment_reversal.c.original
    # An id that cannot be one is asked for nowhere: it might hold what no database takes.
    merchants = {order.merchant for order in orders if MERCHANT.fullmatch(order.merchant)}
    holders = {order.holder for order in orders if HOLDER.fullmatch(order.holder)}
    codes = [f"clearing:{merchant}" for merchant in merchants] + [wallet(holder) for holder in holders]
    subsidised = {order.merchant for order in orders if spends_subsidy(order)} & merchants
    return Facts(
        booked=payments_by_reference(conn, references),
        reversed_before=frozenset(conn.scalars(select(original).where(one_of(conn, original, references)))),
        open_codes=open_codes(conn, codes),
        locked=locked_holders(conn, holders),
        subsidy_takers=takers(conn, sorted(subsidised)) if subsidised else frozenset(),
    )


def _answer(order: PaymentOrder, posted: Posted | Refused) -> Approved | Declined:
    """What the ledger's answer means to who pays."""
    if isinstance(posted, Posted):
        if posted.first_time:
            return Approved(order.reference, first_time=True)
        message = f"entry {posted.reference} was booked by someone else; use a new reference"
        return _declined(order, Decline.LEDGER_REFUSES, message)
    if posted.reason is Reason.LIMIT_EXCEEDED and posted.account in {leg.account for leg in order.legs}:
        message = f"{posted.account} lacks {posted.amount_fen} fen; top it up, or pay less from it"
        return Declined(order.reference, Decline.INSUFFICIENT, posted.account, posted.amount_fen, message)
    return _declined(order, Decline.LEDGER_REFUSES, posted.message, posted.account)


def _keep(conn: Connection, kept: Iterable[tuple[int, PaymentOrder]]) -> None:
    rows, legs = [], []
    for entry_id, order in kept:
        amount_fen = sum(leg.amount_fen for leg in order.legs)
        asked = (order.reference, entry_id, order.channel.value, order.kind, order.merchant, order.holder)
        when = (order.business_date, order.event_at, order.narrative)
        rows.append((*asked, amount_fen, 0, None, *when))
        legs += [
            (order.reference, position, leg.account, leg.amount_fen, 0)
            for position, leg in enumerate(order.legs)
        ]
    insert_rows(conn, payment, rows)
    insert_rows(conn, payment_leg, legs)


def _entry(order: PaymentOrder) -> Entry:
    owed = f"clearing:{order.merchant}"
    lines = tuple(Line(leg.account, owed, leg.amount_fen, order.reference) for leg in order.legs)
    return Entry(
        entry_reference(order.reference),
        order.kind,
        order.business_date,
        order.event_at,
        lines,
        order.narrative,
    )


def _same(known: PaymentRecord, order: PaymentOrder) -> bool:
    ours = (known.channel, known.kind, known.merchant, known.holder, known.legs, known.narrative)
    return ours == (order.channel, order.kind, order.merchant, order.holder, order.legs, order.narrative)


def _kind_flaw(kind: str) -> str | None:
    if _KIND.fullmatch(kind) and kind not in RESERVED_KINDS:
        return None
    return f"kind {kind!r} is no kind of payment; use small letters, digits and underscores, and none of the books' own"


def _reversed(order: PaymentOrder) -> Declined:
    message = f"payment {order.reference} was reversed; pay again under a new reference"
    return _declined(order, Decline.REVERSED_BEFORE, message)


def _declined(order: PaymentOrder, reason: Decline, message: str, account: str = "") -> Declined:
    return Declined(order.reference, reason, account, 0, message)

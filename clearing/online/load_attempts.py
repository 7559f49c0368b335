"""Which offers of a card the load office authorised, so that any counter can finish a load or take it back.

A card makes one offer at a time: a new one ends the one before, and the MAC2 let go for that is worth nothing
from then on. Its load counter moves with every load that it takes and with nothing else, and it shows the
counter under MAC1. At one counter one load alone is authorised, until it is known what became of it. So an
offer at the same counter says that the card has not taken that load, and one at a later counter that it has.

Whoever calls has had the HSM verify the offer's MAC1; `conn` comes from `ledger.db.writing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, or_, select

from card.loss import ACTIVE
from card.registry import find
from clearing.online.load import LoadOrder, LoadProof, LoadRefused, authorise_loads, confirm_loads, paying
from clearing.online.wallet_load import LoadReturn, return_loads
from clearing.tables import chip_load, load_attempt
from clearing.wire.bcd import moment_of
from ledger.bulk import one_of


class AttemptRefusal(StrEnum):
    """Why an offer is not authorised, or a load not taken back, in order of precedence."""

    CARD_NOT_ACTIVE = "card_not_active"
    LOAD_UNKNOWN = "load_unknown"
    RETURNED = "returned"
    PROVED = "proved"
    COUNTER_BEHIND = "counter_behind"
    AMOUNT_DIFFERS = "amount_differs"
    UNFINISHED = "unfinished"
    BOOKS_REFUSE = "books_refuse"


@dataclass(frozen=True, slots=True)
class Offer:
    """A card's offer to take a load, at a terminal: 12 hex characters, moments 7 bytes BCD in city time.

    `order` names the load that waits for the card already; where it is empty, it is a new one of a counter,
    which the card's number and counter name, ordered at `ordered_at`.
    """

    card_no: str
    counter: int
    balance_fen: int
    amount_fen: int
    terminal: str
    moment: bytes
    mac1: bytes
    ordered_at: bytes
    order: str = ""


@dataclass(frozen=True, slots=True)
class Booking:
    """Who pays a new load, and on which business date it is booked."""

    agent: str
    holder: str
    business_date: date


@dataclass(frozen=True, slots=True)
class AttemptRefused:
    """Nothing was let go or taken back; the message says what stands in the way and what to do."""

    reason: AttemptRefusal
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An authorisation of a load that left the office."""

    counter: int
    balance_fen: int
    terminal: str
    moment: bytes


@dataclass(frozen=True, slots=True)
class WaitingLoad:
    """Money in `load:{card}`: who paid it, and the attempts at writing it onto the chip, oldest first."""

    reference: str
    card_no: str
    amount_fen: int
    paid_from: str
    ordered_at: datetime
    attempts: tuple[Attempt, ...]


def waiting_loads(conn: Connection, card_no: str | None = None) -> list[WaitingLoad]:
    """Loads that are paid but neither proved nor returned, oldest first, of one card or of all."""
    load = chip_load.c
    query = select(chip_load).where(load.confirmed_at.is_(None), load.returned_at.is_(None))
    if card_no is not None:
        query = query.where(load.card_no == card_no)
    rows = conn.execute(query.order_by(load.ordered_at, load.reference)).all()
    attempts = _attempts(conn, rows)
    return [_waiting(row, attempts.get(row.reference, ())) for row in rows]


def authorise_offer(
    conn: Connection, offer: Offer, booking: Booking, *, at: datetime
) -> str | AttemptRefused:
    """Take the money where that is not done yet, and keep that a MAC2 goes out; the load's reference.

    Loads that an earlier counter of the card had been authorised for are proved by this one, first.
    """
    earlier = prove_by_counter(conn, offer, booking.business_date, at=at)
    if isinstance(earlier, AttemptRefused):
        return earlier
    record = find(conn, offer.card_no)
    if record is not None and record.status != ACTIVE:
        message = f"card {offer.card_no} is {record.status}, so nothing is loaded; activate, find or replace it first"
        return AttemptRefused(AttemptRefusal.CARD_NOT_ACTIVE, message)
    rows = _loads_of(conn, offer)
    attempts = _attempts(conn, rows)
    decision = decide(offer, rows, attempts)
    if isinstance(decision, AttemptRefused):
        return decision
    reference, known = decision
    if not known:
        order = LoadOrder(
            offer.card_no, offer.amount_fen, booking.agent, reference, booking.business_date,
            moment_of(offer.ordered_at), holder=booking.holder,
        )  # fmt: skip
        (answer,) = authorise_loads(conn, [order], at=at)
        if isinstance(answer, LoadRefused):
            return AttemptRefused(AttemptRefusal.BOOKS_REFUSE, answer.message)
    number = len(attempts.get(reference, ())) + 1
    conn.execute(insert(load_attempt), [_attempt_row(reference, number, offer, at)])
    return reference


def keep_offers(conn: Connection, offers: Sequence[Offer]) -> int:
    """Keep that a MAC2 went out for each of these offers, whose loads have been authorised; how many are new.

    An offer that is kept already is the same attempt, as where a whole morning is run again; its reference is the
    offer's own. Each is kept as of its moment.
    """
    references = sorted({_reference(offer) for offer in offers})
    query = select(load_attempt).where(one_of(conn, load_attempt.c.reference, references))
    held: dict[str, list[Attempt]] = {reference: [] for reference in references}
    for row in conn.execute(query.order_by(load_attempt.c.reference, load_attempt.c.number)):
        held[row.reference].append(_attempt_of(row))
    rows = []
    for offer in offers:
        tried = held[_reference(offer)]
        attempt = Attempt(offer.counter, offer.balance_fen, offer.terminal, offer.moment)
        if attempt not in tried:
            tried.append(attempt)
            rows.append(_attempt_row(_reference(offer), len(tried), offer, moment_of(offer.moment)))
    if rows:
        conn.execute(insert(load_attempt), rows)
    return len(rows)


def decide(
    offer: Offer, rows: Sequence[Any], attempts: dict[str, tuple[Attempt, ...]]
) -> tuple[str, bool] | AttemptRefused:
    """Which load the offer is for, and whether its money is taken already; or why none.

    `rows` are the card's loads that wait, have this counter or are named like it, with their attempts.
    """
    named = _named(offer, rows)
    if isinstance(named, AttemptRefused):
        return named
    latest = max((one.counter for tried in attempts.values() for one in tried), default=offer.counter)
    if latest > offer.counter or any(row.load_counter == offer.counter for row in rows):
        message = (
            f"a load at counter {offer.counter} of card {offer.card_no} is over; is this the card itself?"
        )
        return AttemptRefused(AttemptRefusal.COUNTER_BEHIND, message)
    if named is not None and named.amount_fen != offer.amount_fen:
        message = f"load {named.reference} is of {named.amount_fen} fen, not {offer.amount_fen}; offer that"
        return AttemptRefused(AttemptRefusal.AMOUNT_DIFFERS, message)
    reference = _new_reference(offer, rows) if named is None else named.reference
    for row in rows:
        tried = attempts.get(row.reference) or _is_named(row, offer)
        if row.reference != reference and _waits(row) and tried:
            message = (
                f"load {row.reference} of {row.amount_fen} fen is not finished; complete or return it first"
            )
            return AttemptRefused(AttemptRefusal.UNFINISHED, message)
    return reference, named is not None


def prove_by_counter(
    conn: Connection, offer: Offer, business_date: date, *, at: datetime
) -> list[LoadProof] | AttemptRefused:
    """Book the waiting loads that an earlier counter of this card was authorised for: it has taken them.

    Refused where the books refuse one; the others are booked.
    """
    proofs = []
    for load in waiting_loads(conn, offer.card_no):
        if load.attempts and (last := load.attempts[-1]).counter < offer.counter:
            proofs.append(
                LoadProof(
                    load.reference, last.balance_fen + load.amount_fen, last.counter, offer.mac1, business_date,
                    moment_of(last.moment), later_counter=offer.counter,
                )
            )  # fmt: skip
    for answer in confirm_loads(conn, proofs, at=at) if proofs else []:
        if isinstance(answer, LoadRefused):
            return AttemptRefused(AttemptRefusal.BOOKS_REFUSE, f"load {answer.reference}: {answer.message}")
    return proofs


def return_by_counter(
    conn: Connection, offer: Offer, seen: int, *, paid_by: str, business_date: date, at: datetime
) -> AttemptRefused | None:
    """Give the load `offer.order` back, as the card shows that it has not taken it; None: it is back.

    `seen` is how many attempts there were before the card was asked for this offer: a later one may be on its
    way to the card. To whom it goes back: a wallet that paid; else the agent `paid_by`, who pays it out.
    """
    earlier = prove_by_counter(conn, offer, business_date, at=at)
    if isinstance(earlier, AttemptRefused):
        return earlier
    rows = _loads_of(conn, offer)
    named = _named(offer, rows)
    if isinstance(named, AttemptRefused) or named is None:
        return named or _unknown(offer)
    attempts = _attempts(conn, rows).get(named.reference, ())
    if any(one.counter > offer.counter for one in attempts):
        message = f"load {named.reference} was authorised at a later counter; is this the card itself?"
        return AttemptRefused(AttemptRefusal.COUNTER_BEHIND, message)
    if len(attempts) != seen:
        message = f"load {named.reference} is being written at another terminal; put the card on again"
        return AttemptRefused(AttemptRefusal.UNFINISHED, message)
    why = f"card {offer.card_no} showed load counter {offer.counter} at terminal {offer.terminal}"
    (answer,) = return_loads(
        conn, [LoadReturn(named.reference, business_date, moment_of(offer.moment), why, paid_by)], at=at
    )
    if isinstance(answer, LoadRefused):
        return AttemptRefused(AttemptRefusal.BOOKS_REFUSE, answer.message)
    return None


def booked_load(conn: Connection, offer: Offer) -> WaitingLoad | None:
    """The load that an offer was for, whether it waits still or not; None where none was authorised."""
    when = moment_of(offer.ordered_at)
    for row in _loads_of(conn, offer):
        if row.reference == offer.order or (
            not offer.order and _is_named(row, offer) and row.ordered_at == when
        ):
            attempts = _attempts(conn, [row]).get(row.reference, ())
            return _waiting(row, attempts)
    return None


def _named(offer: Offer, rows: Sequence[Any]) -> Any | AttemptRefused | None:
    """The load that the offer is for; None where it is a new one."""
    if offer.order:
        row = next((row for row in rows if row.reference == offer.order), None)
        if row is None:
            return _unknown(offer)
    else:
        when = moment_of(offer.ordered_at)
        row = next((row for row in rows if _is_named(row, offer) and row.ordered_at == when), None)
    if row is not None and row.returned_at is not None:
        message = f"load {row.reference} was given back to who paid it; begin a new one"
        return AttemptRefused(AttemptRefusal.RETURNED, message)
    if row is not None and row.confirmed_at is not None:
        return AttemptRefused(AttemptRefusal.PROVED, f"load {row.reference} is on the card already")
    return row


def _unknown(offer: Offer) -> AttemptRefused:
    message = f"no load {offer.order!r} waits for card {offer.card_no}; look at the list of waiting loads"
    return AttemptRefused(AttemptRefusal.LOAD_UNKNOWN, message)


def _reference(offer: Offer) -> str:
    """The load that an offer names, or the first of the card's counter."""
    return offer.order or _base(offer)


def _base(offer: Offer) -> str:
    return f"{offer.card_no}:{offer.counter}"


def _new_reference(offer: Offer, rows: Sequence[Any]) -> str:
    """Number and counter of the card; after loads at that counter which went back, a number more."""
    before = sum(_is_named(row, offer) for row in rows)
    return f"{_base(offer)}:{before}" if before else _base(offer)


def _is_named(row: Any, offer: Offer) -> bool:
    """Whether a load is named after the card and its counter."""
    base = _base(offer)
    return bool(row.reference == base or row.reference.startswith(f"{base}:"))


def _waits(row: Any) -> bool:
    return row.confirmed_at is None and row.returned_at is None


def _loads_of(conn: Connection, offer: Offer) -> Sequence[Any]:
    """The card's loads that may bear upon the offer: those that wait, and those of its counter and name."""
    load, base = chip_load.c, _base(offer)
    waits = load.confirmed_at.is_(None) & load.returned_at.is_(None)
    ours = or_(waits, load.load_counter == offer.counter, load.reference.in_([base, offer.order]),
               load.reference.startswith(f"{base}:", autoescape=True))  # fmt: skip
    query = select(chip_load).where(load.card_no == offer.card_no, ours).order_by(load.reference)
    return conn.execute(query).all()


def _waiting(row: Any, attempts: tuple[Attempt, ...]) -> WaitingLoad:
    paid_from = paying(row.agent, row.holder)
    return WaitingLoad(row.reference, row.card_no, row.amount_fen, paid_from, row.ordered_at, attempts)


def _attempts(conn: Connection, rows: Sequence[Any]) -> dict[str, tuple[Attempt, ...]]:
    columns = load_attempt.c
    query = select(load_attempt).where(one_of(conn, columns.reference, [row.reference for row in rows]))
    found: dict[str, tuple[Attempt, ...]] = {}
    for row in conn.execute(query.order_by(columns.reference, columns.number)):
        found[row.reference] = (*found.get(row.reference, ()), _attempt_of(row))
    return found


def _attempt_of(row: Any) -> Attempt:
    return Attempt(row.load_counter, row.balance_fen, row.terminal, bytes(row.moment))


def _attempt_row(reference: str, number: int, offer: Offer, at: datetime) -> dict[str, Any]:
    return {
        "reference": reference, "number": number, "card_no": offer.card_no, "load_counter": offer.counter,
        "balance_fen": offer.balance_fen, "terminal": offer.terminal, "moment": offer.moment,
        "authorised_at": at,
    }  # fmt: skip

"""Money onto the chip: taken when the card asks for it, in the purse when the card has proved it.

In between it is in `load:{card}`, listed, never lost and never booked twice. Whoever calls asks the HSM
first (MAC1 before `authorise_loads`, the load's TAC before `confirm_loads`): a transaction does not wait
for a peer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from card.tables import card
from clearing.tables import chip_load
from ledger.accounts import open_accounts
from ledger.bulk import one_of
from ledger.chart import account
from ledger.entry import Entry, Line, Refused
from ledger.post import post


class LoadRefusal(StrEnum):
    """Why a load is not authorised or confirmed, in order of precedence: the first that applies."""

    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    CARD_UNKNOWN = "card_unknown"
    REFERENCE_TAKEN = "reference_taken"
    LOAD_UNKNOWN = "load_unknown"
    OTHER_PROOF = "other_proof"
    COUNTER_TAKEN = "counter_taken"
    LEDGER_REFUSES = "ledger_refuses"


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """`amount_fen` taken by `agent` for a card; `reference` is the agent's own natural key."""

    card_no: str
    amount_fen: int
    agent: str
    reference: str
    business_date: date
    event_at: datetime


@dataclass(frozen=True, slots=True)
class LoadProof:
    """The card's answer to a load: its balance and load counter, with the TAC that the HSM has verified.

    `event_at` is when the card took the load, by the moment in its TAC.
    """

    reference: str
    new_balance_fen: int
    counter: int
    tac: bytes
    business_date: date
    event_at: datetime


@dataclass(frozen=True, slots=True)
class LoadBooked:
    """The order or proof is in the books; `first_time` is False where it was there before."""

    reference: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class LoadRefused:
    """The order or proof changed nothing, and why."""

    reference: str
    reason: LoadRefusal
    message: str


@dataclass(frozen=True, slots=True)
class PendingLoad:
    """Money taken for a card that has not proved the load yet."""

    reference: str
    card_no: str
    amount_fen: int
    agent: str
    ordered_at: datetime


LoadAnswer = LoadBooked | LoadRefused


def authorise_loads(conn: Connection, orders: Sequence[LoadOrder], *, at: datetime) -> list[LoadAnswer]:
    """Take money for loads, `agent:{id}` to `load:{card}`; answers in the order given.

    The same order again is answered as before and changes nothing. `conn` comes from `ledger.db.writing`.
    """
    held = _loads(conn, [order.reference for order in orders])
    cards = [order.card_no for order in orders]
    known = set(conn.scalars(select(card.c.card_no).where(one_of(conn, card.c.card_no, cards))))
    taken = {reference: _ordered(row) for reference, row in held.items()}
    first: dict[str, LoadOrder] = {}
    answers: list[LoadAnswer | None] = []
    for order in orders:
        answer = _order_answer(order, known, taken)
        if answer is None and order.reference not in first:
            first[order.reference] = order
            taken[order.reference] = _facts_of_order(order)
        answers.append(None if order.reference in first and not isinstance(answer, LoadRefused) else answer)
    open_accounts(conn, [account(f"agent:{order.agent}") for order in first.values()], at=at)
    booked = _book(conn, [_order_entry(order) for order in first.values()], list(first), at)
    rows = [
        {
            "reference": order.reference,
            "card_no": order.card_no,
            "amount_fen": order.amount_fen,
            "agent": order.agent,
            "ordered_at": order.event_at,
        }
        for order in first.values()
        if isinstance(booked[order.reference], LoadBooked)
    ]
    if rows:
        conn.execute(insert(chip_load), rows)
    return _in_order(answers, [order.reference for order in orders], booked)


def confirm_loads(conn: Connection, proofs: Sequence[LoadProof], *, at: datetime) -> list[LoadAnswer]:
    """Move money whose load the card has proved, `load:{card}` to `purse:{card}`; answers in the order given.

    The same proof again is answered as before and changes nothing. `conn` comes from `ledger.db.writing`.
    """
    held = _loads(conn, [proof.reference for proof in proofs])
    counters = _load_counters(conn, [row.card_no for row in held.values()])
    proved = {reference: _proved(row) for reference, row in held.items() if row.confirmed_at is not None}
    first: dict[str, LoadProof] = {}
    answers: list[LoadAnswer | None] = []
    for proof in proofs:
        answer = _proof_answer(proof, held, proved, counters)
        if answer is None and proof.reference not in first:
            first[proof.reference] = proof
            proved[proof.reference] = _facts_of_proof(proof)
            counters.add((held[proof.reference].card_no, proof.counter))
        answers.append(None if proof.reference in first and not isinstance(answer, LoadRefused) else answer)
    entries = [_proof_entry(proof, held[proof.reference]) for proof in first.values()]
    booked = _book(conn, entries, list(first), at)
    rows = [
        {
            "of": proof.reference,
            "confirmed_at": proof.event_at,
            "new_balance_fen": proof.new_balance_fen,
            "load_counter": proof.counter,
            "tac": proof.tac,
        }
        for proof in first.values()
        if isinstance(booked[proof.reference], LoadBooked)
    ]
    if rows:
        conn.execute(update(chip_load).where(chip_load.c.reference == bindparam("of")), rows)
    return _in_order(answers, [proof.reference for proof in proofs], booked)


def pending_loads(conn: Connection) -> list[PendingLoad]:
    """Loads that are paid but not proved, oldest first."""
    columns = chip_load.c
    query = (
        select(columns.reference, columns.card_no, columns.amount_fen, columns.agent, columns.ordered_at)
        .where(columns.confirmed_at.is_(None))
        .order_by(columns.ordered_at, columns.reference)
    )
    return [PendingLoad(*row) for row in conn.execute(query)]


def _loads(conn: Connection, references: list[str]) -> dict[str, Any]:
    query = select(chip_load).where(one_of(conn, chip_load.c.reference, references))
    return {row.reference: row for row in conn.execute(query)}


def _load_counters(conn: Connection, cards: list[str]) -> set[tuple[str, int]]:
    columns = chip_load.c
    query = select(columns.card_no, columns.load_counter).where(
        one_of(conn, columns.card_no, cards), columns.load_counter.is_not(None)
    )
    return {(card_no, counter) for card_no, counter in conn.execute(query)}


def _ordered(row: Any) -> tuple[Any, ...]:
    return row.card_no, row.amount_fen, row.agent, row.ordered_at


def _facts_of_order(order: LoadOrder) -> tuple[Any, ...]:
    return order.card_no, order.amount_fen, order.agent, order.event_at


def _proved(row: Any) -> tuple[Any, ...]:
    return row.new_balance_fen, row.load_counter, row.tac, row.confirmed_at


def _facts_of_proof(proof: LoadProof) -> tuple[Any, ...]:
    return proof.new_balance_fen, proof.counter, proof.tac, proof.event_at


def _order_answer(order: LoadOrder, known: set[str], taken: dict[str, tuple[Any, ...]]) -> LoadAnswer | None:
    """The answer that needs no booking, or None."""

    def refused(reason: LoadRefusal, message: str) -> LoadRefused:
        return LoadRefused(order.reference, reason, message)

    if order.amount_fen <= 0:
        return refused(
            LoadRefusal.AMOUNT_NOT_POSITIVE, f"amount is {order.amount_fen} fen; load at least one fen"
        )
    if order.card_no not in known:
        return refused(
            LoadRefusal.CARD_UNKNOWN,
            f"card {order.card_no} is not in the register; register it, or look again",
        )
    ours = taken.get(order.reference)
    if ours is None:
        return None
    if ours != _facts_of_order(order):
        return refused(
            LoadRefusal.REFERENCE_TAKEN, f"reference {order.reference} is another load; use a new reference"
        )
    return LoadBooked(order.reference, first_time=False)


def _proof_answer(
    proof: LoadProof,
    held: dict[str, Any],
    proved: dict[str, tuple[Any, ...]],
    counters: set[tuple[str, int]],
) -> LoadAnswer | None:
    """The answer that needs no booking, or None."""

    def refused(reason: LoadRefusal, message: str) -> LoadRefused:
        return LoadRefused(proof.reference, reason, message)

    row = held.get(proof.reference)
    if row is None:
        return refused(
            LoadRefusal.LOAD_UNKNOWN,
            f"no load {proof.reference} was authorised; authorise it before the card loads",
        )
    ours = proved.get(proof.reference)
    if ours is not None and ours != _facts_of_proof(proof):
        return refused(
            LoadRefusal.OTHER_PROOF,
            f"load {proof.reference} was proved otherwise; compare the card's answers",
        )
    if ours is not None:
        return LoadBooked(proof.reference, first_time=False)
    if (row.card_no, proof.counter) in counters:
        return refused(
            LoadRefusal.COUNTER_TAKEN,
            f"load counter {proof.counter} of card {row.card_no} proved another load; read the card's log",
        )
    return None


def _order_entry(order: LoadOrder) -> Entry:
    line = Line(f"agent:{order.agent}", f"load:{order.card_no}", order.amount_fen, order.reference)
    return Entry(f"load:{order.reference}", "load", order.business_date, order.event_at, (line,))


def _proof_entry(proof: LoadProof, load: Any) -> Entry:
    item = f"{load.card_no}:load:{proof.counter}"
    line = Line(f"load:{load.card_no}", f"purse:{load.card_no}", load.amount_fen, item)
    reference = f"load-confirmed:{proof.reference}"
    return Entry(reference, "load_confirmed", proof.business_date, proof.event_at, (line,))


def _book(
    conn: Connection, entries: list[Entry], references: list[str], at: datetime
) -> dict[str, LoadAnswer]:
    """Post and answer by the load's own reference."""
    booked: dict[str, LoadAnswer] = {}
    for reference, answer in zip(references, post(conn, entries, at=at), strict=True):
        if isinstance(answer, Refused):
            booked[reference] = LoadRefused(reference, LoadRefusal.LEDGER_REFUSES, answer.message)
        else:
            booked[reference] = LoadBooked(reference, answer.first_time)
    return booked


def _in_order(
    answers: list[LoadAnswer | None], references: list[str], booked: dict[str, LoadAnswer]
) -> list[LoadAnswer]:
    """Fill in what was booked; a reference given twice in one call was booked the first time."""
    filled: list[LoadAnswer] = []
    for answer, reference in zip(answers, references, strict=True):
        filled.append(booked[reference] if answer is None else answer)
        if answer is None and isinstance(booked[reference], LoadBooked):
            booked[reference] = LoadBooked(reference, first_time=False)
    return filled

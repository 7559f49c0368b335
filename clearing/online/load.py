"""Money onto the chip: taken when the card asks for it, in the purse when the card has proved it.

It comes from an agent who took cash, or from a wallet. In between it is in `load:{card}`, listed, never lost
and never booked twice; `wallet_load` returns what the card never took. Whoever calls asks the HSM first (MAC1
before `authorise_loads`, the load's TAC before `confirm_loads`): a transaction does not wait for a peer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from card.tables import card
from clearing.online.parties import HOLDER, locked_holders, open_codes, text_flaw, wallet
from clearing.online.runs import runs
from clearing.tables import chip_load
from ledger.accounts import open_accounts
from ledger.bulk import one_of
from ledger.chart import account
from ledger.entry import Entry, Line, Reason, Refused
from ledger.post import post

REFERENCE_LENGTH = 64
RETURNED = "suspense:load_returned"
"""What cards proved after it had been returned: booked on the chip, to be got back."""
MIGRATION = "migration"
"""Who pays a load of what a replaced card held, out of `suspense:migration`; no agent is called so."""


class LoadRefusal(StrEnum):
    """Why a load is not authorised, confirmed or returned, in order of precedence: the first that applies.

    An order that was taken before is taken again: after AMOUNT_NOT_POSITIVE, that is asked first.
    """

    MALFORMED = "malformed"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    CARD_UNKNOWN = "card_unknown"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    REFERENCE_TAKEN = "reference_taken"
    LOAD_UNKNOWN = "load_unknown"
    OTHER_PROOF = "other_proof"
    COUNTER_TAKEN = "counter_taken"
    PROVED_BEFORE = "proved_before"
    INSUFFICIENT = "insufficient"
    LEDGER_REFUSES = "ledger_refuses"


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """`amount_fen` taken by `agent` for a card; `reference` is the agent's own natural key.

    With a `holder` it is taken from the holder's wallet, and `agent` is empty; then `event_at` says when it
    was asked, and is not part of what makes an order the same.
    """

    card_no: str
    amount_fen: int
    agent: str
    reference: str
    business_date: date
    event_at: datetime
    holder: str = ""


@dataclass(frozen=True, slots=True)
class LoadProof:
    """The card's answer to a load: its balance and load counter, with the TAC that the HSM has verified.

    `event_at` is when the card took the load, by the moment in its TAC. Where `later_counter` is given, `tac`
    is no TAC but the MAC1 by which the card showed that load counter later: it moves with loads alone.
    """

    reference: str
    new_balance_fen: int
    counter: int
    tac: bytes
    business_date: date
    event_at: datetime
    later_counter: int | None = None


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
    holder: str = ""


LoadAnswer = LoadBooked | LoadRefused


def authorise_loads(conn: Connection, orders: Sequence[LoadOrder], *, at: datetime) -> list[LoadAnswer]:
    """Take money for loads, `agent:{id}` or `wallet:{holder}` to `load:{card}`; answers in the order given.

    The same order again is answered as before and changes nothing. `conn` comes from `ledger.db.writing`.
    """
    return [
        answer
        for run in runs(orders, lambda order: (order.reference,))
        for answer in _authorise_run(conn, run, at=at)
    ]


def confirm_loads(conn: Connection, proofs: Sequence[LoadProof], *, at: datetime) -> list[LoadAnswer]:
    """Move money whose load the card has proved, `load:{card}` to `purse:{card}`; answers in the order given.

    Where the load was returned before, the card has the money all the same: it is then booked from
    `suspense:load_returned`, for a person to get it back from whom it was returned to. The same proof again
    is answered as before and changes nothing. `conn` comes from `ledger.db.writing`.
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
    if any(held[reference].returned_at is not None for reference in first):
        open_accounts(conn, [account(RETURNED)], at=at)
    entries = [_proof_entry(proof, held[proof.reference]) for proof in first.values()]
    booked = _book(conn, entries, list(first), at)
    rows = [
        {
            "of": proof.reference,
            "confirmed_at": proof.event_at,
            "new_balance_fen": proof.new_balance_fen,
            "load_counter": proof.counter,
            "tac": proof.tac,
            "later_counter": proof.later_counter,
        }
        for proof in first.values()
        if isinstance(booked[proof.reference], LoadBooked)
    ]
    if rows:
        conn.execute(update(chip_load).where(chip_load.c.reference == bindparam("of")), rows)
    return _in_order(answers, [proof.reference for proof in proofs], booked)


def pending_loads(conn: Connection) -> list[PendingLoad]:
    """Loads that are paid but neither proved nor returned, oldest first."""
    columns = chip_load.c
    query = (
        select(
            columns.reference,
            columns.card_no,
            columns.amount_fen,
            columns.agent,
            columns.ordered_at,
            func.coalesce(columns.holder, ""),
        )
        .where(columns.confirmed_at.is_(None), columns.returned_at.is_(None))
        .order_by(columns.ordered_at, columns.reference)
    )
    return [PendingLoad(*row) for row in conn.execute(query)]


def payer(order: LoadOrder) -> str:
    """The account that a load is paid from."""
    return paying(order.agent, order.holder)


def paying(agent: str, holder: str | None) -> str:
    """The account behind an agent's id or a holder's: the books themselves pay what a replaced card held."""
    if agent == MIGRATION:
        return f"suspense:{MIGRATION}"
    return wallet(holder) if holder else f"agent:{agent}"


def _authorise_run(conn: Connection, orders: Sequence[LoadOrder], *, at: datetime) -> list[LoadAnswer]:
    sound = [order for order in orders if _order_flaw(order) is None]
    held = _loads(conn, [order.reference for order in sound])
    taken = {reference: _ordered(row) for reference, row in held.items()}
    parties = _parties(conn, sound)
    answers = {order.reference: _order_answer(order, parties, taken) for order in orders}
    new = {order.reference: order for order in orders if answers[order.reference] is None}
    open_accounts(conn, [account(payer(order)) for order in new.values() if not order.holder], at=at)
    booked = _book(conn, [_order_entry(order) for order in new.values()], list(new), at)
    rows = [
        {
            "reference": order.reference,
            "card_no": order.card_no,
            "amount_fen": order.amount_fen,
            "agent": order.agent,
            "ordered_at": order.event_at,
            "holder": order.holder or None,
        }
        for order in new.values()
        if isinstance(booked[order.reference], LoadBooked)
    ]
    if rows:
        conn.execute(insert(chip_load), rows)
    return [answers[order.reference] or booked[order.reference] for order in orders]


@dataclass(frozen=True, slots=True)
class _Parties:
    """Cards, wallets and losses that decide over orders."""

    cards: frozenset[str]
    wallets: frozenset[str]
    locked: frozenset[str]


def _parties(conn: Connection, orders: Sequence[LoadOrder]) -> _Parties:
    cards = [order.card_no for order in orders]
    holders = {order.holder for order in orders if HOLDER.fullmatch(order.holder)}
    return _Parties(
        cards=frozenset(conn.scalars(select(card.c.card_no).where(one_of(conn, card.c.card_no, cards)))),
        wallets=open_codes(conn, [wallet(holder) for holder in holders]) if holders else frozenset(),
        locked=locked_holders(conn, holders) if holders else frozenset(),
    )


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
    return row.card_no, row.amount_fen, row.agent, row.holder or "", None if row.holder else row.ordered_at


def _facts_of_order(order: LoadOrder) -> tuple[Any, ...]:
    when = None if order.holder else order.event_at
    return order.card_no, order.amount_fen, order.agent, order.holder, when


def _proved(row: Any) -> tuple[Any, ...]:
    return row.new_balance_fen, row.load_counter, row.tac, row.confirmed_at, row.later_counter


def _facts_of_proof(proof: LoadProof) -> tuple[Any, ...]:
    return proof.new_balance_fen, proof.counter, proof.tac, proof.event_at, proof.later_counter


def _agree(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    """Whether two proofs of a load say the same; by a TAC or by a later counter, they name its own counter."""
    return ours == theirs or ((ours[-1], theirs[-1]) != (None, None) and ours[1] == theirs[1])


def _order_answer(
    order: LoadOrder, parties: _Parties, taken: dict[str, tuple[Any, ...]]
) -> LoadAnswer | None:
    """The answer that needs no booking, or None."""

    def refused(reason: LoadRefusal, message: str) -> LoadRefused:
        return LoadRefused(order.reference, reason, message)

    flawed = _order_flaw(order)
    if flawed is not None:
        return refused(LoadRefusal.MALFORMED, flawed)
    if order.amount_fen <= 0:
        return refused(
            LoadRefusal.AMOUNT_NOT_POSITIVE, f"amount is {order.amount_fen} fen; load at least one fen"
        )
    ours = taken.get(order.reference)
    if ours == _facts_of_order(order):
        return LoadBooked(order.reference, first_time=False)
    if order.card_no not in parties.cards:
        return refused(
            LoadRefusal.CARD_UNKNOWN,
            f"card {order.card_no} is not in the register; register it, or look again",
        )
    if order.holder and wallet(order.holder) not in parties.wallets:
        return refused(
            LoadRefusal.HOLDER_UNKNOWN,
            f"holder {order.holder!r} has no wallet here; enrol the person, or look at the id again",
        )
    if order.holder in parties.locked:
        return refused(
            LoadRefusal.HOLDER_LOCKED, f"holder {order.holder} has reported a loss; lift the report first"
        )
    if ours is not None:
        return refused(
            LoadRefusal.REFERENCE_TAKEN, f"reference {order.reference} is another load; use a new reference"
        )
    return None


def _order_flaw(order: LoadOrder) -> str | None:
    return text_flaw("reference", order.reference, REFERENCE_LENGTH) or text_flaw("card", order.card_no, 20)


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
    if ours is not None and not _agree(ours, _facts_of_proof(proof)):
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
    line = Line(payer(order), f"load:{order.card_no}", order.amount_fen, order.reference)
    return Entry(f"load:{order.reference}", "load", order.business_date, order.event_at, (line,))


def _proof_entry(proof: LoadProof, load: Any) -> Entry:
    item = f"{load.card_no}:load:{proof.counter}"
    source = f"load:{load.card_no}" if load.returned_at is None else RETURNED
    line = Line(source, f"purse:{load.card_no}", load.amount_fen, item)
    reference = f"load-confirmed:{proof.reference}"
    return Entry(reference, "load_confirmed", proof.business_date, proof.event_at, (line,))


def _book(
    conn: Connection, entries: list[Entry], references: list[str], at: datetime
) -> dict[str, LoadAnswer]:
    """Post and answer by the load's own reference."""
    booked: dict[str, LoadAnswer] = {}
    for reference, answer in zip(references, post(conn, entries, at=at), strict=True):
        if isinstance(answer, Refused):
            short = answer.reason is Reason.LIMIT_EXCEEDED and answer.account.startswith("wallet:")
            reason = LoadRefusal.INSUFFICIENT if short else LoadRefusal.LEDGER_REFUSES
            booked[reference] = LoadRefused(reference, reason, answer.message)
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

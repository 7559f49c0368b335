"""What somebody proposes to do with taps in suspense: pay them, or reject them with a reason.

Another person approves it or turns it down, or whoever proposed withdraws it (`settlement.suspense_decisions`); until
then nothing moves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, select

from card.tables import card
from clearing.interop.centres import centre_codes
from clearing.interop.codes import CODES
from clearing.suspense_tables import suspense_item, suspense_proposal
from clearing.tables import tap
from clearing.verdict import Money, Verdict
from ledger.bulk import one_of
from ledger.money import yuan
from ledger.snapshots import total_fen

MAX_REASON: Final = 150
"""Characters of a reason: it stands beside each of its taps."""

Place = tuple[str, int, int]
"""A tap by operator, sequence and position."""


class Decision(StrEnum):
    """What is to become of taps."""

    PAY = "pay"
    REJECT = "reject"


class State(StrEnum):
    """Where a proposal stands: void is one whose taps are no longer in suspense as they were."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    TURNED_DOWN = "turned_down"
    WITHDRAWN = "withdrawn"
    VOID = "void"


class ProposalRefusal(StrEnum):
    """Why a proposal is not made, in order of precedence: the first that applies is told."""

    REASON_UNFIT = "reason_unfit"
    NOTHING_SUSPENDED = "nothing_suspended"
    ROUTED = "routed"
    ALREADY_PROPOSED = "already_proposed"
    AMOUNT_UNFIT = "amount_unfit"
    CARD_NOT_TO_PAY = "card_not_to_pay"
    CENTRE_PAID_WHOLE = "centre_paid_whole"
    CENTRE_HAS_NO_WORD = "centre_has_no_word"


@dataclass(frozen=True, slots=True)
class ProposalRefused:
    """A proposal that is not made, and what to do."""

    refusal: ProposalRefusal
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Target:
    """Taps of an operator: the one at a place, or all in suspense for a verdict since a day. Half of it is None."""

    operator: str
    sequence: int | None = None
    position: int | None = None
    verdict: Verdict | None = None
    presented_on: date | None = None

    def __str__(self) -> str:
        if self.sequence is not None:
            return f"tap {self.sequence}:{self.position} of {self.operator}"
        return f"taps of {self.operator}, {self.verdict} since {self.presented_on}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who proposes what for which taps, and why. `amount_fen` is what one tap is paid: None for the lower of what was
    presented and the tariff's price."""

    target: Target
    decision: Decision
    reason: str
    by: str
    at: datetime
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as it stands: how many taps, what they showed as taken, and what of it their operator is to get.

    One that is withdrawn was decided by whoever proposed it.
    """

    number: int
    decision: Decision
    reason: str
    proposed_by: str
    proposed_at: datetime
    state: State
    decided_by: str | None
    decided_at: datetime | None
    decided_why: str | None
    business_date: date | None
    operator: str
    verdict: Verdict
    taps: int
    amount_fen: int
    paid_fen: int


@dataclass(frozen=True, slots=True)
class Known:
    """What a proposal is held against: which of its taps wait in another, which counters are paid, which numbers of
    unknown cards are of cards of ours, who is a centre."""

    proposed: Mapping[Place, int]
    paid_counters: Set[tuple[str, int]]
    ours: Set[str]
    centres: Sequence[str]


def propose(conn: Connection, asked: Asked) -> Proposal | ProposalRefused:
    """Write a proposal down with its taps as they stand; again while it waits, it is refused. `conn` writes."""
    taps = conn.execute(select(tap).where(_meant(asked.target)).order_by(*_KEYS)).all()
    proposed, paid = _proposed(conn, asked.target), paid_counters(conn, taps)
    known = Known(proposed, paid, numbers_of_ours(conn, taps), centre_codes(conn))
    refused = refusal_to_propose(asked, taps, known)
    if refused is not None:
        return refused
    newest = conn.execute(select(func.coalesce(func.max(suspense_proposal.c.number), 0))).scalar_one()
    number = int(newest) + 1
    conn.execute(
        insert(suspense_proposal).values(
            number=number, decision=asked.decision.value, reason=asked.reason.strip(), proposed_by=asked.by,
            proposed_at=asked.at, state=State.PROPOSED.value,
        )
    )  # fmt: skip
    items = [
        {
            "proposal": number, "operator": one.operator, "sequence": one.sequence, "position": one.position,
            "verdict": one.verdict, "amount_fen": one.amount_fen, "paid_fen": to_be_paid_fen(asked, one),
        }
        for one in taps
    ]  # fmt: skip
    conn.execute(insert(suspense_item), items)
    made = proposal_of(conn, number)
    assert made is not None
    return made


def refusal_to_propose(asked: Asked, taps: Sequence[Row[Any]], known: Known) -> ProposalRefused | None:
    """The first reason why this cannot be proposed of these taps (rows of `tap`), or None."""
    if not 1 <= len(asked.reason.strip()) <= MAX_REASON:
        message = f"a reason of {len(asked.reason.strip())} characters does not explain"
        return ProposalRefused(ProposalRefusal.REASON_UNFIT, message, f"give 1 to {MAX_REASON}")
    if not taps or any(one.money != Money.SUSPENDED.value for one in taps):
        became = f": it is {taps[0].verdict}, {taps[0].money} since {taps[0].decided_on}" if taps else ""
        message = f"{asked.target}: not in suspense{became}"
        remedy = (
            "`onecard suspense list` names what is; a decision that was wrong is put right by a new batch"
        )
        return ProposalRefused(ProposalRefusal.NOTHING_SUSPENDED, message, remedy)
    if any(one.verdict == Verdict.ROUTED.value for one in taps):
        message = f"{asked.target}: the centre that answers for the card has the word, and pays for it"
        remedy = "ask the centre: `onecard centres` and peer_waiting.csv say which and since when"
        return ProposalRefused(ProposalRefusal.ROUTED, message, remedy)
    waiting = next((known.proposed[place] for one in taps if (place := _place(one)) in known.proposed), None)
    if waiting is not None:
        message = f"{asked.target}: proposal {waiting} waits for a second person"
        remedy = f"`onecard suspense show {waiting}`; have it decided, or withdrawn by whoever proposed it"
        return ProposalRefused(ProposalRefusal.ALREADY_PROPOSED, message, remedy)
    return _refusal_of_amount(asked, taps) or _refusal_of_payee(asked, taps, known)


def to_be_paid_fen(asked: Asked, one: Row[Any]) -> int:
    """What the operator of a tap would get."""
    if asked.decision is Decision.REJECT:
        return 0
    if asked.amount_fen is not None:
        return asked.amount_fen
    return int(one.amount_fen if one.price_fen is None else min(one.amount_fen, one.price_fen))


def paid_counters(conn: Connection, taps: Sequence[Row[Any]]) -> Set[tuple[str, int]]:
    """The counters of these taps' cards that a tap was paid for, as card and counter."""
    columns = tap.c
    cards = sorted({one.card_no for one in taps})
    query = select(columns.card_no, columns.counter).where(
        one_of(conn, columns.card_no, cards), columns.money == Money.PAID.value
    )
    return {(card_no, counter) for card_no, counter in conn.execute(query)}


def numbers_of_ours(conn: Connection, taps: Sequence[Row[Any]]) -> Set[str]:
    """The numbers of registered cards that taps of unknown ones bear: those of another issuer."""
    strange = sorted({one.card_no for one in taps if one.verdict == Verdict.CARD_UNKNOWN.value})
    return set(conn.scalars(select(card.c.card_no).where(one_of(conn, card.c.card_no, strange))))


def why_not_paid(taps: Sequence[Row[Any]], paid: Set[tuple[str, int]], ours: Set[str]) -> str | None:
    """Whose card would pay what is not its own, if these taps were paid: twice, or another's; or None."""
    counted = Counter((one.card_no, one.counter) for one in taps)
    for (card_no, counter), count in counted.items():
        if count > 1 or (card_no, counter) in paid:
            return (
                f"counter {counter} of card {card_no} would be paid twice, and a card makes one tap with it"
            )
    for one in taps:
        if one.verdict == Verdict.CARD_UNKNOWN.value and one.card_no in ours:
            return f"the purse of card {one.card_no} would pay, which tap {one.sequence}:{one.position} was not made by"
    return None


def proposals(conn: Connection, *, done_too: bool = False) -> list[Proposal]:
    """Proposals that wait for a second person, or all, by number."""
    query = _PROPOSALS if done_too else _PROPOSALS.where(suspense_proposal.c.state == State.PROPOSED.value)
    return [_proposal(row) for row in conn.execute(query)]


def proposal_of(conn: Connection, number: int) -> Proposal | None:
    """One proposal by its number."""
    row = conn.execute(_PROPOSALS.where(suspense_proposal.c.number == number)).one_or_none()
    return None if row is None else _proposal(row)


def waiting_taps() -> Select[Any]:
    """The taps of proposals that wait for a second person: operator, sequence, position, and the proposal's number.

    No tap waits in two.
    """
    items = suspense_item.c
    return (
        select(items.operator, items.sequence, items.position, items.proposal)
        .join(suspense_proposal, suspense_proposal.c.number == items.proposal)
        .where(suspense_proposal.c.state == State.PROPOSED.value)
    )


def of_proposal(number: int) -> ColumnElement[bool]:
    """The condition on `tap` and `suspense_item` together that a tap is one of a proposal's."""
    items = suspense_item.c
    return and_(items.proposal == number, *(tap.c[key.name] == items[key.name] for key in _KEYS))


def _refusal_of_amount(asked: Asked, taps: Sequence[Row[Any]]) -> ProposalRefused | None:
    if asked.amount_fen is None:
        return None
    refusal = ProposalRefusal.AMOUNT_UNFIT
    if asked.decision is Decision.REJECT or asked.target.sequence is None:
        message = f"an amount of {yuan(asked.amount_fen)} yuan for {asked.decision} of {asked.target}"
        return ProposalRefused(refusal, message, "give one only where one tap is to be paid")
    presented_fen = taps[0].amount_fen
    if 0 <= asked.amount_fen <= presented_fen:
        return None
    message = (
        f"{asked.target} cannot be paid {yuan(asked.amount_fen)} yuan: {yuan(presented_fen)} left the chip"
    )
    return ProposalRefused(refusal, message, f"give at most {yuan(presented_fen)}")


def _refusal_of_payee(asked: Asked, taps: Sequence[Row[Any]], known: Known) -> ProposalRefused | None:
    """A card pays its own taps, each counter once; a centre hears of whole taps, or of a reason that it knows."""
    abroad = asked.target.operator in known.centres
    if asked.decision is Decision.PAY:
        message = why_not_paid(taps, known.paid_counters, known.ours)
        if message is not None:
            remedy = "reject it, or leave it to the next night"
            return ProposalRefused(ProposalRefusal.CARD_NOT_TO_PAY, message, remedy)
        if abroad and any(to_be_paid_fen(asked, one) != one.amount_fen for one in taps):
            message = f"{asked.target}: a centre is told that a tap is accepted, and not in part"
            remedy = "pay what it presented, or reject"
            return ProposalRefused(ProposalRefusal.CENTRE_PAID_WHOLE, message, remedy)
    elif abroad and any(Verdict(one.verdict) not in CODES for one in taps):
        message = f"{asked.target}: no result code tells a centre of that"
        remedy = f"mend the days that {asked.target.operator} is registered for, and the next night judges it"
        return ProposalRefused(ProposalRefusal.CENTRE_HAS_NO_WORD, message, remedy)
    return None


def _meant(target: Target) -> ColumnElement[bool]:
    columns = tap.c
    if target.sequence is not None:
        place = (columns.sequence == target.sequence, columns.position == target.position)
        return and_(columns.operator == target.operator, *place)
    return and_(
        columns.operator == target.operator,
        columns.verdict == str(target.verdict),
        columns.business_date == target.presented_on,
        columns.money == Money.SUSPENDED.value,
    )


def _proposed(conn: Connection, target: Target) -> Mapping[Place, int]:
    """Taps of the target's operator that wait in a proposal, and in which."""
    query = waiting_taps().where(suspense_item.c.operator == target.operator)
    return {
        (operator, sequence, position): number for operator, sequence, position, number in conn.execute(query)
    }


def _place(one: Row[Any]) -> Place:
    return one.operator, one.sequence, one.position


_KEYS: Final = (tap.c.operator, tap.c.sequence, tap.c.position)

_PROPOSALS: Final = (
    select(
        suspense_proposal,
        func.min(suspense_item.c.operator).label("operator"),
        func.min(suspense_item.c.verdict).label("verdict"),
        func.count().label("taps"),
        total_fen(suspense_item.c.amount_fen).label("amount_fen"),
        total_fen(suspense_item.c.paid_fen).label("paid_fen"),
    )
    .join(suspense_item, suspense_item.c.proposal == suspense_proposal.c.number)
    .group_by(*suspense_proposal.c)
    .order_by(suspense_proposal.c.number)
)
"""Every proposal with its sums: all its taps are of one operator and one verdict."""


def _proposal(row: Row[Any]) -> Proposal:
    columns = {name: getattr(row, name) for name in Proposal.__dataclass_fields__}
    words = {"decision": Decision(row.decision), "state": State(row.state), "verdict": Verdict(row.verdict)}
    sums = {"amount_fen": int(row.amount_fen), "paid_fen": int(row.paid_fen)}
    return Proposal(**columns | words | sums)

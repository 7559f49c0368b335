"""A card's life: where it stands, what can happen to it there, and who did what to it when and why.

The table below is the whole of it: what is not in it is refused. Every move is kept, append-only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from card.office_tables import blank, card_move
from card.tables import card
from ledger.bulk import one_of


class State(StrEnum):
    """Where a card stands: in stock it is a blank, from ISSUED on it is in the register."""

    STOCK = "stock"
    PERSONALISED = "personalised"
    ISSUED = "issued"
    ACTIVE = "active"
    LOST = "lost"
    BLOCKED = "blocked"
    REPLACED = "replaced"
    RETURNED = "returned"
    CLOSED = "closed"
    SPOILT = "spoilt"


class Move(StrEnum):
    """What happens to a card."""

    RECEIVE = "receive"
    SHIP = "ship"
    PERSONALISE = "personalise"
    SPOIL = "spoil"
    ISSUE = "issue"
    ACTIVATE = "activate"
    LOSE = "lose"
    FIND = "find"
    BLOCK = "block"
    UNBLOCK = "unblock"
    REPLACE = "replace"
    HAND_IN = "hand_in"
    CLOSE = "close"


MOVES: Mapping[tuple[State, Move], State] = {
    (State.STOCK, Move.SHIP): State.STOCK,
    (State.STOCK, Move.PERSONALISE): State.PERSONALISED,
    (State.STOCK, Move.SPOIL): State.SPOILT,
    (State.PERSONALISED, Move.SHIP): State.PERSONALISED,
    (State.PERSONALISED, Move.SPOIL): State.SPOILT,
    (State.PERSONALISED, Move.ISSUE): State.ISSUED,
    (State.ISSUED, Move.ACTIVATE): State.ACTIVE,
    (State.ISSUED, Move.BLOCK): State.BLOCKED,
    (State.ISSUED, Move.HAND_IN): State.RETURNED,
    (State.ACTIVE, Move.LOSE): State.LOST,
    (State.ACTIVE, Move.BLOCK): State.BLOCKED,
    (State.ACTIVE, Move.REPLACE): State.REPLACED,
    (State.ACTIVE, Move.HAND_IN): State.RETURNED,
    (State.LOST, Move.FIND): State.ACTIVE,
    (State.LOST, Move.REPLACE): State.REPLACED,
    (State.BLOCKED, Move.UNBLOCK): State.ACTIVE,
    (State.BLOCKED, Move.REPLACE): State.REPLACED,
    (State.BLOCKED, Move.HAND_IN): State.RETURNED,
    (State.REPLACED, Move.CLOSE): State.CLOSED,
    (State.RETURNED, Move.CLOSE): State.CLOSED,
}
"""What can happen where, and where it leads. A blank comes into being by RECEIVE; CLOSED and SPOILT are ends."""


class LifeRefusal(StrEnum):
    """Why nothing happens to a card, in order of precedence: the first that applies."""

    CARD_UNKNOWN = "card_unknown"
    NOT_IN_THIS_STATE = "not_in_this_state"
    HOLDER_LOCKED = "holder_locked"
    OTHER_CARD_UNFIT = "other_card_unfit"
    LOAD_WAITS = "load_waits"
    TOO_EARLY = "too_early"
    AMOUNT = "amount"
    BOOKS_REFUSE = "books_refuse"


@dataclass(frozen=True, slots=True)
class LifeRefused:
    """Nothing was done; the message says what stands in the way and what to do."""

    reason: LifeRefusal
    message: str


@dataclass(frozen=True, slots=True)
class Act:
    """Who does it, when, why and where: the clerk's name, a sentence, the counter."""

    by: str
    at: datetime
    why: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """A move of a card, as it is kept."""

    card_no: str
    move: Move
    before: State
    after: State
    act: Act


def state_of(conn: Connection, card_no: str) -> State | None:
    """Where the card stands; None where nobody here has heard of it."""
    return states_of(conn, [card_no]).get(card_no)


def states_of(conn: Connection, card_nos: Sequence[str]) -> dict[str, State]:
    """As `state_of` of many, those that are known."""
    found: dict[str, State] = {}
    for column, number in ((blank.c.state, blank.c.card_no), (card.c.status, card.c.card_no)):
        query = select(number, column).where(one_of(conn, number, list(card_nos)))
        found |= {card_no: State(state) for card_no, state in conn.execute(query)}
    return found


def move_card(conn: Connection, card_no: str, move: Move, act: Act) -> Moved | LifeRefused:
    """Make a move that the table allows, and keep it."""
    answer = judge(state_of(conn, card_no), card_no, move, act)
    if isinstance(answer, Moved):
        keep_moves(conn, [answer])
    return answer


def judge(state: State | None, card_no: str, move: Move, act: Act) -> Moved | LifeRefused:
    """What a move makes of a card in a state, or why it cannot be."""
    if state is None:
        return LifeRefused(
            LifeRefusal.CARD_UNKNOWN, f"card {card_no} is not known here; look at its number again"
        )
    after = MOVES.get((state, move))
    if after is None:
        ways = ", ".join(sorted(one for before, one in MOVES if before is state)) or "nothing"
        message = f"card {card_no} is {state}, so it cannot {move.replace('_', ' ')}; possible is: {ways}"
        return LifeRefused(LifeRefusal.NOT_IN_THIS_STATE, message)
    return Moved(card_no, move, state, after, act)


def keep_moves(conn: Connection, moves: Sequence[Moved]) -> None:
    """Write moves that were judged down, and put the cards where they lead."""
    if not moves:
        return
    for after in {one.after for one in moves}:
        there = [one.card_no for one in moves if one.after is after]
        conn.execute(update(card).where(one_of(conn, card.c.card_no, there)).values(status=after.value))
        if after in (State.STOCK, State.PERSONALISED, State.ISSUED, State.SPOILT):
            conn.execute(update(blank).where(one_of(conn, blank.c.card_no, there)).values(state=after.value))
    rows = [
        {
            "card_no": one.card_no, "move": one.move.value, "from_state": one.before.value,
            "to_state": one.after.value, "at": one.act.at, "by": one.act.by, "why": one.act.why,
            "place": one.act.place,
        }
        for one in moves
    ]  # fmt: skip
    conn.execute(insert(card_move), rows)


def life_of(conn: Connection, card_no: str) -> list[Moved]:
    """Everything that happened to a card, first things first."""
    query = select(card_move).where(card_move.c.card_no == card_no).order_by(card_move.c.id)
    return [
        Moved(
            row.card_no, Move(row.move), State(row.from_state), State(row.to_state),
            Act(row.by, row.at, row.why, row.place),
        )
        for row in conn.execute(query)
    ]  # fmt: skip

"""Money of replaced cards that an earlier return left in `suspense:migration`, and how it goes on to a card.

A load of such money that was given back used to go back to where it had come from, the suspense, and nobody was
told. Today a counter that gives it back pays it to the holder. What is left from then is listed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select

from card.closing import replacements
from card.holders import holder_of
from card.issue import NotBooked
from card.life import Act, LifeRefusal, LifeRefused, State, state_of
from clearing.online.load import MIGRATION, LoadOrder, LoadRefused, authorise_loads
from clearing.online.migration import Migrated
from clearing.tables import chip_load
from ledger.bulk import one_of
from ledger.journal import of_references, read_heads

AGAIN = ":again"
"""What the reference of a load that is ordered again ends in, so that it is ordered once."""


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """`amount_fen` of the replaced `old_card` is in suspense since the load `reference` went back there.

    It belongs to whoever has `card_no`, the card that is in the old one's place today, in `state`; `holder` is
    empty where nobody is tied to it.
    """

    reference: str
    old_card: str
    card_no: str
    state: str
    holder: str
    amount_fen: int
    returned_at: datetime

    @property
    def remedy(self) -> str:
        """What can be done with it."""
        match self.state:
            case State.ACTIVE:
                return f"order it again: onecard cards move-again {self.reference} --by NAME"
            case State.ISSUED:
                return f"activate card {self.card_no}, then order it again"
            case State.LOST:
                return f"find or replace card {self.card_no}, then order it again"
            case State.BLOCKED:
                return f"unblock or replace card {self.card_no}, then order it again"
            case _:
                return f"card {self.card_no} takes no load any more; finance pays its holder by an entry"


def left_behind(conn: Connection) -> list[LeftBehind]:
    """What earlier returns left in suspense and nobody has ordered again, oldest first."""
    columns = chip_load.c
    query = (
        select(chip_load)
        .where(columns.agent == MIGRATION, columns.returned_at.is_not(None), columns.confirmed_at.is_(None))
        .order_by(columns.returned_at, columns.reference)
    )
    rows = conn.execute(query).all()
    references = [f"load-returned:{row.reference}" for row in rows]
    # A return to whoever had paid mirrors the order; one to a counter that pays it out does not.
    to_suspense = {
        head.entry.reference
        for head in read_heads(conn, of_references(conn, references))
        if head.entry.reverses is not None
    }
    again = [f"{row.reference}{AGAIN}" for row in rows]
    ordered = set(conn.scalars(select(columns.reference).where(one_of(conn, columns.reference, again))))
    every = replacements(conn)
    replaced = {one.old_card: one.new_card for one in every}
    # What was taken over for the card that replaced this one in turn has gone on with that card's balance.
    moved = {(one.old_card, one.moved_at) for one in every}
    return [
        _left(conn, row, replaced)
        for row in rows
        if f"load-returned:{row.reference}" in to_suspense
        and (row.card_no, row.returned_at) not in moved
        and f"{row.reference}{AGAIN}" not in ordered
    ]


def move_again(conn: Connection, reference: str, act: Act, *, business_date: date) -> Migrated | LifeRefused:
    """Let what a return left in suspense wait for the card again, under a reference of its own.

    Raises NotBooked where the ledger refuses. `conn` comes from `ledger.db.writing`.
    """
    left = next((one for one in left_behind(conn) if one.reference == reference), None)
    if left is None:
        message = f"load {reference!r} left nothing in suspense; `onecard cards left-behind` lists what did"
        return LifeRefused(LifeRefusal.CARD_UNKNOWN, message)
    if left.state != State.ACTIVE:
        message = f"card {left.card_no} is {left.state}; {left.remedy}"
        return LifeRefused(LifeRefusal.NOT_IN_THIS_STATE, message)
    order = LoadOrder(left.card_no, left.amount_fen, MIGRATION, f"{reference}{AGAIN}", business_date, act.at)
    (answer,) = authorise_loads(conn, [order], at=act.at)
    if isinstance(answer, LoadRefused):
        raise NotBooked(f"load {answer.reference}: {answer.message}")
    return Migrated(left.old_card, left.card_no, left.amount_fen, order.reference)


def _left(conn: Connection, row: Any, replaced: Mapping[str, str]) -> LeftBehind:
    present = row.card_no
    while (newer := replaced.get(present)) is not None:
        present = newer
    old_card = row.reference.removeprefix(f"{MIGRATION}:").removesuffix(AGAIN)
    holder, state = holder_of(conn, present) or "", state_of(conn, present) or ""
    return LeftBehind(row.reference, old_card, present, state, holder, row.amount_fen, row.returned_at)

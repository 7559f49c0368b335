"""What waits for a second person, in whichever room it was proposed, and how long it has: as work in the queue.

Nothing of it is kept on its own: it is read from the proposals. The queue is told by whoever proposes or decides, in
the same transaction, and every night finds what waits still; one that nobody decides is late after its deadline.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, func, select

from clearing.proposals import State
from clearing.suspense_tables import suspense_item, suspense_proposal
from clearing.wire.bcd import CITY_ZONE
from clearing.wording import taps_in_words
from ledger.money import yuan
from ledger.snapshots import total_fen
from settlement.bank.tables import bank_proposal
from settlement.tables import account_change
from settlement.work_queue import DAYS, Found, Kind, hand_over


class Room(StrEnum):
    """Where something was proposed: the command by which people decide it."""

    CITY = "city"
    BANK = "bank"
    SUSPENSE = "suspense"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal that nobody has decided: of a bank account, of a point with the bank, of taps in suspense."""

    room: Room
    number: int
    proposed_by: str
    proposed_at: datetime
    items: int
    amount_fen: int
    what: str
    asks: str  # what a second person does before deciding

    @property
    def work(self) -> Found:
        """It as work in the queue: due a day after it was proposed."""
        since = self.proposed_at.astimezone(CITY_ZONE).date()
        due_on = since + timedelta(days=DAYS[Kind.APPROVAL_WAITS])
        decided = f"`onecard {self.room} approve {self.number}` or `refuse {self.number}`"
        remedy = f"{self.asks}, then {decided}, by somebody else than {self.proposed_by}"
        subject = f"{self.room} {self.number}"
        return Found(
            Kind.APPROVAL_WAITS, subject, due_on, self.items, self.amount_fen, self.what[:2000], remedy
        )


def waiting_proposals(conn: Connection) -> list[Waiting]:
    """Everything that waits for a second person, the oldest first."""
    found = [*_accounts(conn), *_points(conn), *_taps(conn)]
    order = tuple(Room)
    return sorted(found, key=lambda one: (one.proposed_at, order.index(one.room), one.number))


def keep_waiting(conn: Connection, room: Room, *, at: datetime) -> None:
    """Have the work queue say what waits for a second person now; `conn` writes what has just changed in a room."""
    found = [one.work for one in waiting_proposals(conn)]
    hand_over(conn, found, (Kind.APPROVAL_WAITS,), at.astimezone(CITY_ZONE).date(), at=at, who=room)


def _accounts(conn: Connection) -> Iterator[Waiting]:
    for row in conn.execute(select(account_change).where(account_change.c.state == _PROPOSED)):
        what = f"{row.participant} is to be paid on another account, {_said(row.proposed_by, row.reason)}"
        asks = f"ask {row.participant} by a number known before"
        yield Waiting(Room.CITY, row.number, row.proposed_by, row.proposed_at, 1, 0, what, asks)


def _points(conn: Connection) -> Iterator[Waiting]:
    for row in conn.execute(select(bank_proposal).where(bank_proposal.c.state == _PROPOSED)):
        decision = row.decision.replace("_", " ")
        what = f"{decision} {row.point}, {yuan(row.amount_fen)} yuan, {_said(row.proposed_by, row.reason)}"
        asks = f"see `onecard bank show {row.point}`"
        yield Waiting(Room.BANK, row.number, row.proposed_by, row.proposed_at, 1, row.amount_fen, what, asks)


def _taps(conn: Connection) -> Iterator[Waiting]:
    columns, items = suspense_proposal.c, suspense_item.c
    keys = (columns.number, columns.decision, columns.reason, columns.proposed_by, columns.proposed_at)
    query = (
        select(*keys, func.min(items.operator).label("operator"), func.count().label("taps"))
        .add_columns(total_fen(items.amount_fen).label("amount_fen"))
        .join(suspense_item, items.proposal == columns.number)
        .where(columns.state == _PROPOSED)
        .group_by(*keys)
    )
    for row in conn.execute(query):
        taps = f"{taps_in_words(row.taps)} of {row.operator} in suspense"
        what = f"{row.decision} {taps}, {_said(row.proposed_by, row.reason)}"
        asks = f"see `onecard suspense show {row.number}`"
        yield Waiting(
            Room.SUSPENSE, row.number, row.proposed_by, row.proposed_at, row.taps, row.amount_fen, what, asks
        )  # fmt: skip


_PROPOSED: Final = State.PROPOSED.value


def _said(by: str, reason: str) -> str:
    return f"proposed by {by}: {reason}"

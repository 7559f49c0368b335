"""What a holder has: each pocket and each card's purse, what is cleared and what still waits to move it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from card.holders import POCKETS, cards_of
from clearing.holder.sources import presented_rides, presented_taps
from clearing.online.qr_tables import qr_ride
from clearing.online.tables import topup
from clearing.online.topup_record import TopUpState
from clearing.qr_owed import owed_fen
from clearing.sectors.healthcare.claims import State as Claim
from clearing.sectors.healthcare.tables import hospital_bill
from clearing.sectors.socialsecurity.batches import BatchState
from clearing.sectors.socialsecurity.tables import benefit_batch, benefit_line
from clearing.sectors.utilities.states import State as Supply
from clearing.sectors.utilities.tables import payment as utility_payment
from clearing.tables import tap
from clearing.verdict import Money
from ledger.balances import balance
from ledger.snapshots import total_fen


class Why(StrEnum):
    """What waits."""

    TOPUP_ORDERED = "topup_ordered"
    BENEFIT_APPROVED = "benefit_approved"
    BILL_AT_INSURER = "bill_at_insurer"
    BILL_TAKEN_BACK = "bill_taken_back"
    RIDE_UNDECIDED = "ride_undecided"
    RIDE_OWED = "ride_owed"
    LOAD_ORDERED = "load_ordered"
    TAP_UNDECIDED = "tap_undecided"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An amount that is not cleared: above zero where it will come in, below where it will go out."""

    why: Why
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Held:
    """A pocket, or the purse of a card: `cleared_fen` is the ledger's, `waiting` is not in it yet."""

    name: str
    cleared_fen: int
    waiting: tuple[Waiting, ...]
    status: str = ""

    @property
    def pending_fen(self) -> int:
        """All that waits, taken together."""
        return sum(one.amount_fen for one in self.waiting)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything of a holder in one snapshot of the books."""

    pockets: tuple[Held, ...]
    purses: tuple[Held, ...]


def holdings_of(conn: Connection, holder: str, *, at: datetime) -> Holdings:
    """The pockets of a holder, and the purse of each card tied to the holder.

    Top-ups whose time is over at `at` wait no more. Raises LookupError where nobody has that id.
    """
    waiting = list(_waiting(conn, holder, at))
    pockets = tuple(
        Held(pocket, balance(conn, f"{pocket}:{holder}").balance_fen, _of(pocket, waiting))
        for pocket in POCKETS
    )
    purses = tuple(
        Held(
            one.card_no,
            balance(conn, f"purse:{one.card_no}").balance_fen,
            purse_waiting(conn, one.card_no),
            one.status,
        )
        for one in cards_of(conn, holder)
    )
    return Holdings(pockets, purses)


def purse_waiting(conn: Connection, card_no: str) -> tuple[Waiting, ...]:
    """What waits on a card: money paid for it that the chip has not taken, taps that are not decided."""
    taps = select(total_fen(tap.c.amount_fen)).where(
        tap.c.card_no == card_no, tap.c.money == Money.SUSPENDED.value, presented_taps()
    )
    parts = (
        Waiting(Why.LOAD_ORDERED, balance(conn, f"load:{card_no}").balance_fen),
        Waiting(Why.TAP_UNDECIDED, -_fen(conn, taps)),
    )
    return tuple(one for one in parts if one.amount_fen)


def _of(pocket: str, waiting: Iterable[tuple[str, Waiting]]) -> tuple[Waiting, ...]:
    return tuple(one for where, one in waiting if where == pocket and one.amount_fen)


def _waiting(conn: Connection, holder: str, at: datetime) -> Iterator[tuple[str, Waiting]]:
    """What waits on each pocket, by the pocket's name."""
    ordered = topup.c
    live = or_(ordered.expires_at.is_(None), ordered.expires_at > at)
    topups = select(total_fen(ordered.amount_fen)).where(
        ordered.holder == holder, ordered.state == TopUpState.PENDING.value, live
    )
    yield "wallet", Waiting(Why.TOPUP_ORDERED, _fen(conn, topups))
    yield from _benefits(conn, holder)
    bill = hospital_bill.c
    for pocket, part in (("wallet", bill.patient_fen), ("medical", bill.account_fen)):
        own = select(total_fen(part)).where(bill.holder == holder)
        asked = own.where(bill.state.in_([Claim.CLAIMING.value, Claim.UNKNOWN.value]))
        back = own.where(bill.state == Claim.CANCELLING.value, bill.paid_at.is_not(None))
        yield pocket, Waiting(Why.BILL_AT_INSURER, -_fen(conn, asked))
        yield pocket, Waiting(Why.BILL_TAKEN_BACK, _fen(conn, back))
    supplied = utility_payment.c
    reversing = select(total_fen(supplied.amount_fen)).where(
        supplied.holder == holder, supplied.state == Supply.REVERSING.value
    )
    yield "wallet", Waiting(Why.BILL_TAKEN_BACK, _fen(conn, reversing))
    ride = qr_ride.c
    undecided = select(total_fen(ride.amount_fen)).where(
        ride.holder == holder, ride.money == Money.SUSPENDED.value, presented_rides()
    )
    yield "wallet", Waiting(Why.RIDE_UNDECIDED, -_fen(conn, undecided))
    yield "wallet", Waiting(Why.RIDE_OWED, -owed_fen(conn, holder))


def _benefits(conn: Connection, holder: str) -> Iterator[tuple[str, Waiting]]:
    line, batch = benefit_line.c, benefit_batch.c
    query = (
        select(line.pocket, total_fen(line.amount_fen))
        .join(benefit_batch, (batch.agency == line.agency) & (batch.number == line.number))
        .where(line.holder == holder, batch.state == BatchState.APPROVED.value)
        .group_by(line.pocket)
    )
    for pocket, amount_fen in conn.execute(query):
        yield pocket, Waiting(Why.BENEFIT_APPROVED, amount_fen)


def _fen(conn: Connection, query: Select[Any]) -> int:
    return int(conn.execute(query).scalar_one())

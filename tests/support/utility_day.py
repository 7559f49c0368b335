"""A day of utility bills: two billers, holders with money in their wallets, and billers within reach."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from city.biller_journal import Journal, Told
from clearing.online.payment import Channel
from clearing.sectors.utilities.bills import BillOrder, BillPaid, pay_bill
from clearing.sectors.utilities.catalogue import Biller, Supply, register_billers
from clearing.sectors.utilities.peer import Answer, Bill, BillerAccount, BillerClient, NoAnswer, Notice
from clearing.sectors.utilities.register import BillPayment
from clearing.sectors.utilities.states import Act
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post

DAY: Final = date(2018, 9, 1)
AT: Final = datetime(2018, 9, 1, 2, 0, tzinfo=UTC)
LATER: Final = timedelta(hours=2)
"""Longer than any wait between two tries of a notice."""
WATER: Final = Biller("WATER-1", "City Water", Supply.WATER)
GAS: Final = Biller("GAS-1", "City Gas", Supply.GAS, part_payment=True)
ANN, BEN = "H0000000001", "H0000000002"
WALLET_FEN: Final = 100_000


class Spoil(StrEnum):
    """How a biller within reach fails to answer: before or after it has done as told."""

    UNDONE = "undone"
    LOST = "lost"


@dataclass
class NearBiller:
    """A biller's journal behind the same door as the HTTP client, its failures planned call by call."""

    journal: Journal
    spoils: deque[Spoil | None] = field(default_factory=deque)
    told: list[Notice] = field(default_factory=list)

    def account(self, account_no: str) -> BillerAccount | None:
        spoil = self._next_spoil()
        found = self.journal.account(account_no)
        if spoil is not None:
            raise NoAnswer("the line is down")
        if found is None:
            return None
        bills = tuple(
            Bill(
                one["bill_no"], one["period"], one["amount_fen"], one["open_fen"],
                date.fromisoformat(one["due_on"]), frozenset(one["written_off"]),
            )
            for one in found["bills"]
        )  # fmt: skip
        return BillerAccount(account_no, found["customer"], bills)

    def tell(self, notice: Notice) -> Answer:
        spoil = self._next_spoil()
        if spoil is Spoil.UNDONE:
            raise NoAnswer("the line is down")
        self.told.append(notice)
        act = self.journal.write_off if notice.act is Act.WRITE_OFF else self.journal.reverse
        reply = act(told_of(notice), AT)
        if spoil is Spoil.LOST:
            raise NoAnswer("the answer is lost")
        return Answer(reply.status != "refused", reply.reason)

    def daily_file(self, business_date: date) -> bytes:
        return self.journal.daily_file(business_date, AT)

    def _next_spoil(self) -> Spoil | None:
        return self.spoils.popleft() if self.spoils else None


def told_of(one: Notice | BillPayment) -> Told:
    """What the biller's journal calls a payment."""
    return Told(one.reference, one.account_no, one.bill_no, one.amount_fen, one.business_date)


def prepare(engine: Engine) -> None:
    """Open the day, put money into wallets, register the billers."""
    with writing(engine) as conn:
        open_day(conn, DAY, at=AT)
        register_billers(conn, [WATER, GAS], at=AT)
        codes = ["agent:TOPUP-1", f"wallet:{ANN}", f"wallet:{BEN}"]
        open_accounts(conn, [account(code) for code in codes], at=AT)
        lines = tuple(Line("agent:TOPUP-1", f"wallet:{holder}", WALLET_FEN) for holder in (ANN, BEN))
        (posted,) = post(conn, [Entry("opening", "topup", DAY, AT, lines)], at=AT)
        assert isinstance(posted, Posted)


def near_biller(folder: Path, biller: Biller) -> NearBiller:
    """A biller with three customers: `A1` owes 3000 fen and 2000 fen, `A2` 4000 fen, `A3` nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / f"{biller.id}.db", biller.id, part=biller.part_payment, sync="off")
    for bill_no, account_no, amount_fen in (
        ("B1", "A1", 3000),
        ("B2", "A1", 2000),
        ("B3", "A2", 4000),
        ("B4", "A3", 0),
    ):
        journal.add_bill(account_no, "张*", bill_no, "2018-08", amount_fen, date(2018, 9, 20))
    return NearBiller(journal)


def order(
    reference: str, *, biller: Biller = WATER, account_no: str = "A1", bill_no: str = "B1", amount_fen: int = 3000,
    holder: str = ANN,
) -> BillOrder:  # fmt: skip
    """The order to pay water bill B1 whole, where nothing else is said."""
    return BillOrder(reference, biller.id, account_no, bill_no, amount_fen, holder, Channel.APP, AT)


def paid(engine: Engine, clients: dict[str, BillerClient], one: BillOrder) -> BillPayment:
    """Pay a bill that can be paid."""
    answer = pay_bill(engine, clients, one, at=AT)
    assert isinstance(answer, BillPaid), answer
    return answer.payment


def fen_in(engine: Engine, code: str) -> int:
    """The balance of an account."""
    with reading(engine) as conn:
        return balance(conn, code).balance_fen

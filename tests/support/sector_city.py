"""A small city with every sector's door, families that are new each time, and books by dictionary to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine
from stdnum.cn import ric

from card.holders import Enrolled, Person, enrol_all
from card.registry import CardRecord, register
from clearing.online.payment import Approved, Channel, Leg, PaymentOrder, pay
from clearing.sectors.healthcare.bill_book import bill_of
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.healthcare.claims import State as BillState
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.policy_file import read_policies
from clearing.sectors.healthcare.registers import (
    Cover,
    Hospital,
    open_pools,
    register_covers,
    register_hospitals,
)
from clearing.sectors.socialsecurity import schedule as schedule_module
from clearing.sectors.socialsecurity.bill_file import BillFile, BillLine
from clearing.sectors.socialsecurity.bills import bill_of as contribution_of
from clearing.sectors.socialsecurity.bills import issue
from clearing.sectors.socialsecurity.schedule import Bracket, Insurance, parse_schedule, register_brackets
from clearing.sectors.utilities.catalogue import register_billers
from clearing.sectors.utilities.peer import BillerClient
from clearing.sectors.utilities.register import payment_of
from clearing.sectors.utilities.states import State as UtilityState
from ledger.accounts import open_accounts
from ledger.balances import balances
from ledger.chart import account
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from tests.clearing.social_books import AGENCY, DAY, DIRECTORY, VAULT, at, open_books
from tests.support.clearing_day import ISSUER, card_no
from tests.support.insurer_peer import InsurerPeer
from tests.support.utility_day import GAS, NearBiller, near_biller

SHOP, HOSPITAL, FUND, CHANNEL = "SHOP-1", "HOSP-1", "fund:MED-POOL", "PAY"
WALLET_FEN, MEDICAL_FEN = 60_000, 30_000
UTILITY_BILLS_FEN = (3_000, 2_000)
SCHEDULE = Path(schedule_module.__file__).parent / "schedules" / "demo-2026.json"


@dataclass
class Moves:
    """What accounts hold more, or less, than before, each in its natural direction."""

    fen: dict[str, int] = field(default_factory=dict)

    def pay(self, legs: Mapping[str, int], merchant: str) -> None:
        """Holders' pockets and funds pay a merchant."""
        for code, amount_fen in legs.items():
            self.add(code, amount_fen if code.startswith("fund:") else -amount_fen)
            self.add(f"clearing:{merchant}", amount_fen)

    def add(self, code: str, amount_fen: int) -> None:
        """An account changes."""
        self.fen[code] = self.fen.get(code, 0) + amount_fen

    def standing(self) -> dict[str, int]:
        """The accounts that are not as they were."""
        return {code: amount_fen for code, amount_fen in sorted(self.fen.items()) if amount_fen}


@dataclass(frozen=True, slots=True)
class Family:
    """Two holders, a card, and a name that makes all their numbers new."""

    name: str
    holders: tuple[str, str]
    card: str
    before: Mapping[str, int]


@dataclass
class SectorCity:
    """The engine, the insurer's process, the biller within reach, and the time, which only goes on."""

    engine: Engine
    insurer: InsurerPeer
    biller: NearBiller
    prefix: str = field(default_factory=lambda: uuid4().hex[:8].upper())
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    now: datetime = field(default_factory=lambda: at(1))

    @property
    def clients(self) -> dict[str, BillerClient]:
        return {GAS.id: self.biller}

    @property
    def desk(self) -> Cashier:
        return Cashier(self.engine, self.insurer.client, read_policies())

    def pass_(self, how_long: timedelta) -> datetime:
        """Let time go by; the instant after it."""
        self.now += how_long
        return self.now

    def balances_fen(self) -> dict[str, int]:
        with reading(self.engine) as conn:
            return {one.code: one.balance_fen for one in balances(conn) if one.balance_fen}

    def moved_fen(self, family: Family) -> dict[str, int]:
        """What every account of the whole city holds more, or less, than when the family came."""
        now = self.balances_fen()
        moved = {code: now.get(code, 0) - family.before.get(code, 0) for code in now.keys() | family.before}
        return {code: amount_fen for code, amount_fen in sorted(moved.items()) if amount_fen}

    def family(self) -> Family:
        """Two new holders with money, insured, billed by the agency and by the gas company, with a card."""
        number = next(self.numbers)
        persons = [Person(identity(2 * number + one), "人", "") for one in (0, 1)]
        card = card_no(number)
        with writing(self.engine) as conn:
            enrolled = enrol_all(conn, VAULT, persons, at=at(0))
            first, second = (one.holder for one in enrolled if isinstance(one, Enrolled))
            register(conn, [CardRecord(card, ISSUER, 1, 1, 0, at(0))], at=at(0))
            covers = [Cover(one, Category.EMPLOYEE, DAY.replace(year=2020)) for one in (first, second)]
            register_covers(conn, covers, at=at(0))
            lines = tuple(
                Line("equity:capital", code, amount_fen)
                for one in (first, second)
                for code, amount_fen in ((f"wallet:{one}", WALLET_FEN), (f"medical:{one}", MEDICAL_FEN))
            )
            (opened,) = post(conn, [Entry(f"opening:{number}", "opening", DAY, at(0), lines)], at=at(0))
            assert isinstance(opened, Posted)
            bills = tuple(
                BillLine(
                    one, f"C{number}-{one}", persons[one - 1].identity_no, Insurance.RESIDENT_MEDICAL,
                    2026, 1, 12, "standard",
                )
                for one in (1, 2)
            )  # fmt: skip
            issue(conn, DIRECTORY, BillFile(AGENCY, bills), agency=AGENCY, at=at(0))
        for place, amount_fen in enumerate(UTILITY_BILLS_FEN):
            self.biller.journal.add_bill(
                f"A{number}", "人*", f"G{number}-{place}", "2026-08", amount_fen, DAY.replace(day=20)
            )
        return Family(str(number), (first, second), card, self.balances_fen())

    def paid_legs_fen(self, reference: str) -> dict[str, int]:
        """What a hospital's bill has taken and not given back, by account."""
        with reading(self.engine) as conn:
            bill = bill_of(conn, reference)
        if bill is None or bill.paid_at is None or bill.state is BillState.CANCELLED:
            return {}
        legs = {
            FUND: bill.fund_fen,
            f"medical:{bill.holder}": bill.account_fen,
            f"wallet:{bill.holder}": bill.patient_fen,
        }
        assert sum(legs.values()) == bill.total_fen
        return legs

    def utility_fen(self, reference: str) -> int:
        """What a payment of a gas bill has taken and not given back."""
        with reading(self.engine) as conn:
            held = payment_of(conn, reference)
        gone = held is None or held.state in (UtilityState.REVERSED, UtilityState.RETURNED)
        return 0 if held is None or gone else held.amount_fen

    def contributed_by(self, number: str) -> tuple[str, int] | None:
        """Who has paid a contribution, and how much, or None."""
        with reading(self.engine) as conn:
            bill = contribution_of(conn, AGENCY, number)
        assert bill is not None
        return None if bill.paid_by is None or bill.paid_fen is None else (bill.paid_by, bill.paid_fen)


def identity(number: int) -> str:
    """A valid number of a person who is nobody's."""
    digits = f"530102{1960 + number // 900}0101{100 + number % 900}"
    return digits + str(ric.calc_check_digit(digits + "0"))


def sector_city(engine: Engine, insurer: InsurerPeer, folder: Path) -> SectorCity:
    """The city founded, with nobody in it yet."""
    open_books(engine)
    schedule = parse_schedule(SCHEDULE.read_text(encoding="utf-8"))
    assert isinstance(schedule, tuple) and all(isinstance(one, Bracket) for one in schedule)
    codes = (f"clearing:{SHOP}", f"agent:{CHANNEL}")
    with writing(engine) as conn:
        register_brackets(conn, schedule)
        open_accounts(conn, [account(code) for code in codes], at=at(0))
        open_pools(conn, read_policies(), at=at(0))
        register_hospitals(conn, [Hospital(HOSPITAL, 3)], at=at(0))
        register_billers(conn, [GAS], at=at(0))
    return SectorCity(engine, insurer, near_biller(folder, GAS))


def purchased(city: SectorCity, reference: str, holder: str, legs: tuple[Leg, ...]) -> bool:
    """Pay a shop from pockets and a fund; whether it is newly paid."""
    order = PaymentOrder(reference, Channel.HTTP, "purchase", SHOP, holder, legs, DAY, city.now)
    with writing(city.engine) as conn:
        (answer,) = pay(conn, [order], at=city.now)
    return isinstance(answer, Approved) and answer.first_time

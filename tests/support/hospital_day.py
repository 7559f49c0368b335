"""A small city's hospital: two holders with money in their pockets, a hospital, a pool, and bills."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from sqlalchemy import Connection, Engine

from clearing.sectors.healthcare.bills import Bill
from clearing.sectors.healthcare.policy import CatalogueClass, Category, Item
from clearing.sectors.healthcare.policy_file import read_policies
from clearing.sectors.healthcare.registers import (
    Cover,
    Hospital,
    open_pools,
    register_covers,
    register_hospitals,
)
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post

DAY = date(2018, 9, 1)
HOSPITAL, CLINIC = "HOSP-1", "CLINIC-1"
EMPLOYEE, RESIDENT, UNINSURED = "H0000000001", "H0000000002", "H0000000003"
POLICIES = read_policies()
POCKETS_FEN = {f"wallet:{EMPLOYEE}": 20_000, f"medical:{EMPLOYEE}": 60_000, f"wallet:{RESIDENT}": 30_000}


def at(hour: int, minute: int = 0) -> datetime:
    """An instant of the day, in the city's time."""
    return datetime(2018, 9, 1, hour - 8, minute, tzinfo=UTC)


def open_city(engine: Engine) -> None:
    """Open the day, the register, and the pockets with what they hold."""
    with writing(engine) as conn:
        open_day(conn, DAY, at=at(8))
        holders = (EMPLOYEE, RESIDENT, UNINSURED)
        codes = [f"{pocket}:{holder}" for pocket in ("wallet", "medical", "subsidy") for holder in holders]
        open_accounts(conn, map(account, [*codes, "agent:BANK-1"]), at=at(8))
        open_pools(conn, POLICIES, at=at(8))
        register_hospitals(conn, [Hospital(HOSPITAL, 3), Hospital(CLINIC, 1)], at=at(8))
        register_covers(
            conn,
            [
                Cover(EMPLOYEE, Category.EMPLOYEE, date(2010, 1, 1)),
                Cover(RESIDENT, Category.RESIDENT, date(2018, 1, 1), date(2018, 12, 31)),
            ],
            at=at(8),
        )
        lines = tuple(Line("agent:BANK-1", code, amount_fen) for code, amount_fen in POCKETS_FEN.items())
        (booked,) = post(conn, [Entry("opening", "opening", DAY, at(8), lines)], at=at(8))
        assert isinstance(booked, Posted)


def drain(conn: Connection, code: str, amount_fen: int) -> None:
    """Take money out of a pocket by another way."""
    line = Line(code, "agent:BANK-1", amount_fen)
    (booked,) = post(conn, [Entry(f"drain:{code}", "withdrawal", DAY, at(9), (line,))], at=at(9))
    assert isinstance(booked, Posted)


def bill(
    bill_no: str = "B1", *amounts_fen: int, holder: str = EMPLOYEE, hospital: str = HOSPITAL, day: date = DAY
) -> Bill:
    """A bill of class A items; the second of the page (760 yuan of all classes) where no amounts are given."""
    items = tuple(Item(f"X{n}", CatalogueClass.A, amount_fen) for n, amount_fen in enumerate(amounts_fen, 1))
    mixed = (
        Item("D-001", CatalogueClass.A, 50_000),
        Item("D-002", CatalogueClass.B, 20_000, 1_000),
        Item("D-003", CatalogueClass.C, 6_000),
    )
    return Bill(hospital, bill_no, holder, day, items or mixed)


def moved_fen(engine: Engine) -> Mapping[str, int]:
    """What every account that a bill can touch has, less what it began with; none that is as it was."""
    holders = (EMPLOYEE, RESIDENT)
    codes = [f"{pocket}:{holder}" for pocket in ("wallet", "medical", "subsidy") for holder in holders]
    codes += ["fund:MED-POOL", f"clearing:{HOSPITAL}", f"clearing:{CLINIC}"]
    with reading(engine) as conn:
        now = {code: balance(conn, code).balance_fen - POCKETS_FEN.get(code, 0) for code in codes}
    return {code: amount_fen for code, amount_fen in now.items() if amount_fen}

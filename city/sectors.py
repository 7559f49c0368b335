"""The demonstration's institutions: a hospital, billers, the agency, a shop, a top-up channel, and their terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from city.plan import CityPlan
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.registers import Cover, Hospital, register_covers, register_hospitals
from clearing.sectors.socialsecurity.funds import FundAgreement, Prefunding, prefund, register_funds
from clearing.sectors.socialsecurity.schedule import parse_schedule, register_brackets
from clearing.sectors.socialsecurity.sheet import Flawed
from clearing.sectors.utilities.catalogue import Biller, Supply, register_billers
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.entry import Entry, Line, Posted
from ledger.post import post

HOSPITAL, GAS, AGENCY, SHOP, CHANNEL = "HOSPITAL-1", "GAS-1", "SSB", "SHOP-1", "PAYCHAN"
POOL, BENEFITS = "MED-POOL", "BENEFIT-1"
PREFUNDED_FEN = 10_000_000
MEDICAL_FEN = 30_000


@dataclass(frozen=True, slots=True)
class Institution:
    """A program of an institution that calls the API: its client, whom it acts for, what it may."""

    client_id: str
    participant: str
    scopes: tuple[str, ...]


INSTITUTIONS: Sequence[Institution] = (
    Institution(
        "counter",
        "COUNTER-1",
        ("holders:read", "holders:write", "cards:write", "links:write", "counter:write"),
    ),
    Institution("channel", CHANNEL, ("topups:write",)),
    Institution("hospital", HOSPITAL, ("hospital:write", "links:read")),
    Institution("shop", SHOP, ("payments:write", "payments:read", "qr:write")),
    Institution("hall", GAS, ("billers:write",)),
    Institution("agency-maker", AGENCY, ("agency:write",)),
    Institution("agency-checker", AGENCY, ("agency:approve",)),
)


def establish(conn: Connection, plan: CityPlan, schedule: str, *, business_date: date, at: datetime) -> None:
    """Register the institutions and open their accounts; the agency's money for benefits arrives."""
    codes = [f"clearing:{one.id}" for one in plan.merchants] + [f"payable:{one.id}" for one in plan.merchants]
    open_accounts(conn, [account(code) for code in (*codes, f"agent:{CHANNEL}", f"fund:{POOL}")], at=at)
    register_hospitals(conn, [Hospital(HOSPITAL, 3)], at=at)
    register_billers(conn, [Biller(GAS, "城市燃气", Supply.GAS)], at=at)
    brackets = parse_schedule(schedule)
    if isinstance(brackets, Flawed):
        raise ValueError(f"the schedule of contributions is flawed: {brackets}")
    register_brackets(conn, brackets)
    register_funds(conn, [FundAgreement(BENEFITS, AGENCY, 0, date(2026, 1, 1))], at=at)
    prefund(conn, [Prefunding("BANK-0001", BENEFITS, PREFUNDED_FEN, business_date, at)], at=at)


def insure(conn: Connection, holder: str, *, business_date: date, at: datetime) -> None:
    """Insure a holder as an employee, and let this month's share of the contribution reach the medical account."""
    register_covers(conn, [Cover(holder, Category.EMPLOYEE, date(2026, 1, 1))], at=at)
    line = Line(f"fund:{POOL}", f"medical:{holder}", MEDICAL_FEN, holder)
    (outcome,) = post(
        conn, [Entry(f"medical-month:{holder}:2026-03", "medical_month", business_date, at, (line,))], at=at
    )
    if not isinstance(outcome, Posted):
        raise RuntimeError(outcome.message)

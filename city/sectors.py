"""The demonstration's institutions: a hospital, billers, the agency, a shop, a top-up channel, and their terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from city.registers.entering import must_enter
from city.registers.file import CityFile
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.registers import Cover, Hospital, register_covers
from clearing.sectors.socialsecurity.funds import FundAgreement, Prefunding, prefund
from clearing.sectors.socialsecurity.schedule import parse_schedule, register_brackets
from clearing.sectors.socialsecurity.sheet import Flawed
from clearing.sectors.utilities.catalogue import Biller, Supply
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


def establish(conn: Connection, schedule: str, *, business_date: date, at: datetime) -> None:
    """Register the institutions and open their accounts; the agency's money for benefits arrives."""
    institutions = CityFile(
        hospitals=(Hospital(HOSPITAL, 3),),
        billers=(Biller(GAS, "城市燃气", Supply.GAS),),
        funds=(FundAgreement(BENEFITS, AGENCY, 0, date(2026, 1, 1)),),
        pools=(POOL,),
        agents=(CHANNEL,),
    )
    must_enter(conn, institutions, at=at)
    brackets = parse_schedule(schedule)
    if isinstance(brackets, Flawed):
        raise ValueError(f"the schedule of contributions is flawed: {brackets}")
    register_brackets(conn, brackets)
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

"""Funds that pay benefits: how much an agency has sent ahead, and how far payments may run ahead of it.

`fund:{id}` has a credit balance while the agency's money is here before it is paid out, and a debit balance
while we have paid for the agency. A fund is good for its credit balance and the limit of its agreement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime

from sqlalchemy import Connection, insert, select

from clearing.sectors.socialsecurity.tables import agency_fund
from ledger.accounts import Conflict, open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.entry import Entry, Line, Posted, Refused
from ledger.post import post

RESERVE = "bank:reserve"


@dataclass(frozen=True, slots=True)
class FundAgreement:
    """An agency's fund from a day on: `limit_fen` is how far it may be in debt to the reserve."""

    fund: str
    agency: str
    limit_fen: int
    valid_from: date


@dataclass(frozen=True, slots=True)
class Prefunding:
    """An agency's money that arrived at the reserve bank; `reference` is the bank's own."""

    reference: str
    fund: str
    amount_fen: int
    business_date: date
    event_at: datetime


@dataclass(frozen=True, slots=True)
class FundStanding:
    """What a fund may pay out, `available_fen`: money sent ahead (below zero: owed to us) and its limit."""

    fund: str
    agency: str
    prefunded_fen: int
    limit_fen: int

    @property
    def available_fen(self) -> int:
        """What may be paid out now; below zero where a limit was lowered under the debt."""
        return self.prefunded_fen + self.limit_fen


def register_funds(conn: Connection, agreements: Iterable[FundAgreement], *, at: datetime) -> int:
    """Register agreements and open their funds' accounts; how many were new.

    Raises ledger.accounts.Conflict where a fund belongs to another agency or has other terms from that day,
    and ValueError where a limit is below zero; then nothing is registered.
    """
    held = fund_agreements_of(conn)
    new: list[FundAgreement] = []
    for one in agreements:
        if one.limit_fen < 0:
            raise ValueError(f"fund {one.fund}: limit_fen {one.limit_fen} is below zero; give 0 for no limit")
        for other in (*held, *new):
            if other.fund != one.fund or other == one:
                continue
            if other.agency != one.agency or other.valid_from == one.valid_from:
                raise Conflict(f"agreement of fund {one.fund}", other, one)
        if one not in held and one not in new:
            new.append(one)
    if new:
        names = [column.name for column in _COLUMNS]
        rows = [dict(zip(names, astuple(one), strict=True)) | {"registered_at": at} for one in new]
        conn.execute(insert(agency_fund), rows)
        open_accounts(conn, [account(f"fund:{fund}") for fund in sorted({one.fund for one in new})], at=at)
    return len(new)


def fund_agreements_of(conn: Connection) -> list[FundAgreement]:
    """All agreements there ever were, by fund and first day."""
    return [FundAgreement(*row) for row in conn.execute(select(*_COLUMNS).order_by(*_COLUMNS))]


def prefund(conn: Connection, arrivals: Sequence[Prefunding], *, at: datetime) -> list[Posted | Refused]:
    """Book money that an agency sent ahead, `bank:reserve` from `fund:{id}`; once for each reference.

    The same call settles what a fund owes: money arrives, whatever it is for.
    """
    open_accounts(conn, [account(RESERVE)], at=at)
    return post(conn, [_arrival(one) for one in arrivals], at=at)


def standing_of(conn: Connection, fund: str, business_date: date) -> FundStanding | None:
    """How much a fund is good for under the agreement of that day, or None where it has none."""
    columns = agency_fund.c
    query = select(columns.agency, columns.limit_fen).where(
        columns.fund == fund, columns.valid_from <= business_date
    )
    row = conn.execute(query.order_by(columns.valid_from.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    agency, limit_fen = row
    return FundStanding(fund, agency, -balance(conn, f"fund:{fund}").net_fen, limit_fen)


def funds_of(conn: Connection, agency: str, business_date: date) -> list[FundStanding]:
    """The funds of an agency that have an agreement on that day, by id."""
    columns = agency_fund.c
    query = select(columns.fund).where(columns.agency == agency).distinct().order_by(columns.fund)
    found = [standing_of(conn, fund, business_date) for fund in conn.scalars(query)]
    return [standing for standing in found if standing is not None]


_COLUMNS = tuple(agency_fund.c[name] for name in ("fund", "agency", "limit_fen", "valid_from"))


def _arrival(one: Prefunding) -> Entry:
    return Entry(
        reference=f"prefunding:{one.fund}:{one.reference}",
        kind="prefunding",
        business_date=one.business_date,
        event_at=one.event_at,
        lines=(Line(RESERVE, f"fund:{one.fund}", one.amount_fen),),
    )

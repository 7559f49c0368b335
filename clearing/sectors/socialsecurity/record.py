"""A holder's social-security record: insured by what, which months are paid, what benefits came, what moved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, and_, select

from clearing.online.parties import POCKETS
from clearing.sectors.socialsecurity.benefit_file import Pocket
from clearing.sectors.socialsecurity.bills import Bill, BillState, bills_of
from clearing.sectors.socialsecurity.schedule import Insurance
from clearing.sectors.socialsecurity.tables import (
    benefit_batch,
    benefit_line,
    benefit_outcome,
    contribution_month,
)
from ledger.accounts import find_accounts
from ledger.archive import Archive
from ledger.history import Movement, history


@dataclass(frozen=True, slots=True)
class Insured:
    """What a holder is insured by: the months paid, by year, and how many in all."""

    insurance: Insurance
    months: Mapping[int, tuple[int, ...]]

    @property
    def months_paid(self) -> int:
        """How many months are paid over all years."""
        return sum(len(paid) for paid in self.months.values())

    @property
    def paid_until(self) -> tuple[int, int]:
        """The last year and month that is paid."""
        year = max(self.months)
        return year, self.months[year][-1]


@dataclass(frozen=True, slots=True)
class Benefit:
    """A benefit that was paid to a holder."""

    agency: str
    batch: str
    programme: str
    claim: str
    pocket: Pocket
    amount_fen: int
    memo: str
    business_date: date


@dataclass(frozen=True, slots=True)
class SocialRecord:
    """All of it; bills are the open ones, movements those of the personal medical and the subsidy account."""

    holder: str
    insured: tuple[Insured, ...]
    open_bills: tuple[Bill, ...]
    benefits: tuple[Benefit, ...]
    movements: Mapping[str, tuple[Movement, ...]]


def record_of(
    conn: Connection, holder: str, *, limit: int = 50, archive: Archive | None = None
) -> SocialRecord:
    """The record of a holder, with at most `limit` benefits and movements an account, the newest first.

    Movements of archived months are read from `archive`.
    """
    accounts = [f"{pocket}:{holder}" for pocket in POCKETS if pocket != "wallet"]
    return SocialRecord(
        holder=holder,
        insured=insured_of(conn, holder),
        open_bills=tuple(bill for bill in bills_of(conn, holder) if bill.state is BillState.OPEN),
        benefits=tuple(benefits_of(conn, holder, limit=limit)),
        movements={
            account.code: tuple(history(conn, account.code, limit=limit, archive=archive))
            for account in find_accounts(conn, accounts)
        },
    )


def insured_of(conn: Connection, holder: str) -> tuple[Insured, ...]:
    """What a holder is insured by, with the months paid, by insurance."""
    columns = contribution_month.c
    query = (
        select(columns.insurance, columns.year, columns.month)
        .where(columns.holder == holder)
        .order_by(columns.insurance, columns.year, columns.month)
    )
    return _insured([(row.insurance, row.year, row.month) for row in conn.execute(query)])


def benefits_of(conn: Connection, holder: str, *, limit: int = 50) -> list[Benefit]:
    """The benefits that were paid to a holder, the newest first."""
    of_line = and_(
        *(benefit_outcome.c[name] == benefit_line.c[name] for name in ("agency", "number", "line"))
    )
    of_batch = and_(*(benefit_batch.c[name] == benefit_line.c[name] for name in ("agency", "number")))
    line, batch = benefit_line.c, benefit_batch.c
    query = (
        select(
            line.agency, line.number, batch.programme, line.claim, line.pocket, line.amount_fen, line.memo,
            batch.business_date,
        )
        .join(benefit_outcome, of_line)
        .join(benefit_batch, of_batch)
        .where(line.holder == holder, benefit_outcome.c.outcome == "paid")
        .order_by(batch.paid_at.desc(), line.agency, line.number, line.line.desc())
        .limit(limit)
    )  # fmt: skip
    return [
        Benefit(agency, number, programme, claim, Pocket(pocket), amount_fen, memo, business_date)
        for agency, number, programme, claim, pocket, amount_fen, memo, business_date in conn.execute(query)
    ]


def _insured(rows: Iterable[tuple[str, int, int]]) -> tuple[Insured, ...]:
    months: dict[str, dict[int, list[int]]] = {}
    for insurance, year, month in rows:
        months.setdefault(insurance, {}).setdefault(year, []).append(month)
    return tuple(
        Insured(Insurance(insurance), {year: tuple(paid) for year, paid in years.items()})
        for insurance, years in months.items()
    )

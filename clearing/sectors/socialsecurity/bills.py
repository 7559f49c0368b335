"""Contribution bills: issued by an agency, listed for a holder, withdrawn; paying them is `contributions`'."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, select, update

from clearing.sectors.socialsecurity.bill_file import BillFile, BillLine
from clearing.sectors.socialsecurity.directory import Directory
from clearing.sectors.socialsecurity.schedule import Bracket, BracketKey, Insurance, brackets_of
from clearing.sectors.socialsecurity.tables import contribution_bill, contribution_payment
from ledger.bulk import insert_rows, one_of


class BillState(StrEnum):
    """Where a bill is."""

    OPEN = "open"
    PAID = "paid"
    WITHDRAWN = "withdrawn"


class IssueRefusal(StrEnum):
    """Why a bill of a file is not taken, in order of precedence: the first that applies."""

    OTHER_AGENCY = "other_agency"
    HOLDER_UNKNOWN = "holder_unknown"
    BRACKET_UNKNOWN = "bracket_unknown"
    NUMBER_TAKEN = "number_taken"
    MONTHS_BILLED = "months_billed"


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill as it stands; `brackets` are those it may be paid by, one of them where the agency chose."""

    agency: str
    number: str
    holder: str
    insurance: Insurance
    year: int
    first_month: int
    months: int
    brackets: tuple[Bracket, ...]
    state: BillState
    paid_by: str | None = None
    paid_bracket: str | None = None
    paid_fen: int | None = None
    attempts: int = 0

    def price_fen(self, bracket: str) -> int | None:
        """What the bill costs by one of its brackets, or None where it is not one of them."""
        found = [one for one in self.brackets if one.bracket == bracket]
        return found[0].price_fen(self.months) if found else None


@dataclass(frozen=True, slots=True)
class Issued:
    """The bill is in the register; `first_time` is False where it was there before with the same content."""

    line: int
    number: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class IssueRefused:
    """The bill was not taken; the others of its file are not concerned."""

    line: int
    number: str
    reason: IssueRefusal
    message: str


IssueAnswer = Issued | IssueRefused

_BILL_COLUMNS = tuple(
    contribution_bill.c[name] for name in ("holder", "insurance", "year", "first_month", "months", "bracket")
)
_Content = tuple[str, str, int, int, int, str]


def issue(
    conn: Connection, directory: Directory, file: BillFile, *, agency: str, at: datetime
) -> list[IssueAnswer]:
    """Take the bills of a file, answering each line in order; the same bill again changes nothing.

    A person who is not enrolled here cannot be billed here: the agency sends that bill again later.
    """
    if file.agency != agency:
        message = f"agency {file.agency} is not yours, {agency}; send your own bills"
        return [IssueRefused(one.line, one.number, IssueRefusal.OTHER_AGENCY, message) for one in file.lines]
    holders = directory.holders(conn, [one.identity_no for one in file.lines])
    brackets = brackets_of(conn, agency)
    numbers = [one.number for one in file.lines]
    columns = contribution_bill.c
    query = select(columns.number, *_BILL_COLUMNS).where(
        columns.agency == agency, one_of(conn, columns.number, numbers)
    )
    held: dict[str, _Content] = {row.number: _content_of_row(row) for row in conn.execute(query)}
    billed = _billed_months(conn, holders.values())
    answers: list[IssueAnswer] = []
    rows = []
    for one in file.lines:
        holder = holders.get(one.identity_no)
        answer = _issue_answer(one, holder, brackets, held, billed)
        answers.append(answer)
        if holder is None or isinstance(answer, IssueRefused) or not answer.first_time:
            continue
        content = _content(one, holder)
        held[one.number] = content
        billed.update(dict.fromkeys(_months(content), one.number))
        rows.append((agency, one.number, *content, at, None))
    insert_rows(conn, contribution_bill, rows)
    return answers


def bills_of(conn: Connection, holder: str) -> list[Bill]:
    """The bills of an insured holder, the newest year first, withdrawn ones left out."""
    columns = contribution_bill.c
    query = _BILLS.where(columns.holder == holder, columns.withdrawn_at.is_(None)).order_by(
        columns.year.desc(), columns.insurance, columns.first_month, columns.agency, columns.number
    )
    return _read(conn, conn.execute(query).all())


def bill_of(conn: Connection, agency: str, number: str) -> Bill | None:
    """A bill by its agency's number, or None."""
    columns = contribution_bill.c
    rows = conn.execute(_BILLS.where(columns.agency == agency, columns.number == number)).all()
    return _read(conn, rows)[0] if rows else None


def withdraw(conn: Connection, agency: str, number: str, *, at: datetime) -> BillState | None:
    """Take an open bill back and say how it stands then: a paid one stays paid. None: there is no such bill."""
    found = bill_of(conn, agency, number)
    if found is None or found.state is not BillState.OPEN:
        return None if found is None else found.state
    columns = contribution_bill.c
    conn.execute(
        update(contribution_bill)
        .where(columns.agency == agency, columns.number == number)
        .values(withdrawn_at=at)
    )
    return BillState.WITHDRAWN


_STANDING = and_(
    contribution_payment.c.agency == contribution_bill.c.agency,
    contribution_payment.c.number == contribution_bill.c.number,
    contribution_payment.c.cancelled_at.is_(None),
)
_tried = contribution_payment.alias("tried")
_ATTEMPTS = (
    select(_tried.c.attempt)
    .where(_tried.c.agency == contribution_bill.c.agency, _tried.c.number == contribution_bill.c.number)
    .order_by(_tried.c.attempt.desc())
    .limit(1)
    .scalar_subquery()
)
_BILLS = select(
    contribution_bill,
    contribution_payment.c.payer,
    contribution_payment.c.bracket.label("paid_bracket"),
    contribution_payment.c.amount_fen,
    _ATTEMPTS.label("attempts"),
).select_from(contribution_bill.outerjoin(contribution_payment, _STANDING))


def _read(conn: Connection, rows: Sequence[Any]) -> list[Bill]:
    by_agency = {agency: brackets_of(conn, agency) for agency in {row.agency for row in rows}}
    return [_bill(row, by_agency[row.agency]) for row in rows]


def _bill(row: Any, brackets: Mapping[BracketKey, Bracket]) -> Bill:
    insurance = Insurance(row.insurance)
    fitting = tuple(
        one
        for one in brackets.values()
        if (one.insurance, one.year) == (insurance, row.year) and row.bracket in ("", one.bracket)
    )
    state = BillState.PAID if row.payer is not None else BillState.OPEN
    return Bill(
        agency=row.agency,
        number=row.number,
        holder=row.holder,
        insurance=insurance,
        year=row.year,
        first_month=row.first_month,
        months=row.months,
        brackets=fitting,
        state=BillState.WITHDRAWN if row.withdrawn_at is not None else state,
        paid_by=row.payer,
        paid_bracket=row.paid_bracket,
        paid_fen=row.amount_fen,
        attempts=row.attempts or 0,
    )


def _content(one: BillLine, holder: str) -> _Content:
    return holder, one.insurance.value, one.year, one.first_month, one.months, one.bracket


def _content_of_row(row: Any) -> _Content:
    return row.holder, row.insurance, row.year, row.first_month, row.months, row.bracket


def _months(content: _Content) -> list[tuple[str, str, int, int]]:
    holder, insurance, year, first_month, months, _ = content
    return [(holder, insurance, year, month) for month in range(first_month, first_month + months)]


def _billed_months(conn: Connection, holders: Iterable[str]) -> dict[tuple[str, str, int, int], str]:
    """Which bill asks for each month of those holders."""
    columns = contribution_bill.c
    query = select(columns.number, *_BILL_COLUMNS).where(
        one_of(conn, columns.holder, sorted(set(holders))), columns.withdrawn_at.is_(None)
    )
    return {month: row.number for row in conn.execute(query) for month in _months(_content_of_row(row))}


def _issue_answer(
    one: BillLine,
    holder: str | None,
    brackets: Mapping[BracketKey, Bracket],
    held: Mapping[str, _Content],
    billed: Mapping[tuple[str, str, int, int], str],
) -> IssueAnswer:
    def refused(reason: IssueRefusal, message: str) -> IssueRefused:
        return IssueRefused(one.line, one.number, reason, message)

    if holder is None:
        message = "the insured is not enrolled here; send the bill again when they are"
        return refused(IssueRefusal.HOLDER_UNKNOWN, message)
    named = [key for key in brackets if key[:2] == (one.insurance, one.year)]
    if not any(one.bracket in ("", bracket) for _, _, bracket in named):
        message = (
            f"bracket {one.bracket!r} is not in the schedule of {one.insurance} {one.year}; register it "
            f"first, or name one of {', '.join(bracket for _, _, bracket in named) or 'another year'}"
        )
        return refused(IssueRefusal.BRACKET_UNKNOWN, message)
    content = _content(one, holder)
    if one.number in held:
        if held[one.number] == content:
            return Issued(one.line, one.number, first_time=False)
        message = f"number {one.number} is another bill; give the new one a number of its own"
        return refused(IssueRefusal.NUMBER_TAKEN, message)
    rival = next((billed[month] for month in _months(content) if month in billed), None)
    if rival is not None:
        message = f"bill {rival} asks for some of these months already; withdraw it, or leave them out"
        return refused(IssueRefusal.MONTHS_BILLED, message)
    return Issued(one.line, one.number, first_time=True)

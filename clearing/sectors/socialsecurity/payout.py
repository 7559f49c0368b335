"""Paying an approved batch: facts, a result for every line, the fund's word, then one post for all.

Nothing is paid where the fund is short. A claim is paid once, whatever batch it comes in: the outcome that
says so is unique in the database, and its entry's reference is the claim.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, select, update

from clearing.online.parties import open_codes
from clearing.sectors.socialsecurity.batches import (
    BatchAnswer,
    BatchRecord,
    BatchRefusal,
    BatchRefused,
    BatchState,
    BatchTaken,
    Return,
    batch_of,
    unknown,
)
from clearing.sectors.socialsecurity.directory import Directory
from clearing.sectors.socialsecurity.funds import standing_of
from clearing.sectors.socialsecurity.tables import benefit_batch, benefit_line, benefit_outcome
from ledger.bulk import insert_rows, one_of
from ledger.day import DayState, day_state
from ledger.entry import Entry, Line, Refused
from ledger.post import post


@dataclass(frozen=True, slots=True)
class Payee:
    """A line as the payment sees it; `holder` is None where nobody here has the identity."""

    line: int
    claim: str
    holder: str | None
    pocket: str
    amount_fen: int
    memo: str

    @property
    def account(self) -> str:
        """The code of the account that the money goes to."""
        return f"{self.pocket}:{self.holder}"


@dataclass(frozen=True, slots=True)
class PayoutFacts:
    """What the books say about the payees of a batch, all asked before anything is decided."""

    paid_claims: Set[str]
    present: Set[str]
    locked: Set[str]
    open_accounts: Set[str]


def result_of(payee: Payee, facts: PayoutFacts) -> Return | None:
    """Why a line comes back, or None where it is to be paid."""
    if payee.claim in facts.paid_claims:
        return Return.ALREADY_PAID
    if payee.holder is None or payee.holder not in facts.present:
        return Return.HOLDER_UNKNOWN
    if payee.holder in facts.locked:
        return Return.HOLDER_LOCKED
    if payee.account not in facts.open_accounts:
        return Return.POCKET_CLOSED
    return None


def pay_batch(
    conn: Connection,
    directory: Directory,
    *,
    agency: str,
    number: str,
    business_date: date,
    event_at: datetime,
    at: datetime,
) -> BatchAnswer:
    """Pay an approved batch, `fund:{id}` to its holders' pockets, with a result for every line.

    Either the fund covers all lines that can be paid, or nothing is paid and the batch stays approved. Asked
    again, a paid batch is answered as before. `conn` comes from `ledger.db.writing`.
    """
    held = batch_of(conn, agency, number)
    if held is None:
        return unknown(agency, number)
    if held.state is BatchState.PAID:
        return BatchTaken(held, first_time=False)
    if held.state is not BatchState.APPROVED:
        message = f"batch {number} is {held.state}; it is paid when a second person has approved it"
        return BatchRefused(number, BatchRefusal.WRONG_STATE, message)
    if day_state(conn, business_date) is not DayState.OPEN:
        message = f"day {business_date} is not open; pay batch {number} on the open day"
        return BatchRefused(number, BatchRefusal.DAY_NOT_OPEN, message)
    payees = _payees(conn, agency, number)
    facts = _facts(conn, directory, agency, payees)
    results = {payee.line: result_of(payee, facts) for payee in payees}
    available_fen = _available_fen(conn, held, business_date)
    due_fen = sum(payee.amount_fen for payee in payees if results[payee.line] is None)
    if due_fen > max(available_fen, 0):
        message = (
            f"batch {number} needs {due_fen} fen and fund {held.fund} is good for {available_fen}; send "
            f"{due_fen - available_fen} fen to the reserve, or agree on a higher limit, and pay it again"
        )
        return BatchRefused(number, BatchRefusal.FUND_SHORT, message, due_fen - available_fen)
    due = [payee for payee in payees if results[payee.line] is None]
    entries = [_entry(held, payee, business_date, event_at) for payee in due]
    for payee, answer in zip(due, post(conn, entries, at=at), strict=True):
        if isinstance(answer, Refused) or not answer.first_time:
            results[payee.line] = Return.LEDGER_REFUSES
    _record(conn, held, payees, results)
    columns = benefit_batch.c
    conn.execute(
        update(benefit_batch)
        .where(columns.agency == agency, columns.number == number)
        .values(
            state=BatchState.PAID.value,
            business_date=business_date,
            paid_at=at,
            available_fen=available_fen,
            paid_fen=sum(payee.amount_fen for payee in payees if results[payee.line] is None),
        )
    )
    paid = batch_of(conn, agency, number)
    return unknown(agency, number) if paid is None else BatchTaken(paid, first_time=True)


def _payees(conn: Connection, agency: str, number: str) -> list[Payee]:
    columns = benefit_line.c
    query = (
        select(columns.line, columns.claim, columns.holder, columns.pocket, columns.amount_fen, columns.memo)
        .where(columns.agency == agency, columns.number == number)
        .order_by(columns.line)
    )
    return [Payee(*row) for row in conn.execute(query)]


def _facts(conn: Connection, directory: Directory, agency: str, payees: Sequence[Payee]) -> PayoutFacts:
    columns = benefit_outcome.c
    claims = select(columns.claim).where(
        columns.agency == agency,
        columns.outcome == "paid",
        one_of(conn, columns.claim, [payee.claim for payee in payees]),
    )
    known = [payee for payee in payees if payee.holder is not None]
    holders = sorted({str(payee.holder) for payee in known})
    return PayoutFacts(
        paid_claims=set(conn.scalars(claims)),
        present=directory.present(conn, holders),
        locked=directory.locked(conn, holders),
        open_accounts=open_codes(conn, [payee.account for payee in known]),
    )


def _available_fen(conn: Connection, held: BatchRecord, business_date: date) -> int:
    standing = standing_of(conn, held.fund, business_date)
    return 0 if standing is None else standing.available_fen


def _entry(held: BatchRecord, payee: Payee, business_date: date, event_at: datetime) -> Entry:
    item = f"{held.number}:{payee.line}"
    return Entry(
        reference=f"benefit:{held.agency}:{payee.claim}",
        kind="benefit",
        business_date=business_date,
        event_at=event_at,
        lines=(Line(f"fund:{held.fund}", payee.account, payee.amount_fen, item),),
        narrative=payee.memo,
    )


def _record(
    conn: Connection, held: BatchRecord, payees: Sequence[Payee], results: dict[int, Return | None]
) -> None:
    rows = []
    for payee in payees:
        returned = results[payee.line]
        outcome = ("paid", "") if returned is None else ("returned", returned.value)
        rows.append((held.agency, held.number, payee.line, payee.claim, *outcome))
    insert_rows(conn, benefit_outcome, rows)

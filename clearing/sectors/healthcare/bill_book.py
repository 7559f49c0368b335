"""The book of hospital bills: the facts a decision needs, bills with their state, and what the insurer said."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from clearing.online.parties import HOLDER, MERCHANT, locked_holders
from clearing.sectors.healthcare.bills import Bill, BillFacts, BillRecord
from clearing.sectors.healthcare.claims import COUNTED, OPEN, State
from clearing.sectors.healthcare.insurer import Claim, Heard, NoAnswer
from clearing.sectors.healthcare.policy import CatalogueClass, Category, Item, Policy, Split, YearSoFar
from clearing.sectors.healthcare.policy_file import policy_on
from clearing.sectors.healthcare.registers import category_on, level_of
from clearing.sectors.healthcare.tables import hospital_bill, hospital_bill_item, insurer_answer
from ledger.balances import balance
from ledger.bulk import insert_rows, one_of
from ledger.day import current_day

LONGEST_WHY = 200

_RECORD = tuple(
    column for column in hospital_bill.c if column.name not in ("benefit_year", "digest")
)  # in the order of BillRecord


def load_facts(conn: Connection, bill: Bill, policies: tuple[Policy, ...], *, today: date) -> BillFacts:
    """What the books know that bears on a bill."""
    # An id that cannot be one is asked for nowhere: it might hold what no database takes.
    if not HOLDER.fullmatch(bill.holder) or not MERCHANT.fullmatch(bill.hospital):
        level = level_of(conn, bill.hospital) if MERCHANT.fullmatch(bill.hospital) else None
        return BillFacts(level, None, None, YearSoFar(), None, None, False, today)
    account_fen, wallet_fen = pockets(conn, bill.holder)
    return BillFacts(
        level_of(conn, bill.hospital),
        category_on(conn, bill.holder, bill.treated_on),
        policy_on(policies, bill.treated_on),
        year_so_far(conn, bill.holder, bill.treated_on.year),
        account_fen,
        wallet_fen,
        bill.holder in locked_holders(conn, [bill.holder]),
        today,
    )


def year_so_far(conn: Connection, holder: str, year: int) -> YearSoFar:
    """What a holder's bills of a year, paid or in hand, have used; those that ended unpaid count no more."""
    columns = hospital_bill.c
    query = select(
        func.coalesce(func.sum(columns.deductible_fen), 0), func.coalesce(func.sum(columns.fund_fen), 0)
    ).where(columns.holder == holder, columns.benefit_year == year, _in(COUNTED))
    deductible_fen, fund_fen = conn.execute(query).one()
    return YearSoFar(int(deductible_fen), int(fund_fen))


def pockets(conn: Connection, holder: str) -> tuple[int | None, int | None]:
    """What personal account and wallet hold beyond what bills in hand were promised; None without a wallet."""
    wallet_fen = _balance_fen(conn, f"wallet:{holder}")
    if wallet_fen is None:
        return None, None
    columns = hospital_bill.c
    query = select(
        func.coalesce(func.sum(columns.account_fen), 0), func.coalesce(func.sum(columns.patient_fen), 0)
    ).where(columns.holder == holder, _in((State.CLAIMING, State.UNKNOWN)))
    promised_account_fen, promised_wallet_fen = conn.execute(query).one()
    account_fen = _balance_fen(conn, f"medical:{holder}") or 0
    return max(0, account_fen - int(promised_account_fen)), max(0, wallet_fen - int(promised_wallet_fen))


def enter(conn: Connection, bill: Bill, split: Split, facts: BillFacts, *, at: datetime) -> BillRecord:
    """Enter a bill that the insurer is about to be asked about; its split is final from here on.

    Raises ledger.day.DayOrderError where no business day is open.
    """
    assert facts.policy is not None
    row = {
        "reference": bill.reference,
        "hospital": bill.hospital,
        "bill_no": bill.bill_no,
        "holder": bill.holder,
        "treated_on": bill.treated_on,
        "benefit_year": bill.treated_on.year,
        "level": facts.level,
        "category": facts.category,
        "pool": facts.policy.pool,
        "policy_version": facts.policy.version,
        "digest": bill.digest,
        "state": State.CLAIMING.value,
        "why": "",
        "insurer_no": "",
        "opened_at": at,
        "changed_at": at,
        "claimed_on": current_day(conn),
    }
    conn.execute(insert(hospital_bill).values(row | asdict(split)))
    insert_rows(
        conn,
        hospital_bill_item,
        (
            (
                bill.reference,
                number,
                item.code,
                item.catalogue_class.value,
                item.amount_fen,
                item.first_share_bp,
            )
            for number, item in enumerate(bill.items, 1)
        ),
    )
    entered = bill_of(conn, bill.reference)
    assert entered is not None
    return entered


def bill_of(conn: Connection, reference: str) -> BillRecord | None:
    """A bill as it stands, or None."""
    if not reference.isprintable():
        return None  # it is no reference of ours, and might hold what no database takes
    return next(iter(_records(conn, hospital_bill.c.reference == reference)), None)


def bills_of_holder(conn: Connection, holder: str, *, limit: int = 50) -> list[BillRecord]:
    """A holder's newest bills first, whatever became of them."""
    columns = hospital_bill.c
    query = select(*_RECORD).where(columns.holder == holder)
    newest = query.order_by(columns.opened_at.desc(), columns.reference.desc()).limit(limit)
    return [_record(row._mapping) for row in conn.execute(newest)]


def digest_of(conn: Connection, reference: str) -> bytes | None:
    """What the bill under a reference was made of, or None where there is none."""
    found: bytes | None = conn.scalar(
        select(hospital_bill.c.digest).where(hospital_bill.c.reference == reference)
    )
    return found


def claim_of(conn: Connection, bill: BillRecord) -> Claim:
    """What the insurer is asked to pay of a bill."""
    columns = hospital_bill_item.c
    query = select(columns.code, columns.catalogue_class, columns.amount_fen, columns.first_share_bp)
    rows = conn.execute(query.where(columns.reference == bill.reference).order_by(columns.position))
    assert bill.claimed_on is not None
    return Claim(
        bill.reference,
        bill.claimed_on,
        bill.hospital,
        bill.level,
        bill.holder,
        bill.category,
        bill.treated_on,
        bill.pool,
        bill.policy_version,
        bill.total_fen,
        bill.deductible_fen,
        bill.fund_fen,
        tuple(Item(code, CatalogueClass(kind), fen, bp) for code, kind, fen, bp in rows),
    )


def move(
    conn: Connection,
    bill: BillRecord,
    state: State,
    *,
    at: datetime,
    why: str | None = None,
    insurer_no: str | None = None,
    paid_at: datetime | None = None,
) -> BillRecord:
    """Write a bill's new state; what is not given stays as it is."""
    changed: dict[str, Any] = {"state": state.value, "changed_at": at}
    given = {"why": None if why is None else readable(why), "insurer_no": insurer_no, "paid_at": paid_at}
    changed |= {name: value for name, value in given.items() if value is not None}
    conn.execute(update(hospital_bill).where(hospital_bill.c.reference == bill.reference).values(changed))
    moved = bill_of(conn, bill.reference)
    assert moved is not None
    return moved


def note(conn: Connection, reference: str, asked: str, heard: Heard, *, legal: bool, at: datetime) -> None:
    """Keep what the insurer answered, or that it did not; nothing here is ever changed."""
    if isinstance(heard, NoAnswer):
        told: dict[str, Any] = {"answer": "none", "fund_fen": 0, "detail": heard.detail}
    else:
        told = {"answer": heard.standing.value, "fund_fen": heard.fund_fen, "detail": heard.reason}
    columns = insurer_answer.c
    newest = conn.scalar(select(func.max(columns.number)).where(columns.reference == reference))
    conn.execute(
        insert(insurer_answer).values(
            reference=reference,
            number=(newest or 0) + 1,
            asked=asked,
            heard_at=at,
            legal=legal,
            **told,
        )
    )


def readable(text: str) -> str:
    """A text as a person can read it and a column can hold it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:LONGEST_WHY]


def open_bills(conn: Connection, hospital: str | None = None) -> list[BillRecord]:
    """Bills that wait for the insurer, of all hospitals or of one, oldest first: the suspense list."""
    condition = _in(OPEN)
    if hospital is not None:
        condition &= hospital_bill.c.hospital == hospital
    return _records(conn, condition)


def bills_of_day(conn: Connection, business_date: date) -> list[BillRecord]:
    """Bills that the insurer files under a business date, whatever became of them, oldest first."""
    return _records(conn, hospital_bill.c.claimed_on == business_date)


def bills_among(conn: Connection, references: Sequence[str]) -> dict[str, BillRecord]:
    """The bills of these references that there are."""
    return {one.reference: one for one in _records(conn, one_of(conn, hospital_bill.c.reference, references))}


def contradicted_bills(conn: Connection) -> list[BillRecord]:
    """Bills of which the insurer has said what it cannot after what it said before; a person looks at them."""
    columns = insurer_answer.c
    told = select(columns.reference).where(columns.legal.is_(False))
    return _records(conn, hospital_bill.c.reference.in_(told))


def _records(conn: Connection, condition: ColumnElement[bool]) -> list[BillRecord]:
    query = select(*_RECORD).where(condition)
    query = query.order_by(hospital_bill.c.opened_at, hospital_bill.c.reference)
    return [_record(row._mapping) for row in conn.execute(query)]


def _record(row: Any) -> BillRecord:
    return BillRecord(**{**row, "category": Category(row["category"]), "state": State(row["state"])})


def _in(states: Sequence[State]) -> ColumnElement[bool]:
    return hospital_bill.c.state.in_([state.value for state in states])


def _balance_fen(conn: Connection, code: str) -> int | None:
    try:
        return balance(conn, code).balance_fen
    except LookupError:
        return None

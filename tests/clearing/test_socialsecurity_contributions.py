"""Contributions: billed by year and bracket, paid once for each month, given back whole."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import IntegrityError

from card.loss import report_loss
from clearing.online.payment import Channel, Decline
from clearing.sectors.socialsecurity import schedule as schedule_module
from clearing.sectors.socialsecurity.bill_file import BillFile, BillLine, read_bill_file, write_bill_file
from clearing.sectors.socialsecurity.bills import (
    Bill,
    BillState,
    Issued,
    IssueRefusal,
    IssueRefused,
    bill_of,
    bills_of,
    issue,
    withdraw,
)
from clearing.sectors.socialsecurity.contributions import (
    Contribution,
    ContributionAnswer,
    ContributionRefusal,
    ContributionRefused,
    ContributionTaken,
    cancel_contribution,
    pay_bill,
)
from clearing.sectors.socialsecurity.record import insured_of, record_of
from clearing.sectors.socialsecurity.schedule import (
    Bracket,
    Insurance,
    Per,
    parse_schedule,
    register_brackets,
)
from clearing.sectors.socialsecurity.sheet import Flawed
from clearing.sectors.socialsecurity.tables import contribution_month
from ledger.accounts import Conflict, open_accounts
from ledger.chart import account
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from tests.clearing.social_books import (
    AGENCY,
    DAY,
    DIRECTORY,
    STRANGER,
    Books,
    at,
    give,
    identity,
    open_books,
)
from tests.support.archived_month import archived, over

SCHEDULE = Path(schedule_module.__file__).parent / "schedules" / "demo-2026.json"
MEDICAL, PENSION, FLEXIBLE = (
    Insurance.RESIDENT_MEDICAL,
    Insurance.RESIDENT_PENSION,
    Insurance.FLEXIBLE_EMPLOYMENT,
)


def bill(
    number: str, person: int, insurance: Insurance, bracket: str = "",
    *, year: int = 2026, first_month: int = 1, months: int = 12,
) -> BillLine:  # fmt: skip
    return BillLine(0, number, identity(person), insurance, year, first_month, months, bracket)


BILLS = [
    bill("M-1", 1, MEDICAL, "standard"),
    bill("P-1", 1, PENSION),
    bill("F-2", 2, FLEXIBLE, "60", first_month=4, months=3),
    bill("M-9", STRANGER, MEDICAL, "standard"),
]


def brackets() -> tuple[Bracket, ...]:
    read = parse_schedule(SCHEDULE.read_text(encoding="utf-8"))
    assert not isinstance(read, Flawed), read
    return read


def bills(lines: list[BillLine]) -> BillFile:
    read = read_bill_file(write_bill_file(agency=AGENCY, lines=lines))
    assert isinstance(read, BillFile), read
    return read


@pytest.fixture
def books(engine: Engine) -> Books:
    opened = open_books(engine)
    with writing(engine) as conn:
        register_brackets(conn, brackets())
        issue(conn, DIRECTORY, bills(BILLS), agency=AGENCY, at=at(1))
    give(opened, f"wallet:{opened.holders[1]}", 100_000)
    give(opened, f"wallet:{opened.holders[2]}", 300_000)
    return opened


def order(books: Books, number: str, bracket: str, payer: int = 1, day: date = DAY) -> Contribution:
    return Contribution(AGENCY, number, books.holders[payer], bracket, Channel.APP, day, at(9))


def standing(conn: Connection, number: str) -> Bill:
    found = bill_of(conn, AGENCY, number)
    assert found is not None
    return found


def refused(answer: ContributionAnswer) -> ContributionRefusal | None:
    return answer.reason if isinstance(answer, ContributionRefused) else None


def cancel(conn: Connection, number: str) -> ContributionAnswer:
    return cancel_contribution(
        conn, agency=AGENCY, number=number, business_date=DAY, event_at=at(12), why="在外地已缴", at=at(12)
    )


def test_a_paid_bill_moves_its_price_and_counts_its_months(books: Books) -> None:
    with writing(books.engine) as conn:
        answer = pay_bill(conn, order(books, "M-1", "standard"), at=at(9))
        assert isinstance(answer, ContributionTaken) and answer.first_time
        assert (answer.bill.state, answer.bill.paid_fen) == (BillState.PAID, 40_000)
        (insured,) = insured_of(conn, books.holders[1])
        assert check_books(conn) == []
    assert (insured.insurance, insured.months_paid, insured.paid_until) == (MEDICAL, 12, (2026, 12))
    assert (books.pocket_fen(1), books.held_fen(f"clearing:{AGENCY}")) == (60_000, 40_000)


def test_flexible_employment_pays_by_the_month_and_counts_those_months_only(books: Books) -> None:
    with writing(books.engine) as conn:
        pay_bill(conn, order(books, "F-2", "60", payer=2), at=at(9))
        (insured,) = insured_of(conn, books.holders[2])
    assert insured.months == {2026: (4, 5, 6)}
    assert books.held_fen(f"clearing:{AGENCY}") == 3 * 88_520


def test_the_payer_chooses_the_bracket_where_the_agency_left_it_open(books: Books) -> None:
    with writing(books.engine) as conn:
        open_bill = standing(conn, "P-1")
        assert [one.bracket for one in open_bill.brackets] == ["200", "500", "1000", "3000"]
        assert (open_bill.price_fen("500"), open_bill.price_fen("standard")) == (50_000, None)
        answer = pay_bill(conn, order(books, "P-1", "500"), at=at(9))
        assert isinstance(answer, ContributionTaken)
        assert (answer.bill.paid_bracket, answer.bill.paid_fen) == ("500", 50_000)


def test_anybodys_wallet_may_pay_and_the_insured_is_credited(books: Books) -> None:
    with writing(books.engine) as conn:
        pay_bill(conn, order(books, "M-1", "standard", payer=2), at=at(9))
        assert [one.months_paid for one in insured_of(conn, books.holders[1])] == [12]
        assert insured_of(conn, books.holders[2]) == ()
    assert books.pocket_fen(2) == 260_000


def test_a_bill_asked_for_again_is_paid_once(books: Books) -> None:
    with writing(books.engine) as conn:
        first = pay_bill(conn, order(books, "M-1", "standard"), at=at(9))
        again = pay_bill(conn, replace(order(books, "M-1", "standard"), event_at=at(10)), at=at(10))
        other = pay_bill(conn, order(books, "M-1", "standard", payer=2), at=at(10))
    assert isinstance(first, ContributionTaken) and isinstance(again, ContributionTaken)
    assert (again.reference, again.first_time) == (first.reference, False)
    assert refused(other) is ContributionRefusal.PAID_BEFORE
    assert books.pocket_fen(1) == 60_000


def test_a_bill_given_back_is_open_again_and_can_be_paid_again(books: Books) -> None:
    with writing(books.engine) as conn:
        assert refused(cancel(conn, "M-1")) is ContributionRefusal.NOT_PAID
        for attempt in (1, 2):
            paid = pay_bill(conn, order(books, "M-1", "standard"), at=at(9))
            assert isinstance(paid, ContributionTaken) and paid.first_time
            assert paid.reference == f"agency:SSB:M-1:{attempt}"
            back = cancel(conn, "M-1")
            assert isinstance(back, ContributionTaken) and back.bill.state is BillState.OPEN
            assert insured_of(conn, books.holders[1]) == ()
        assert refused(cancel(conn, "M-1")) is ContributionRefusal.NOT_PAID
        assert check_books(conn) == []
    assert (books.pocket_fen(1), books.held_fen(f"clearing:{AGENCY}")) == (100_000, 0)


@pytest.mark.parametrize(
    ("number", "bracket", "day", "reason", "cause"),
    [
        ("X-1", "standard", DAY, ContributionRefusal.BILL_UNKNOWN, None),
        ("W-1", "200", DAY.replace(year=2027), ContributionRefusal.BILL_WITHDRAWN, None),
        ("M-1", "200", DAY.replace(year=2027), ContributionRefusal.BRACKET_UNKNOWN, None),
        ("M-1", "standard", DAY.replace(year=2027), ContributionRefusal.NOT_PAYABLE_NOW, None),
        ("P-1", "3000", DAY, ContributionRefusal.DECLINED, Decline.INSUFFICIENT),
    ],
)
def test_a_bill_is_not_paid_for_the_first_reason_that_applies(
    books: Books, number: str, bracket: str, day: date, reason: ContributionRefusal, cause: Decline | None
) -> None:
    with writing(books.engine) as conn:
        issue(conn, DIRECTORY, bills([bill("W-1", 3, PENSION)]), agency=AGENCY, at=at(1))
        assert withdraw(conn, AGENCY, "W-1", at=at(2)) is BillState.WITHDRAWN
        answer = pay_bill(conn, order(books, number, bracket, day=day), at=at(9))
        assert isinstance(answer, ContributionRefused)
        assert (answer.reason, answer.cause) == (reason, cause)
    assert books.pocket_fen(1) == 100_000


def test_who_has_reported_a_loss_pays_nothing(books: Books) -> None:
    with writing(books.engine) as conn:
        report_loss(conn, books.holders[1], at=at(8))
        answer = pay_bill(conn, order(books, "M-1", "standard"), at=at(9))
        assert isinstance(answer, ContributionRefused)
        assert answer.cause is Decline.HOLDER_LOCKED
        assert insured_of(conn, books.holders[1]) == ()


def test_a_month_is_paid_once_whatever_agency_bills_it(books: Books) -> None:
    with writing(books.engine) as conn:
        register_brackets(conn, [replace(one, agency="CANTEEN-1") for one in brackets()])
        theirs = replace(bills([bill("Z-1", 1, MEDICAL, "student")]), agency="CANTEEN-1")
        (issued,) = issue(conn, DIRECTORY, theirs, agency="CANTEEN-1", at=at(1))
        assert isinstance(issued, IssueRefused) and issued.reason is IssueRefusal.MONTHS_BILLED
        withdraw(conn, AGENCY, "M-1", at=at(2))
        issue(conn, DIRECTORY, theirs, agency="CANTEEN-1", at=at(1))
        row = {"holder": books.holders[1], "insurance": MEDICAL.value, "year": 2026, "month": 7}
        conn.execute(insert(contribution_month).values(row | {"agency": AGENCY, "number": "M-1"}))
        answer = pay_bill(conn, replace(order(books, "Z-1", "student"), agency="CANTEEN-1"), at=at(9))
        assert refused(answer) is ContributionRefusal.MONTHS_PAID
    with pytest.raises(IntegrityError), writing(books.engine) as conn:
        conn.execute(insert(contribution_month).values(row | {"agency": AGENCY, "number": "P-1"}))


def test_bills_are_taken_line_by_line_and_again_change_nothing(books: Books) -> None:
    changed = [
        replace(BILLS[0], bracket="student"),
        BILLS[1],
        bill("F-3", 2, FLEXIBLE, "60", first_month=6, months=1),
        bill("F-4", 2, FLEXIBLE, "61", first_month=8, months=1),
        bill("F-5", 2, FLEXIBLE, "60", year=2031),
        bill("F-6", 2, FLEXIBLE, "60", first_month=7, months=1),
        bill("F-7", 2, FLEXIBLE, "60", first_month=7, months=1),
    ]
    with writing(books.engine) as conn:
        again = issue(conn, DIRECTORY, bills(BILLS), agency=AGENCY, at=at(2))
        assert [one.first_time for one in again if isinstance(one, Issued)] == [False] * 3
        answers = issue(conn, DIRECTORY, bills([*changed, BILLS[3]]), agency=AGENCY, at=at(2))
        other = issue(conn, DIRECTORY, bills(BILLS), agency="OTHER", at=at(2))
        assert len(bills_of(conn, books.holders[2])) == 2
    assert [one.reason if isinstance(one, IssueRefused) else one.first_time for one in answers] == [
        IssueRefusal.NUMBER_TAKEN,
        False,
        IssueRefusal.MONTHS_BILLED,
        IssueRefusal.BRACKET_UNKNOWN,
        IssueRefusal.BRACKET_UNKNOWN,
        True,
        IssueRefusal.MONTHS_BILLED,
        IssueRefusal.HOLDER_UNKNOWN,
    ]
    assert {one.reason for one in other if isinstance(one, IssueRefused)} == {IssueRefusal.OTHER_AGENCY}


def test_a_withdrawn_bill_is_gone_and_a_paid_one_stays(books: Books) -> None:
    with writing(books.engine) as conn:
        pay_bill(conn, order(books, "M-1", "standard"), at=at(9))
        assert withdraw(conn, AGENCY, "M-1", at=at(10)) is BillState.PAID
        assert withdraw(conn, AGENCY, "P-1", at=at(10)) is BillState.WITHDRAWN
        assert withdraw(conn, AGENCY, "P-1", at=at(11)) is BillState.WITHDRAWN
        assert withdraw(conn, AGENCY, "X-1", at=at(11)) is None
        assert [one.number for one in bills_of(conn, books.holders[1])] == ["M-1"]


def test_the_record_shows_insurances_open_bills_and_movements(books: Books) -> None:
    with writing(books.engine) as conn:
        pay_bill(conn, order(books, "M-1", "standard"), at=at(9))
        record = record_of(conn, books.holders[1])
    assert [one.insurance for one in record.insured] == [MEDICAL]
    assert [one.number for one in record.open_bills] == ["P-1"]
    assert record.benefits == ()
    assert {code: len(moved) for code, moved in record.movements.items()} == {
        f"medical:{books.holders[1]}": 0,
        f"subsidy:{books.holders[1]}": 0,
    }


def test_the_record_of_archived_months_is_the_record_as_it_was(books: Books, tmp_path: Path) -> None:
    holder = books.holders[1]
    funded(books, f"subsidy:{holder}", "spring", DAY)
    today = over(books.engine, DAY)
    funded(books, f"subsidy:{holder}", "summer", today)
    with reading(books.engine) as conn:
        before = record_of(conn, holder)
    assert len(before.movements[f"subsidy:{holder}"]) == 2
    archive = archived(books.engine, DAY, tmp_path)
    with reading(books.engine) as conn:
        assert record_of(conn, holder, archive=archive) == before


def funded(books: Books, pocket: str, reference: str, day: date) -> None:
    """Put money into a pocket."""
    with writing(books.engine) as conn:
        open_accounts(conn, [account("equity:capital")], at=at(9))
        line = Line("equity:capital", pocket, 500)
        (answer,) = post(conn, [Entry(reference, "grant", day, at(9), (line,))], at=at(9))
        assert isinstance(answer, Posted)


def test_brackets_are_registered_once_and_never_changed(books: Books) -> None:
    one = brackets()[0]
    with writing(books.engine) as conn:
        assert register_brackets(conn, brackets()) == 0
        with pytest.raises(Conflict):
            register_brackets(conn, [replace(one, amount_fen=1)])
        new = replace(one, bracket="new", per=Per.MONTH)
        assert register_brackets(conn, [new, new]) == 1
        with pytest.raises(Conflict):
            register_brackets(conn, [replace(new, bracket="x"), replace(new, bracket="x", name="y")])


@pytest.mark.parametrize(
    ("found", "written", "field"),
    [
        ('"contributions/1"', '"contributions/2"', "schedule"),
        ('"amount_fen": 40000', '"amount_fen": 400.00', "brackets.0.amount_fen"),
        ('"amount_fen": 40000', '"amount_fen": 0', "brackets.0.amount_fen"),
        ('"payable_to": "2026-12-31"', '"payable_to": "2025-08-31"', "brackets.0.payable_to"),
        ('"bracket": "student"', '"bracket": "standard"', "brackets.1"),
        ('"year": 2026,', '"year": 2026, "city": "x",', "city"),
        ("{", "", "file"),
    ],
)
def test_a_flawed_schedule_is_refused_by_the_place_of_the_flaw(found: str, written: str, field: str) -> None:
    read = parse_schedule(SCHEDULE.read_text(encoding="utf-8").replace(found, written, 1))
    assert isinstance(read, Flawed)
    assert [one.field for one in read.flaws] == [field]

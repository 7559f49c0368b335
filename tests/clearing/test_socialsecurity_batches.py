"""Benefit batches: one person sends, another approves, the fund covers, every line has one result."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, event, insert, update
from sqlalchemy.exc import IntegrityError

from card.holders import Enrolled, Person, enrol, forget
from card.loss import report_loss
from clearing.sectors.socialsecurity.batches import (
    BatchAnswer,
    BatchRefusal,
    BatchRefused,
    BatchState,
    BatchTaken,
    Return,
    approve,
    batch_of,
    lines_of,
    receive,
    reject,
    returned_of,
)
from clearing.sectors.socialsecurity.benefit_file import Pocket
from clearing.sectors.socialsecurity.funds import FundAgreement, funds_of, register_funds, standing_of
from clearing.sectors.socialsecurity.payout import Payee, PayoutFacts, result_of
from clearing.sectors.socialsecurity.tables import benefit_batch, benefit_outcome
from ledger.accounts import Conflict, close_account
from ledger.checks import check_books
from ledger.day import begin_close
from ledger.db import writing
from ledger.history import history
from tests.clearing.social_books import (
    AGENCY,
    CHECKER,
    DAY,
    DIRECTORY,
    FUND,
    MAKER,
    STRANGER,
    VAULT,
    Books,
    approved,
    arrive,
    at,
    file_of,
    identity,
    line,
    open_books,
    pay,
    results,
    send,
)

LINES = [line("P-1", 1, 10_000), line("P-2", 2, 5_000, Pocket.SUBSIDY)]


@pytest.fixture
def books(engine: Engine) -> Books:
    return open_books(engine, prefunded_fen=15_000)


def refused(answer: BatchAnswer) -> BatchRefusal | None:
    return answer.reason if isinstance(answer, BatchRefused) else None


def test_a_batch_goes_from_the_fund_to_the_pockets_it_names(books: Books) -> None:
    with writing(books.engine) as conn:
        approved(conn, "B-1", LINES)
        answer = pay(conn, "B-1")
        assert isinstance(answer, BatchTaken) and answer.first_time
        assert (answer.batch.state, answer.batch.paid_fen, answer.batch.available_fen) == (
            BatchState.PAID,
            15_000,
            15_000,
        )
        assert results(conn, "B-1") == {"P-1": "paid", "P-2": "paid"}
        assert check_books(conn) == []
        (movement,) = history(conn, f"wallet:{books.holders[1]}")
    assert (movement.kind, movement.reference, movement.item) == ("benefit", "benefit:SSB:P-1", "B-1:3")
    assert (books.pocket_fen(1), books.pocket_fen(2), books.pocket_fen(2, "subsidy")) == (10_000, 0, 5_000)
    assert books.held_fen(f"fund:{FUND}") == 0
    assert books.held_fen("bank:reserve") == 15_000


def test_a_batch_asked_for_again_is_paid_once(books: Books) -> None:
    with writing(books.engine) as conn:
        approved(conn, "B-1", LINES)
        pay(conn, "B-1")
        again = pay(conn, "B-1")
        assert isinstance(again, BatchTaken) and not again.first_time
        resent = send(conn, file_of("B-1", LINES))
        assert isinstance(resent, BatchTaken) and not resent.first_time
        assert resent.batch.state is BatchState.PAID
    assert books.pocket_fen(1) == 10_000


def test_who_sent_a_batch_cannot_check_it(books: Books) -> None:
    with writing(books.engine) as conn:
        send(conn, file_of("B-1", LINES))
        assert refused(approve(conn, agency=AGENCY, number="B-1", checked_by=MAKER, at=at(10))) is (
            BatchRefusal.SAME_PERSON
        )
        answer = reject(conn, agency=AGENCY, number="B-1", checked_by=MAKER, why="wrong", at=at(10))
        assert refused(answer) is BatchRefusal.SAME_PERSON
        assert refused(pay(conn, "B-1")) is BatchRefusal.WRONG_STATE


def test_the_database_holds_two_persons_and_the_fund_too(books: Books) -> None:
    with writing(books.engine) as conn:
        send(conn, file_of("B-1", LINES))
    whole = {
        "checked_by": CHECKER, "checked_at": at(10), "state": "paid", "paid_at": at(11),
        "business_date": DAY, "available_fen": 15_000, "paid_fen": 15_000,
    }  # fmt: skip
    for wrong in (
        {"checked_by": MAKER},
        {"available_fen": 14_999},
        {"paid_fen": 15_001, "available_fen": 15_001},
        {"state": "approved"},
        {"state": "lost"},
        {"checked_at": None},
    ):
        with pytest.raises(IntegrityError), writing(books.engine) as conn:
            conn.execute(update(benefit_batch).values(whole | wrong))
    with writing(books.engine) as conn:
        conn.execute(update(benefit_batch).values(whole))


def test_a_claim_is_paid_once_by_the_database_too(books: Books) -> None:
    with writing(books.engine) as conn:
        send(conn, file_of("B-1", LINES))
        send(conn, file_of("B-2", LINES))
    key = {"agency": AGENCY, "line": 3, "claim": "P-1", "outcome": "paid", "reason": ""}
    with writing(books.engine) as conn:
        conn.execute(insert(benefit_outcome).values(key | {"number": "B-1"}))
    with pytest.raises(IntegrityError), writing(books.engine) as conn:
        conn.execute(insert(benefit_outcome).values(key | {"number": "B-2"}))


def test_a_rejected_batch_keeps_its_reason_and_is_never_paid(books: Books) -> None:
    with writing(books.engine) as conn:
        send(conn, file_of("B-1", LINES))
        blank = reject(conn, agency=AGENCY, number="B-1", checked_by=CHECKER, why="  ", at=at(10))
        assert refused(blank) is BatchRefusal.REASON_MISSING
        why = "金额与名册不符"
        answer = reject(conn, agency=AGENCY, number="B-1", checked_by=CHECKER, why=why, at=at(10))
        assert isinstance(answer, BatchTaken) and answer.batch.why_rejected == why
        again = reject(conn, agency=AGENCY, number="B-1", checked_by=CHECKER, why=why, at=at(12))
        assert isinstance(again, BatchTaken) and not again.first_time
        late = approve(conn, agency=AGENCY, number="B-1", checked_by=CHECKER, at=at(12))
        assert refused(late) is BatchRefusal.WRONG_STATE
        assert refused(pay(conn, "B-1")) is BatchRefusal.WRONG_STATE
    assert books.pocket_fen(1) == 0


def test_a_number_used_for_another_file_is_refused(books: Books) -> None:
    with writing(books.engine) as conn:
        send(conn, file_of("B-1", LINES))
        answer = send(conn, file_of("B-1", [replace(LINES[0], amount_fen=10_001), LINES[1]]))
        assert refused(answer) is BatchRefusal.NUMBER_TAKEN
        assert [one.amount_fen for one in lines_of(conn, AGENCY, "B-1")] == [10_000, 5_000]


@pytest.mark.parametrize(
    ("agency", "fund", "reason"),
    [
        ("OTHER", "NONE", BatchRefusal.OTHER_AGENCY),
        (AGENCY, "NONE", BatchRefusal.FUND_UNKNOWN),
        (AGENCY, "FOREIGN", BatchRefusal.FUND_UNKNOWN),
    ],
)
def test_a_batch_is_refused_for_the_first_reason_that_applies(
    books: Books, agency: str, fund: str, reason: BatchRefusal
) -> None:
    file = replace(file_of("B-1", LINES), fund=fund)
    with writing(books.engine) as conn:
        register_funds(conn, [FundAgreement("FOREIGN", "OTHER", 0, DAY)], at=at(1))
        answer = receive(conn, DIRECTORY, file, agency=agency, made_by=MAKER, business_date=DAY, at=at(9))
        assert refused(answer) is reason
        assert batch_of(conn, AGENCY, "B-1") is None


def test_a_fund_that_is_short_pays_nothing_until_money_comes(engine: Engine) -> None:
    books = open_books(engine, prefunded_fen=14_000, limit_fen=999)
    with writing(engine) as conn:
        approved(conn, "B-1", LINES)
        answer = pay(conn, "B-1")
        assert isinstance(answer, BatchRefused)
        assert (answer.reason, answer.amount_fen) == (BatchRefusal.FUND_SHORT, 1)
        assert results(conn, "B-1") == {"P-1": "waiting", "P-2": "waiting"}
        assert books.holders[1] == lines_of(conn, AGENCY, "B-1")[0].holder
    assert books.pocket_fen(1) == 0
    with writing(engine) as conn:
        arrive(conn, "BANK-2", 1)
        assert isinstance(pay(conn, "B-1"), BatchTaken)
        standing = standing_of(conn, FUND, DAY)
        assert standing is not None
        assert (standing.prefunded_fen, standing.available_fen) == (-999, 0)
        approved(conn, "B-2", [line("P-3", 3, 1)])
        assert refused(pay(conn, "B-2")) is BatchRefusal.FUND_SHORT
    assert books.held_fen(f"fund:{FUND}") == 999


def test_a_batch_is_not_paid_on_a_day_that_is_not_open(books: Books) -> None:
    with writing(books.engine) as conn:
        approved(conn, "B-1", LINES)
        begin_close(conn, DAY, at=at(23))
        assert refused(pay(conn, "B-1")) is BatchRefusal.DAY_NOT_OPEN
        batch = batch_of(conn, AGENCY, "B-1")
    assert batch is not None and batch.state is BatchState.APPROVED


def test_lines_that_cannot_be_paid_come_back_and_a_later_batch_pays_them(engine: Engine) -> None:
    books = open_books(engine, prefunded_fen=100_000)
    with writing(engine) as conn:
        report_loss(conn, books.holders[2], at=at(8))
        close_account(conn, f"subsidy:{books.holders[3]}", at=at(8))
        approved(
            conn,
            "B-1",
            [
                line("P-1", 1, 100),
                line("P-2", 2, 200),
                line("P-3", 3, 300, Pocket.SUBSIDY),
                line("P-4", STRANGER, 400),
                line("P-5", 5, 500),
            ],
        )
        forget(conn, books.holders[5], at=at(10))
        answer = pay(conn, "B-1")
        assert isinstance(answer, BatchTaken) and answer.batch.paid_fen == 100
        assert results(conn, "B-1") == {
            "P-1": "paid",
            "P-2": "holder_locked",
            "P-3": "pocket_closed",
            "P-4": "holder_unknown",
            "P-5": "holder_unknown",
        }
        back = returned_of(conn, AGENCY)
        assert [(number, one.claim) for number, one in back] == [
            ("B-1", "P-2"),
            ("B-1", "P-3"),
            ("B-1", "P-4"),
            ("B-1", "P-5"),
        ]
        assert isinstance(enrol(conn, VAULT, Person(identity(STRANGER), "新", ""), at=at(12)), Enrolled)
        approved(conn, "B-2", [line("P-1", 1, 100), line("P-3", 3, 300), line("P-4", STRANGER, 400)])
        pay(conn, "B-2")
        assert results(conn, "B-2") == {"P-1": "already_paid", "P-3": "paid", "P-4": "paid"}
        assert [one.claim for _, one in returned_of(conn, AGENCY)] == ["P-2", "P-5"]
        assert check_books(conn) == []
    assert (books.pocket_fen(1), books.pocket_fen(3), books.held_fen(f"fund:{FUND}")) == (100, 300, -99_200)


def test_a_kept_line_shows_an_identity_only_masked_and_only_where_nobody_has_it(books: Books) -> None:
    with writing(books.engine) as conn:
        send(conn, file_of("B-1", [line("P-1", 1, 1), line("P-2", STRANGER, 1)]))
        known, unknown = lines_of(conn, AGENCY, "B-1")
    assert (known.holder, known.identity_masked) == (books.holders[1], "")
    assert (unknown.holder, unknown.identity_masked) == (
        None,
        f"530102********{identity(STRANGER)[-4:]}",
    )


PAYEE = Payee(3, "P-1", "H0000000001", "wallet", 1, "")
SOUND = PayoutFacts(frozenset(), frozenset({"H0000000001"}), frozenset(), frozenset({"wallet:H0000000001"}))


@pytest.mark.parametrize(
    ("payee", "facts", "expected"),
    [
        (PAYEE, SOUND, None),
        (PAYEE, replace(SOUND, open_accounts=frozenset()), Return.POCKET_CLOSED),
        (PAYEE, replace(SOUND, locked={"H0000000001"}, open_accounts=frozenset()), Return.HOLDER_LOCKED),
        (PAYEE, replace(SOUND, locked={"H0000000001"}, present=frozenset()), Return.HOLDER_UNKNOWN),
        (replace(PAYEE, holder=None), SOUND, Return.HOLDER_UNKNOWN),
        (replace(PAYEE, holder=None), replace(SOUND, paid_claims={"P-1"}), Return.ALREADY_PAID),
        (replace(PAYEE, pocket="subsidy"), SOUND, Return.POCKET_CLOSED),
    ],
)
def test_a_line_comes_back_for_the_first_reason_that_applies(
    payee: Payee, facts: PayoutFacts, expected: Return | None
) -> None:
    assert result_of(payee, facts) is expected


def test_funds_are_an_agencys_own_and_change_from_a_day_on(books: Books) -> None:
    raised = FundAgreement(FUND, AGENCY, 500, DAY.replace(day=2))
    with writing(books.engine) as conn:
        assert register_funds(conn, [raised, raised], at=at(9)) == 1
        assert register_funds(conn, [raised], at=at(9)) == 0
        for wrong in (replace(raised, limit_fen=501), replace(raised, agency="OTHER", valid_from=DAY)):
            with pytest.raises(Conflict):
                register_funds(conn, [wrong], at=at(9))
        with pytest.raises(ValueError, match="limit_fen -1 is below zero"):
            register_funds(conn, [replace(raised, limit_fen=-1)], at=at(9))
        assert [one.limit_fen for one in funds_of(conn, AGENCY, DAY)] == [0]
        assert [one.limit_fen for one in funds_of(conn, AGENCY, DAY.replace(day=3))] == [500]
        assert funds_of(conn, "OTHER", DAY) == []
        assert standing_of(conn, FUND, DAY.replace(month=8)) is None


def test_paying_takes_as_many_statements_for_many_lines_as_for_few(engine: Engine) -> None:
    open_books(engine, prefunded_fen=1_000_000)
    with writing(engine) as conn:
        approved(conn, "B-1", [line("A-1", 1, 1), line("A-2", 2, 1)])
        approved(conn, "B-2", [line(f"B-{n}", 1 + n % 5, 1) for n in range(200)])
        few = statements(conn, lambda: pay(conn, "B-1"))
        assert statements(conn, lambda: pay(conn, "B-2")) <= few


def statements(conn: Connection, work: Callable[[], object]) -> int:
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(conn, "before_cursor_execute", note)
    work()
    event.remove(conn, "before_cursor_execute", note)
    return len(seen)

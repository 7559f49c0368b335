"""The cash desk against a real insurer's process: each way it can behave, and what the books say after."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from city.insurer import Mode
from clearing.sectors.healthcare.bill_book import (
    bill_of,
    claim_of,
    contradicted_bills,
    enter,
    load_facts,
    open_bills,
    year_so_far,
)
from clearing.sectors.healthcare.bills import Agreed, Bill, BillRecord, BillRefusal, BillRefused
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.healthcare.claims import State
from clearing.sectors.healthcare.insurer import ClaimAnswer, Standing
from clearing.sectors.healthcare.insurer_http import HttpInsurer
from clearing.sectors.healthcare.policy import Split, YearSoFar
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.support.hospital_day import (
    CLINIC,
    EMPLOYEE,
    HOSPITAL,
    POLICIES,
    RESIDENT,
    UNINSURED,
    at,
    bill,
    drain,
    moved_fen,
    open_city,
)
from tests.support.insurer_peer import InsurerPeer, insurer_peer

PAID_FEN = {
    "fund:MED-POOL": 19_000, f"medical:{EMPLOYEE}": -51_000, f"wallet:{EMPLOYEE}": -6_000,
    f"clearing:{HOSPITAL}": 76_000,
}  # fmt: skip


@pytest.fixture(scope="module")
def insurer_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsurerPeer]:
    with insurer_peer(tmp_path_factory.mktemp("insurer")) as running:
        yield running


@pytest.fixture
def insurer(insurer_process: InsurerPeer) -> InsurerPeer:
    insurer_process.behave(Mode.ANSWERS)
    return insurer_process


@pytest.fixture
def desk(engine: Engine, insurer: InsurerPeer) -> Cashier:
    open_city(engine)
    return Cashier(engine, insurer.client, POLICIES)


numbers = iter(range(1, 10_000))


def new_bill(*amounts_fen: int, holder: str = EMPLOYEE, hospital: str = HOSPITAL) -> Bill:
    """A bill that the insurer, which all tests share, has not seen."""
    return bill(f"B{next(numbers)}", *amounts_fen, holder=holder, hospital=hospital)


def hurried(desk: Cashier, insurer: InsurerPeer) -> Cashier:
    """The desk with a client that does not wait long, for an insurer that will not answer."""
    return replace(desk, insurer=insurer.hurried)


def settled(desk: Cashier, given: Bill) -> BillRecord:
    """Preview, agree, settle."""
    split = desk.preview(given, at=at(9))
    assert isinstance(split, Split), split
    found = desk.settle(given, Agreed.of(split), at=at(9))
    assert isinstance(found, BillRecord), found
    return found


def cancelled(desk: Cashier, reference: str) -> BillRecord:
    found = desk.cancel(reference, why="wrong patient", at=at(11))
    assert isinstance(found, BillRecord), found
    return found


def asked(desk: Cashier, reference: str) -> BillRecord:
    found = desk.ask_again(reference, at=at(10))
    assert isinstance(found, BillRecord), found
    return found


def holds(desk: Cashier) -> None:
    with reading(desk.engine) as conn:
        assert check_books(conn) == []
        assert contradicted_bills(conn) == []


def used(desk: Cashier) -> YearSoFar:
    with reading(desk.engine) as conn:
        return year_so_far(conn, EMPLOYEE, 2018)


def test_a_preview_books_nothing_and_asks_nobody(desk: Cashier, insurer: InsurerPeer) -> None:
    given = new_bill()
    assert isinstance(desk.preview(given, at=at(9)), Split)
    assert (moved_fen(desk.engine), insurer.arrivals(given.reference)) == ({}, {})


def test_a_settled_bill_is_paid_by_all_three_and_again_changes_nothing(
    desk: Cashier, insurer: InsurerPeer
) -> None:
    given = new_bill()
    paid = settled(desk, given)
    assert (paid.state, paid.insurer_no[:2]) == (State.PAID, "YB")
    assert moved_fen(desk.engine) == PAID_FEN
    again = desk.settle(given, Agreed.of(paid), at=at(10))
    assert again == paid
    assert insurer.arrivals(given.reference) == {"claim": 1}
    holds(desk)


def test_a_cancelled_bill_restores_every_pocket_and_the_year(desk: Cashier, insurer: InsurerPeer) -> None:
    given = new_bill()
    settled(desk, given)
    assert used(desk) == YearSoFar(30_000, 19_000)
    found = cancelled(desk, given.reference)
    assert (found.state, found.why) == (State.CANCELLED, "wrong patient")
    assert (moved_fen(desk.engine), used(desk)) == ({}, YearSoFar())
    assert cancelled(desk, given.reference) == found
    assert insurer.arrivals(given.reference) == {"claim": 1, "cancel": 1}
    holds(desk)


def test_the_next_bill_goes_on_where_the_last_one_left_the_year(desk: Cashier) -> None:
    settled(desk, new_bill(40_000))
    second = settled(desk, new_bill(10_000, hospital=CLINIC))
    assert (second.deductible_fen, second.fund_fen) == (0, 6_000)
    assert used(desk) == YearSoFar(30_000, 11_000)


def test_a_refusal_of_the_insurer_moves_nothing(desk: Cashier, insurer: InsurerPeer) -> None:
    insurer.behave(Mode.REFUSES)
    given = new_bill()
    found = settled(desk, given)
    assert (found.state, found.why) == (State.REFUSED, "the insured's cover is suspended")
    assert (moved_fen(desk.engine), used(desk)) == ({}, YearSoFar())
    refused = desk.cancel(given.reference, why="", at=at(11))
    assert isinstance(refused, BillRefused) and refused.reason is BillRefusal.NOTHING_TO_CANCEL
    holds(desk)


@pytest.mark.parametrize("mode", [Mode.ANSWERS_LATE, Mode.GARBLES])
def test_an_answer_that_got_lost_is_asked_for_and_the_claim_never_sent_again(
    desk: Cashier, insurer: InsurerPeer, mode: Mode
) -> None:
    insurer.behave(mode)
    given = new_bill()
    unknown = settled(hurried(desk, insurer), given)
    assert (unknown.state, moved_fen(desk.engine)) == (State.UNKNOWN, {})
    assert asked(hurried(desk, insurer), given.reference).state is State.UNKNOWN
    insurer.behave(Mode.ANSWERS)
    assert asked(desk, given.reference).state is State.PAID
    assert moved_fen(desk.engine) == PAID_FEN
    assert insurer.arrivals(given.reference) == {"claim": 1, "query": 2}
    holds(desk)


def test_what_stays_unknown_stays_listed_until_it_is_cancelled(desk: Cashier, insurer: InsurerPeer) -> None:
    insurer.behave(Mode.TIMES_OUT)
    given = new_bill()
    assert settled(hurried(desk, insurer), given).state is State.UNKNOWN
    insurer.behave(Mode.ANSWERS)
    assert [one.state for one in desk.ask_all(at=at(10))] == [State.UNKNOWN]
    assert used(desk) == YearSoFar(30_000, 19_000)
    assert cancelled(desk, given.reference).state is State.CANCELLED
    assert desk.ask_all(at=at(12)) == []
    assert (moved_fen(desk.engine), used(desk)) == ({}, YearSoFar())
    assert insurer.arrivals(given.reference) == {"claim": 1, "query": 1, "cancel": 1}
    # The claim arrives after all: the insurer remembers that it was taken back.
    with reading(desk.engine) as conn:
        found = bill_of(conn, given.reference)
        assert found is not None
        late = claim_of(conn, found)
    answer = insurer.client.claim(late)
    assert isinstance(answer, ClaimAnswer) and answer.standing is Standing.CANCELLED


def test_a_claim_that_the_network_delivers_twice_is_one_claim(desk: Cashier, insurer: InsurerPeer) -> None:
    owed_before_fen = insurer.owed_fen()
    insurer.behave(Mode.DUPLICATES)
    given = new_bill()
    assert settled(desk, given).state is State.PAID
    assert insurer.owed_fen() - owed_before_fen == moved_fen(desk.engine)["fund:MED-POOL"] == 19_000
    assert cancelled(desk, given.reference).state is State.CANCELLED
    assert insurer.owed_fen() == owed_before_fen
    assert moved_fen(desk.engine) == {}


def test_another_amount_than_agreed_is_taken_back(desk: Cashier, insurer: InsurerPeer) -> None:
    owed_before_fen = insurer.owed_fen()
    insurer.behave(Mode.PAYS_LESS)
    found = settled(desk, new_bill())
    assert (found.state, found.why) == (State.CANCELLED, "the insurer would pay 18999 fen, not 19000")
    assert (moved_fen(desk.engine), insurer.owed_fen()) == ({}, owed_before_fen)


def test_an_insurer_that_cannot_be_reached_ends_the_bill_at_once(engine: Engine) -> None:
    open_city(engine)
    with HttpInsurer("http://127.0.0.1:1", timeout_s=0.5) as nobody:
        desk = Cashier(engine, nobody, POLICIES)
        found = settled(desk, new_bill())
    assert found.state is State.CANCELLED and "cannot be reached" in found.why
    assert (moved_fen(engine), used(desk)) == ({}, YearSoFar())


def test_a_question_that_cannot_be_sent_says_nothing_about_the_claim(
    desk: Cashier, insurer: InsurerPeer
) -> None:
    insurer.behave(Mode.GARBLES, "claim")
    given = new_bill()
    assert settled(desk, given).state is State.UNKNOWN
    with HttpInsurer("http://127.0.0.1:1", timeout_s=0.5) as nobody:
        offline = replace(desk, insurer=nobody)
        assert asked(offline, given.reference).state is State.UNKNOWN
        assert asked(desk, given.reference).state is State.PAID
        assert cancelled(offline, given.reference).state is State.CANCELLING
    assert moved_fen(desk.engine) == PAID_FEN
    assert asked(desk, given.reference).state is State.CANCELLED
    assert moved_fen(desk.engine) == {}


@pytest.mark.parametrize("mode", [Mode.TIMES_OUT, Mode.ANSWERS_LATE, Mode.GARBLES])
def test_a_cancellation_without_answer_goes_on_until_it_has_one_and_reverses_once(
    desk: Cashier, insurer: InsurerPeer, mode: Mode
) -> None:
    given = new_bill()
    settled(desk, given)
    insurer.behave(mode)
    assert cancelled(hurried(desk, insurer), given.reference).state is State.CANCELLING
    assert moved_fen(desk.engine) == PAID_FEN, "the insurer's side first"
    insurer.behave(Mode.ANSWERS)
    assert desk.ask_all(at=at(12)) == []
    assert (moved_fen(desk.engine), asked(desk, given.reference).state) == ({}, State.CANCELLED)
    # Asked first what became of it: a cancellation that was heard is not sent again.
    cancels = 2 if mode is Mode.TIMES_OUT else 1
    assert insurer.arrivals(given.reference) == {"claim": 1, "query": 1, "cancel": cancels}
    holds(desk)


def test_a_process_that_died_before_asking_leaves_a_bill_to_ask_about(
    desk: Cashier, insurer: InsurerPeer
) -> None:
    given = new_bill()

    split = desk.preview(given, at=at(9))
    assert isinstance(split, Split)
    with writing(desk.engine) as conn:  # as far as it had come
        enter(conn, given, split, load_facts(conn, given, POLICIES, today=given.treated_on), at=at(9))
    with reading(desk.engine) as conn:
        assert [one.state for one in open_bills(conn)] == [State.CLAIMING]
    again = desk.settle(given, Agreed.of(split), at=at(10))
    assert isinstance(again, BillRecord) and again.state is State.UNKNOWN
    assert insurer.arrivals(given.reference) == {"query": 1}
    assert cancelled(desk, given.reference).state is State.CANCELLED


def test_bills_in_hand_are_set_aside_from_pockets_and_year(desk: Cashier, insurer: InsurerPeer) -> None:
    insurer.behave(Mode.TIMES_OUT)
    assert settled(hurried(desk, insurer), new_bill()).state is State.UNKNOWN
    second = desk.preview(new_bill(20_000), at=at(9))
    assert isinstance(second, Split)
    # Of the account 60,000 - 51,000 are left, and the deductible is used up.
    assert (second.deductible_fen, second.fund_fen, second.account_fen) == (0, 10_000, 9_000)
    third = new_bill(80_000)
    split = desk.preview(third, at=at(9))
    assert isinstance(split, Split) and split.patient_fen == 31_000
    refused = desk.settle(third, Agreed.of(split), at=at(9))
    assert isinstance(refused, BillRefused) and refused.reason is BillRefusal.INSUFFICIENT
    assert "lacks 17000 fen" in refused.message


def test_a_split_that_has_changed_is_not_settled(desk: Cashier, insurer: InsurerPeer) -> None:
    given = new_bill()
    split = desk.preview(given, at=at(9))
    assert isinstance(split, Split)
    with writing(desk.engine) as conn:
        drain(conn, f"medical:{EMPLOYEE}", 9_001)
    refused = desk.settle(given, Agreed.of(split), at=at(9))
    assert isinstance(refused, BillRefused) and refused.reason is BillRefusal.SPLIT_CHANGED
    assert insurer.arrivals(given.reference) == {}


def test_a_number_belongs_to_one_bill_and_one_split(desk: Cashier) -> None:
    given = new_bill()
    paid = settled(desk, given)
    agreed = Agreed.of(paid)
    others = [
        desk.settle(replace(given, items=given.items[::-1]), agreed, at=at(10)),
        desk.settle(given, replace(agreed, patient_fen=0), at=at(10)),
        desk.preview(given, at=at(10)),
    ]
    reasons = [one.reason for one in others if isinstance(one, BillRefused)]
    assert reasons == [BillRefusal.BILL_TAKEN] * 3
    assert moved_fen(desk.engine) == PAID_FEN


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (bill("X", hospital="HOSP-9"), BillRefusal.HOSPITAL_UNKNOWN),
        (bill("X", hospital="no\0hospital"), BillRefusal.HOSPITAL_UNKNOWN),
        (bill("X", holder="H9999999999"), BillRefusal.HOLDER_UNKNOWN),
        (bill("X", holder="\0"), BillRefusal.HOLDER_UNKNOWN),
        (bill("X", holder=UNINSURED), BillRefusal.NOT_INSURED),
        (bill("X", day=at(9).date().replace(day=2)), BillRefusal.TREATMENT_AHEAD),
        (bill("X", day=at(9).date().replace(year=2017)), BillRefusal.NO_POLICY),
    ],
)
def test_what_the_books_do_not_know_is_refused_before_the_insurer_is_asked(
    desk: Cashier, given: Bill, reason: BillRefusal
) -> None:
    for answer in (desk.preview(given, at=at(9)), desk.settle(given, Agreed(0, 0, 0), at=at(9))):
        assert isinstance(answer, BillRefused) and answer.reason is reason
    with reading(desk.engine) as conn:
        assert open_bills(conn) == []


def test_a_bill_nobody_presented_is_unknown(desk: Cashier) -> None:
    for answer in (desk.ask_again("hospital:X:1", at=at(9)), desk.cancel("hospital:X:1", why="", at=at(9))):
        assert isinstance(answer, BillRefused) and answer.reason is BillRefusal.BILL_UNKNOWN


def test_a_resident_pays_from_the_wallet_what_the_fund_does_not(desk: Cashier) -> None:
    paid = settled(desk, new_bill(30_000, holder=RESIDENT))
    assert (paid.fund_fen, paid.account_fen, paid.patient_fen) == (6_000, 0, 24_000)
    assert moved_fen(desk.engine)[f"wallet:{RESIDENT}"] == -24_000

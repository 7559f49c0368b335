"""Whatever the insurer says, in whatever order: the books agree with a slow reference, pocket by pocket."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from clearing.online.payment import payment_of
from clearing.sectors.healthcare.bill_book import (
    bill_of,
    contradicted_bills,
    enter,
    load_facts,
    move,
    open_bills,
    year_so_far,
)
from clearing.sectors.healthcare.bills import Bill, decide
from clearing.sectors.healthcare.claims import COUNTED, OPEN, TABLE, Event, State, advance
from clearing.sectors.healthcare.hearing import Asked, hear
from clearing.sectors.healthcare.insurer import ClaimAnswer, Heard, NoAnswer, Standing
from clearing.sectors.healthcare.policy import Split, YearSoFar
from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import writing
from tests.support.hospital_day import (
    DAY,
    EMPLOYEE,
    HOSPITAL,
    POCKETS_FEN,
    POLICIES,
    at,
    bill,
    drain,
    open_city,
)

BILLS = (bill("B1"), bill("B2", 30_001), bill("B3", 700))


@pytest.fixture
def books(engine: Engine) -> Engine:
    open_city(engine)
    return engine


def entered(conn: Connection, given_bill: Bill) -> Split:
    facts = load_facts(conn, given_bill, POLICIES, today=DAY)
    split = decide(given_bill, facts)
    assert isinstance(split, Split)
    enter(conn, given_bill, split, facts, at=at(9))
    return split


def approved(given_bill: Bill, fund_fen: int) -> ClaimAnswer:
    return ClaimAnswer(given_bill.reference, Standing.APPROVED, fund_fen, "YB1", "")


def test_an_approval_pays_the_hospital_out_of_the_pockets_agreed_to(books: Engine) -> None:
    with writing(books) as conn:
        split = entered(conn, BILLS[0])
        heard = approved(BILLS[0], split.fund_fen)
        paid = hear(conn, BILLS[0].reference, Asked.CLAIM, heard, at=at(9))
        assert (paid.state, paid.insurer_no, paid.paid_at) == (State.PAID, "YB1", at(9))
        assert balance(conn, "fund:MED-POOL").balance_fen == 19_000
        assert balance(conn, f"clearing:{HOSPITAL}").balance_fen == 76_000
        assert balance(conn, f"medical:{EMPLOYEE}").balance_fen == 60_000 - 51_000
        assert balance(conn, f"wallet:{EMPLOYEE}").balance_fen == 20_000 - 6_000


def test_pockets_that_have_run_dry_meanwhile_take_the_bill_back(books: Engine) -> None:
    with writing(books) as conn:
        split = entered(conn, BILLS[0])
        drain(conn, f"wallet:{EMPLOYEE}", 14_001)
        found = hear(conn, BILLS[0].reference, Asked.CLAIM, approved(BILLS[0], split.fund_fen), at=at(9))
        assert (
            found.state is State.CANCELLING and found.why == "the holder's pockets no longer cover the rest"
        )
        assert payment_of(conn, BILLS[0].reference) is None
        assert balance(conn, f"clearing:{HOSPITAL}").balance_fen == 0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to one of the bills."""

    number: int
    what: str


HEARD = ("approved", "less", "refused", "cancelled", "not_found", "silent", "unsent")
steps = st.lists(
    st.builds(Step, st.integers(0, 2), st.sampled_from(("enter", "cancel", *HEARD))), min_size=1, max_size=14
)


def heard_as(what: str, given_bill: Bill, fund_fen: int) -> tuple[Heard, Event]:
    reference = given_bill.reference
    if what in ("silent", "unsent"):
        event = Event.NO_ANSWER if what == "silent" else Event.NOT_SENT
        return NoAnswer(reference, what, sent=what == "silent"), event
    if what == "less":
        return ClaimAnswer(reference, Standing.APPROVED, fund_fen + 1, "YB1", ""), Event.CONTRADICTED
    standing = Standing(what)
    event = {
        Standing.APPROVED: Event.APPROVED, Standing.REFUSED: Event.REFUSED,
        Standing.CANCELLED: Event.WITHDRAWN, Standing.NOT_FOUND: Event.NO_ANSWER,
    }[standing]  # fmt: skip
    return ClaimAnswer(reference, standing, fund_fen if event is Event.APPROVED else 0, "YB1", ""), event


def test_the_books_agree_with_a_slow_reference_whatever_is_heard(books: Engine) -> None:
    with writing(books) as conn:

        @settings(max_examples=40)
        @given(happened=steps)
        def run(happened: list[Step]) -> None:
            savepoint = conn.begin_nested()
            _check(conn, happened)
            savepoint.rollback()

        run()


def _check(conn: Connection, happened: list[Step]) -> None:
    states: dict[str, State] = {}
    splits: dict[str, Split] = {}
    wrong: set[str] = set()
    for step in happened:
        given_bill = BILLS[step.number]
        reference = given_bill.reference
        if step.what == "enter" and reference not in states:
            splits[reference], states[reference] = entered(conn, given_bill), State.CLAIMING
        elif step.what == "cancel" and reference in states:
            after = advance(states[reference], Event.CANCEL_ASKED)
            found = bill_of(conn, reference)
            if after is not None and found is not None:
                move(conn, found, after, at=at(10), why="by mistake")
                states[reference] = after
        elif step.what in HEARD and reference in states:
            heard, event = heard_as(step.what, given_bill, splits[reference].fund_fen)
            after = TABLE[states[reference]].get(event)
            hear(conn, reference, Asked.CLAIM, heard, at=at(11))
            states[reference] = after or states[reference]
            wrong |= {reference} if after is None else set()
    _compare(conn, states, splits, wrong)


def _compare(conn: Connection, states: dict[str, State], splits: dict[str, Split], wrong: set[str]) -> None:
    assert {reference: bill.state for reference in states if (bill := bill_of(conn, reference))} == states
    expected = Counter(POCKETS_FEN)
    for reference, state in states.items():
        bill_now = bill_of(conn, reference)
        assert bill_now is not None
        if bill_now.paid_at is not None and state is not State.CANCELLED:
            split = splits[reference]
            expected["fund:MED-POOL"] += split.fund_fen
            expected[f"medical:{EMPLOYEE}"] -= split.account_fen
            expected[f"wallet:{EMPLOYEE}"] -= split.patient_fen
            expected[f"clearing:{HOSPITAL}"] += split.total_fen
    assert {code: balance(conn, code).balance_fen for code in expected} == dict(expected)
    counted = [splits[reference] for reference, state in states.items() if state in COUNTED]
    used = YearSoFar(sum(one.deductible_fen for one in counted), sum(one.fund_fen for one in counted))
    assert year_so_far(conn, EMPLOYEE, 2018) == used
    assert used.deductible_fen <= 30_000
    assert {one.reference for one in open_bills(conn)} == {r for r, state in states.items() if state in OPEN}
    assert {one.reference for one in contradicted_bills(conn)} == wrong
    assert check_books(conn) == []

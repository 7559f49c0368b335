"""A day's claims against our bills: each way that a line can differ, and how long a silent insurer is asked."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.peers import SILENT_IN_A_ROW
from clearing.sectors.healthcare.asking import ask_each
from clearing.sectors.healthcare.bills import BillRecord
from clearing.sectors.healthcare.claims import State
from clearing.sectors.healthcare.insurer import ClaimAnswer, Heard, InsurerDay, NoAnswer, PaidClaim, Standing
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.reconciliation import DifferenceKind, compare
from clearing.sectors.peer_day import Totals

DAY = date(2018, 9, 1)
AT = datetime(2018, 9, 1, 2, tzinfo=UTC)
BILL = BillRecord(
    "hospital:HOSP-1:B1", "HOSP-1", "B1", "H0000000001", DAY, 3, Category.EMPLOYEE, "MED-POOL", 1, 76_000, 19_000,
    51_000, 6_000, 30_000, 19_000, 2_000, 0, 6_000, State.PAID, "", "YB1", AT, AT, AT, DAY,
)  # fmt: skip
CLAIM = PaidClaim(BILL.reference, 19_000, "YB1")
WAITING = (State.CLAIMING, State.UNKNOWN, State.CANCELLING)
ENDED = (State.REFUSED, State.CANCELLED)


@pytest.mark.parametrize(
    ("bill", "claim", "kind", "ours_fen", "theirs_fen"),
    [
        (BILL, CLAIM, None, None, None),
        (BILL, None, DifferenceKind.OURS_ONLY, 19_000, None),
        (BILL, replace(CLAIM, fund_fen=18_999), DifferenceKind.OTHER_AMOUNT, 19_000, 18_999),
        (None, CLAIM, DifferenceKind.THEIRS_ONLY, None, 19_000),
        *((replace(BILL, state=state), CLAIM, DifferenceKind.WAITING, None, 19_000) for state in WAITING),
        *((replace(BILL, state=state), CLAIM, DifferenceKind.THEIRS_ONLY, None, 19_000) for state in ENDED),
        *((replace(BILL, state=state), None, None, None, None) for state in (*WAITING, *ENDED)),
    ],
)
def test_a_line_differs_in_the_first_way_that_applies(
    bill: BillRecord | None, claim: PaidClaim | None, kind: DifferenceKind | None, ours_fen: int | None,
    theirs_fen: int | None,
) -> None:  # fmt: skip
    claims = () if claim is None else (claim,)
    found = compare([] if bill is None else [bill], InsurerDay(DAY, claims), {})
    listed = [(one.kind, one.ours_fen, one.theirs_fen) for one in found.differences]
    assert listed == ([] if kind is None else [(kind, ours_fen, theirs_fen)])
    assert found.agrees == (kind is None)
    assert all("; " in one.message for one in found.differences)


def test_a_claim_of_a_bill_of_another_day_says_so() -> None:
    elsewhere = replace(BILL, claimed_on=DAY - timedelta(days=1))
    (line,) = compare([], InsurerDay(DAY, (CLAIM,)), {BILL.reference: elsewhere}).differences
    assert (line.kind, "with us of 2018-08-31" in line.message) == (DifferenceKind.THEIRS_ONLY, True)


@given(
    ours=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 500), st.sampled_from(State)), max_size=8),
    theirs=st.dictionaries(st.integers(0, 9), st.integers(0, 500), max_size=8),
)
def test_totals_agree_wherever_no_line_differs(
    ours: list[tuple[int, int, State]], theirs: dict[int, int]
) -> None:
    bills = [
        replace(BILL, reference=f"B{number}", fund_fen=fund_fen, state=state)
        for number, (_, fund_fen, state) in {one[0]: one for one in ours}.items()
    ]
    claims = tuple(PaidClaim(f"B{number}", fund_fen, "YB") for number, fund_fen in theirs.items())
    found = compare(bills, InsurerDay(DAY, claims), {})
    paid = {bill.reference: bill.fund_fen for bill in bills if bill.state is State.PAID}
    assert found.ours == Totals(len(paid), sum(paid.values()))
    assert (found.differences == ()) == (paid == {claim.reference: claim.fund_fen for claim in claims})
    assert found.agrees == (found.differences == ())


@given(st.lists(st.booleans(), max_size=12))
def test_a_silent_insurer_is_left_alone_until_the_next_round(answers: list[bool]) -> None:
    bills = [replace(BILL, reference=f"B{number}") for number in range(len(answers))]

    def ask(reference: str) -> Heard:
        if answers[int(reference[1:])]:
            return ClaimAnswer(reference, Standing.APPROVED, 19_000, "YB1", "")
        return NoAnswer(reference, "silent")

    found = ask_each(ask, bills)
    heard = [not isinstance(answer, NoAnswer) for _, answer in found.heard]
    assert heard == answers[: len(heard)]
    assert len(heard) + found.untried == len(answers)
    silence = [False] * SILENT_IN_A_ROW
    assert all(
        heard[start : start + SILENT_IN_A_ROW] != silence for start in range(len(heard) - SILENT_IN_A_ROW)
    )
    assert found.untried == 0 or heard[-SILENT_IN_A_ROW:] == silence
    assert found.silent == heard.count(False)

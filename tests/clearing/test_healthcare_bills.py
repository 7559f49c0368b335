"""What makes a bill acceptable: every reason, in the order of precedence."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from clearing.sectors.healthcare.bills import (
    Agreed,
    Bill,
    BillFacts,
    BillRefusal,
    BillRefused,
    agree,
    decide,
    flaw,
)
from clearing.sectors.healthcare.policy import CatalogueClass, Category, Item, Split, YearSoFar
from ledger.entry import MAX_AMOUNT_FEN
from tests.support.hospital_day import DAY, POLICIES, bill

BILL = bill()
FACTS = BillFacts(3, Category.EMPLOYEE, POLICIES[0], YearSoFar(), 60_000, 20_000, False, DAY)
AGREED = Agreed(19_000, 51_000, 6_000)
GOOD = Item("D-001", CatalogueClass.A, 1)


def reason_of(given: Bill, facts: BillFacts, agreed: Agreed = AGREED) -> BillRefusal | None:
    """What is answered to a bill that is to be settled."""
    answer: Split | BillRefused | None = flaw(given)
    if answer is None:
        answer = decide(given, facts)
    if isinstance(answer, Split):
        answer = agree(given, answer, agreed, facts.wallet_fen or 0)
    if answer is None:
        return None
    assert isinstance(answer, BillRefused)
    assert (answer.reference, answer.message != "") == (given.reference, True)
    return answer.reason


def test_a_good_bill_is_split_and_agreed() -> None:
    assert reason_of(BILL, FACTS) is None


def test_the_first_reason_that_applies_is_given() -> None:
    """Everything is wrong at first; put right from the top, one thing after another, each reason shows."""
    given = replace(BILL, bill_no="", items=(), treated_on=DAY + timedelta(days=1))
    facts = replace(
        FACTS, level=None, account_fen=None, locked=True, category=None, policy=None, wallet_fen=0
    )
    agreed = Agreed(0, 0, 0)
    seen = [reason_of(given, facts, agreed)]
    bill_repairs: list[dict[str, Any]] = [
        {"bill_no": "B1"}, {"items": (replace(GOOD, amount_fen=0),)}, {"items": BILL.items},
    ]  # fmt: skip
    for repair in bill_repairs:
        given = replace(given, **repair)
        seen.append(reason_of(given, facts, agreed))
    fact_repairs: list[dict[str, Any]] = [
        {"level": 3}, {"today": given.treated_on}, {"account_fen": 60_000}, {"locked": False},
        {"category": Category.EMPLOYEE}, {"policy": POLICIES[0]},
    ]  # fmt: skip
    for repair in fact_repairs:
        facts = replace(facts, **repair)
        seen.append(reason_of(given, facts, agreed))
    seen.append(reason_of(given, facts, AGREED))
    seen.append(reason_of(given, replace(facts, wallet_fen=6_000), AGREED))
    in_the_book = {BillRefusal.BILL_TAKEN, BillRefusal.BILL_UNKNOWN, BillRefusal.NOTHING_TO_CANCEL}
    assert seen == [reason for reason in BillRefusal if reason not in in_the_book] + [None]


@pytest.mark.parametrize("bill_no", ["", "-1", "a" * 41, "a b", "a:b", "1\n", "单1"])
def test_a_bill_number_is_letters_digits_and_hyphens(bill_no: str) -> None:
    assert reason_of(replace(BILL, bill_no=bill_no), FACTS) is BillRefusal.BILL_NO_MALFORMED


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, code=""),
        replace(GOOD, code="a" * 33),
        replace(GOOD, code="a b"),
        replace(GOOD, amount_fen=0),
        replace(GOOD, amount_fen=-1),
        replace(GOOD, amount_fen=MAX_AMOUNT_FEN + 1),
        replace(GOOD, first_share_bp=1),
        replace(GOOD, catalogue_class=CatalogueClass.C, first_share_bp=1),
        replace(GOOD, catalogue_class=CatalogueClass.B, first_share_bp=10_001),
        replace(GOOD, catalogue_class=CatalogueClass.B, first_share_bp=-1),
    ],
)
def test_an_impossible_item_is_refused_by_its_number(wrong: Item) -> None:
    refused = flaw(replace(BILL, items=(GOOD, wrong)))
    assert refused is not None and refused.reason is BillRefusal.ITEM_MALFORMED
    assert refused.message.startswith("item 2: ")


def test_items_that_come_to_more_than_any_payment_are_refused() -> None:
    most = replace(GOOD, amount_fen=MAX_AMOUNT_FEN)
    assert reason_of(replace(BILL, items=(most, GOOD)), FACTS) is BillRefusal.ITEM_MALFORMED


def test_what_the_hospital_presents_makes_a_bill_the_same() -> None:
    others = [
        replace(BILL, holder="H0000000002"),
        replace(BILL, treated_on=date(2018, 8, 31)),
        replace(BILL, items=BILL.items[:-1]),
        replace(BILL, items=BILL.items[::-1]),
        replace(BILL, items=(*BILL.items[:-1], replace(BILL.items[-1], amount_fen=6_001))),
    ]
    assert len({one.digest for one in [BILL, *others]}) == len(others) + 1
    assert replace(BILL).digest == BILL.digest

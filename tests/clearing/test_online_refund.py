"""Refunds: never more than was paid, to the pockets that paid, the last leg first."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from clearing.online.payment import Leg, pay, payment_of
from clearing.online.refund import (
    Refund,
    Refunded,
    RefundRefusal,
    RefundRefused,
    refund,
    refunds_of,
    shares,
)
from clearing.online.reversal import Reversal, reverse
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, at
from tests.support.online_books import ANNA, BILL, FUND, ORDER, furnish, moved_fen

BACK = Refund("back-1", BILL.reference, 1_500, DAY, at(11))


@pytest.fixture
def books(engine: Engine) -> Engine:
    furnish(engine)
    with writing(engine) as conn:
        pay(conn, [BILL, ORDER], at=at(10))
        reverse(conn, [Reversal("undo", ORDER.reference, DAY, at(10))], at=at(10))
    return engine


def given_back(engine: Engine, *refunds: Refund) -> list[Refunded | RefundRefused]:
    with writing(engine) as conn:
        return refund(conn, refunds, at=at(11))


def test_a_refund_fills_the_last_leg_first(books: Engine) -> None:
    assert given_back(books, BACK, BACK) == [
        Refunded("back-1", BILL.reference, 1_500, first_time=True),
        Refunded("back-1", BILL.reference, 1_500, first_time=False),
    ]
    assert moved_fen(books) == {"clearing:CLINIC-1": 8_500, FUND: 6_000, f"medical:{ANNA}": -2_500}
    with reading(books) as conn:
        record = payment_of(conn, BILL.reference)
        assert check_books(conn) == []
    assert record is not None
    assert [leg.amount_fen for leg in record.refunded_legs] == [0, 500, 1_000]
    assert (record.refunded_fen, record.standing_fen) == (1_500, 8_500)


def test_refunds_of_everything_restore_every_pocket(books: Engine) -> None:
    parts = [replace(BACK, reference=f"b{n}", amount_fen=fen) for n, fen in enumerate((1, 4_000, 5_000, 999))]
    assert all(isinstance(answer, Refunded) for answer in given_back(books, *parts))
    assert moved_fen(books) == {}
    with reading(books) as conn:
        assert [one.amount_fen for one in refunds_of(conn, BILL.reference)] == [1, 4_000, 5_000, 999]
        assert check_books(conn) == []


def test_a_merchant_may_owe_what_it_gives_back_after_it_was_paid(books: Engine) -> None:
    """The night has taken its takings away: a refund then stands against it until it earns again."""
    given_back(books, replace(BACK, amount_fen=10_000))
    assert moved_fen(books) == {}


REFUSED = [
    (replace(BACK, reference="x" * 129), RefundRefusal.MALFORMED, 0),
    (replace(BACK, original="\ud800"), RefundRefusal.MALFORMED, 0),
    (replace(BACK, amount_fen=0), RefundRefusal.AMOUNT_NOT_POSITIVE, 0),
    (replace(BACK, amount_fen=-1, original="none"), RefundRefusal.AMOUNT_NOT_POSITIVE, 0),
    (replace(BACK, amount_fen=1_499), RefundRefusal.REFERENCE_TAKEN, 0),
    (replace(BACK, original="none"), RefundRefusal.REFERENCE_TAKEN, 0),
    (replace(BACK, reference="b2", original="none"), RefundRefusal.PAYMENT_UNKNOWN, 0),
    (replace(BACK, reference="b2", original=ORDER.reference), RefundRefusal.PAYMENT_REVERSED, 0),
    (replace(BACK, reference="b2", amount_fen=8_501), RefundRefusal.ABOVE_PAYMENT, 8_500),
    (replace(BACK, reference="b2", business_date=at(0).date()), RefundRefusal.LEDGER_REFUSES, 8_500),
]


def test_a_refund_is_refused_for_the_first_reason_that_applies(books: Engine) -> None:
    asked = [one for one, _, _ in REFUSED]
    _, *together = given_back(books, BACK, *asked)
    apart = [given_back(books, one)[0] for one in asked]
    for answers in (together, apart):
        found = [(one.reason, one.refundable_fen) for one in answers if isinstance(one, RefundRefused)]
        assert found == [(expected, refundable_fen) for _, expected, refundable_fen in REFUSED]
    assert moved_fen(books) == {"clearing:CLINIC-1": 8_500, FUND: 6_000, f"medical:{ANNA}": -2_500}


amounts = st.lists(st.integers(1, 50), min_size=1, max_size=5)


@given(legs_fen=amounts, data=st.data())
def test_pockets_depend_on_the_sum_of_refunds_and_not_on_how_it_was_cut_up(
    legs_fen: list[int], data: st.DataObject
) -> None:
    legs = [Leg(f"fund:F{n}", amount_fen) for n, amount_fen in enumerate(legs_fen)]
    none_yet = [replace(leg, amount_fen=0) for leg in legs]
    total_fen = data.draw(st.integers(1, sum(legs_fen)))
    cuts = sorted(data.draw(st.sets(st.integers(1, total_fen), max_size=4)) | {0, total_fen})
    back = none_yet
    for start, end in pairwise(cuts):
        parts = shares(legs, back, end - start)
        assert all(part >= 0 for part in parts)
        back = [replace(leg, amount_fen=leg.amount_fen + part) for leg, part in zip(back, parts, strict=True)]
        assert all(one.amount_fen <= leg.amount_fen for one, leg in zip(back, legs, strict=True))
    assert [leg.amount_fen for leg in back] == shares(legs, none_yet, total_fen)
    if total_fen == sum(legs_fen):
        assert back == legs


def test_more_than_is_left_cannot_be_shared() -> None:
    with pytest.raises(ValueError, match="2 fen above what is left"):
        shares([Leg(FUND, 5)], [Leg(FUND, 3)], 4)

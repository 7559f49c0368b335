"""The subsidy pocket is spent where the merchant's kind allows it, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from clearing.online.payment import Approved, Channel, Decline, Declined, Leg, PaymentOrder, pay
from clearing.sectors.socialsecurity.pockets import (
    allow_kind,
    allowed_kinds,
    forbid_kind,
    set_merchant_kinds,
    takers,
)
from clearing.sectors.socialsecurity.subsidy import legs_for
from ledger.accounts import Conflict
from ledger.checks import check_books
from ledger.db import writing
from tests.clearing.social_books import DAY, Books, at, give, open_books


@pytest.fixture
def books(engine: Engine) -> Books:
    opened = open_books(engine)
    with writing(engine) as conn:
        set_merchant_kinds(conn, {"CANTEEN-1": "canteen", "CINEMA-1": "cinema"}, at=at(1))
        allow_kind(conn, "canteen", at=at(1))
    give(opened, f"subsidy:{opened.holders[1]}", 1_000)
    give(opened, f"wallet:{opened.holders[1]}", 500)
    return opened


def order(
    books: Books, reference: str, merchant: str, *, subsidy_fen: int = 0, wallet_fen: int = 0
) -> PaymentOrder:
    holder = books.holders[1]
    legs = [Leg(f"subsidy:{holder}", subsidy_fen), Leg(f"wallet:{holder}", wallet_fen)]
    return PaymentOrder(
        reference, Channel.APP, "purchase", merchant, holder,
        tuple(leg for leg in legs if leg.amount_fen), DAY, at(9),
    )  # fmt: skip


def test_a_subsidy_is_spent_at_a_canteen_and_not_at_a_cinema(books: Books) -> None:
    orders = [
        order(books, "a", "CANTEEN-1", subsidy_fen=300),
        order(books, "b", "CINEMA-1", subsidy_fen=300),
        order(books, "c", "CINEMA-1", wallet_fen=300),
        order(books, "d", "CINEMA-1", subsidy_fen=1, wallet_fen=1),
    ]
    with writing(books.engine) as conn:
        answers = pay(conn, orders, at=at(9))
        assert check_books(conn) == []
    assert [type(answer) for answer in answers] == [Approved, Declined, Approved, Declined]
    assert [answer.reference for answer in answers] == ["a", "b", "c", "d"]
    assert (books.pocket_fen(1, "subsidy"), books.pocket_fen(1)) == (700, 200)


def test_a_merchant_without_a_kind_does_not_take_subsidies(books: Books) -> None:
    with writing(books.engine) as conn:
        assert takers(conn, ["CANTEEN-1", "CINEMA-1", "NOBODY"]) == {"CANTEEN-1"}
        (answer,) = pay(conn, [order(books, "a", "SSB", subsidy_fen=1)], at=at(9))
    assert isinstance(answer, Declined) and answer.reason is Decline.SUBSIDY_NOT_ACCEPTED
    assert (answer.account, answer.amount_fen) == (f"subsidy:{books.holders[1]}", 0)
    assert "SSB may not take subsidy:" in answer.message


def test_what_was_paid_before_a_kind_was_forbidden_is_answered_as_before(books: Books) -> None:
    one = order(books, "a", "CANTEEN-1", subsidy_fen=300)
    with writing(books.engine) as conn:
        pay(conn, [one], at=at(9))
        assert forbid_kind(conn, "canteen") and not forbid_kind(conn, "canteen")
        assert pay(conn, [one], at=at(10)) == [Approved("a", first_time=False)]
        (answer,) = pay(conn, [order(books, "b", "CANTEEN-1", subsidy_fen=1)], at=at(10))
    assert isinstance(answer, Declined) and answer.reason is Decline.SUBSIDY_NOT_ACCEPTED


@pytest.mark.parametrize("merchant", ["", "a\x00b", "x" * 99])
def test_an_impossible_order_is_declined_by_the_payment_itself(books: Books, merchant: str) -> None:
    with writing(books.engine) as conn:
        (answer,) = pay(conn, [order(books, "a", merchant, subsidy_fen=1)], at=at(9))
    assert isinstance(answer, Declined) and answer.reason is Decline.MERCHANT_UNKNOWN


def test_a_purchase_takes_the_subsidy_first_and_the_rest_from_the_wallet(books: Books) -> None:
    holder = books.holders[1]
    with writing(books.engine) as conn:

        @given(amount_fen=st.integers(1, 3_000), merchant=st.sampled_from(["CANTEEN-1", "CINEMA-1"]))
        def check(amount_fen: int, merchant: str) -> None:
            legs = {leg.account: leg.amount_fen for leg in legs_for(conn, holder, merchant, amount_fen)}
            expected_fen = min(1_000, amount_fen) if merchant == "CANTEEN-1" else 0
            assert legs.pop(f"subsidy:{holder}", 0) == expected_fen
            assert legs.pop(f"wallet:{holder}", 0) == amount_fen - expected_fen
            assert legs == {}

        check()


def test_kinds_of_merchants_are_said_once(books: Books) -> None:
    with writing(books.engine) as conn:
        assert set_merchant_kinds(conn, {"CANTEEN-1": "canteen", "SHOP-1": "farm_supplies"}, at=at(2)) == 1
        with pytest.raises(Conflict):
            set_merchant_kinds(conn, {"CANTEEN-1": "cinema"}, at=at(2))
        with pytest.raises(ValueError, match="merchant kind 'Bad!' is not one"):
            set_merchant_kinds(conn, {"SHOP-2": "Bad!"}, at=at(2))
        assert allow_kind(conn, "canteen", at=at(2)) is False
        assert allow_kind(conn, "farm_supplies", at=at(2)) is True
        assert allowed_kinds(conn) == {"canteen", "farm_supplies"}

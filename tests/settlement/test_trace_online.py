"""An online payment followed by its own reference, or by that of what went back."""

import pytest
from sqlalchemy import Engine

from clearing.online.payment import pay
from clearing.online.refund import Refund, refund
from clearing.online.reversal import Reversal, reverse
from ledger.db import reading, writing
from settlement.bank.story import Told
from settlement.trace_online import rides_on_code, trace_payment, trace_ride
from tests.support.clearing_day import DAY, at
from tests.support.online_books import ANNA, BILL, CLINIC, ORDER, SHOP, furnish


@pytest.fixture
def books(engine: Engine) -> Engine:
    """A payment of which a part went back twice, and one that was taken back whole."""
    furnish(engine)
    with writing(engine) as conn:
        pay(conn, [BILL, ORDER], at=at(10))
        for reference, amount_fen in (("back-1", 250), ("back-2", 1_000)):
            refund(conn, [Refund(reference, ORDER.reference, amount_fen, DAY, at(11))], at=at(11))
        reverse(conn, [Reversal("undo", BILL.reference, DAY, at(12), "no answer in time")], at=at(12))
    return engine


def traced(books: Engine, reference: str) -> list[tuple[str, str]]:
    with reading(books) as conn:
        told: list[Told] = trace_payment(conn, reference)
    assert all(ANNA not in one.what for one in told)
    return [(one.source, one.what) for one in told]


def test_a_payment_is_told_with_all_that_went_back_of_it(books: Engine) -> None:
    expected = [
        (f"payment {ORDER.reference}", f"purchase by http, 12.50 yuan to {SHOP} at 09:00:00"),
        (f"entry pay:{ORDER.reference}", f"12.50 yuan from wallet to clearing:{SHOP}"),
        ("refund back-1", f"2.50 yuan back from {SHOP}"),
        ("refund back-2", f"10.00 yuan back from {SHOP}"),
        ("netting", f"not netted yet: {SHOP} is paid by a later night"),
    ]
    for reference in (ORDER.reference, "back-1", "back-2"):
        assert traced(books, reference) == expected


def test_a_payment_out_of_several_pockets_has_a_line_of_each(books: Engine) -> None:
    shown = traced(books, BILL.reference)
    assert [what for source, what in shown if source.startswith("entry")] == [
        f"{yuan} yuan from {pocket} to clearing:{CLINIC}"
        for yuan, pocket in (("60.00", "fund"), ("30.00", "medical"), ("10.00", "wallet"))
    ]
    assert ("reversal undo", f"all 100.00 yuan back from {CLINIC}: no answer in time") in shown
    assert traced(books, "undo") == shown


def test_of_what_was_never_presented_nothing_is_told(books: Engine) -> None:
    assert traced(books, "nonsense") == []
    with reading(books) as conn:
        assert trace_ride(conn, "BUS-1", 1, 0) == []
        assert rides_on_code(conn, "00" * 8, "00" * 8) == []

"""Reversals: every pocket as it was, once, whichever of payment and reversal arrives first."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from clearing.online.payment import Approved, Decline, Declined, pay, payment_of
from clearing.online.refund import Refund, refund
from clearing.online.reversal import (
    Reversal,
    ReversalRefusal,
    ReversalRefused,
    Reversed,
    reversal_of,
    reverse,
)
from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, at
from tests.support.online_books import BILL, ORDER, furnish, moved_fen

UNDO = Reversal("undo-1", BILL.reference, DAY, at(11), "time-out")


@pytest.fixture
def books(engine: Engine) -> Engine:
    furnish(engine)
    return engine


def taken_back(engine: Engine, *reversals: Reversal) -> list[Reversed | ReversalRefused]:
    with writing(engine) as conn:
        return reverse(conn, reversals, at=at(11))


def paid(engine: Engine) -> list[Approved | Declined]:
    with writing(engine) as conn:
        return pay(conn, [BILL, ORDER], at=at(10))


def test_a_reversal_restores_every_pocket_once(books: Engine) -> None:
    paid(books)
    assert taken_back(books, UNDO, UNDO) == [
        Reversed("undo-1", BILL.reference, 10_000, first_time=True),
        Reversed("undo-1", BILL.reference, 10_000, first_time=False),
    ]
    assert moved_fen(books) == {"clearing:SHOP-1": 1_250, "wallet:H0000000017": -1_250}
    with reading(books) as conn:
        record, known = payment_of(conn, BILL.reference), reversal_of(conn, BILL.reference)
        assert check_books(conn) == []
    assert record is not None and known is not None
    assert (record.reversed_by, record.standing_fen, record.amount_fen) == ("undo-1", 0, 10_000)
    assert known.entry_id == record.entry_id + 2


def test_a_reversal_that_arrives_first_is_remembered_for_ever(books: Engine) -> None:
    (first,) = taken_back(books, UNDO)
    assert first == Reversed("undo-1", BILL.reference, 0, first_time=True)
    assert isinstance(first, Reversed) and first.remembered
    for _ in range(2):
        declined, approved = paid(books)
        assert isinstance(declined, Declined) and isinstance(approved, Approved)
        assert declined.reason is Decline.REVERSED_BEFORE
    (again,) = taken_back(books, UNDO)
    assert again == Reversed("undo-1", BILL.reference, 0, first_time=False)
    assert moved_fen(books) == {"clearing:SHOP-1": 1_250, "wallet:H0000000017": -1_250}


def test_the_night_between_payment_and_reversal_changes_nothing(books: Engine) -> None:
    paid(books)
    with writing(books) as conn:
        tomorrow = begin_close(conn, DAY, at=at(23))
        finish_close(conn, DAY, at=at(23))
    (closed, open_) = taken_back(books, UNDO, replace(UNDO, business_date=tomorrow))
    assert isinstance(closed, ReversalRefused)
    assert closed.reason is ReversalRefusal.LEDGER_REFUSES
    assert open_ == Reversed("undo-1", BILL.reference, 10_000, first_time=True)


CONTRADICTIONS = [
    (replace(UNDO, reference=""), ReversalRefusal.MALFORMED),
    (replace(UNDO, original="\0"), ReversalRefusal.MALFORMED),
    (replace(UNDO, why="\ud800"), ReversalRefusal.MALFORMED),
    (replace(UNDO, original=ORDER.reference), ReversalRefusal.REFERENCE_TAKEN),
    (replace(UNDO, why="other words"), ReversalRefusal.REFERENCE_TAKEN),
    (replace(UNDO, reference="undo-2"), ReversalRefusal.ALREADY_REVERSED),
]


@pytest.mark.parametrize("arrives_first", [False, True])
def test_what_contradicts_a_reversal_is_refused(books: Engine, *, arrives_first: bool) -> None:
    if not arrives_first:
        paid(books)
    before = {} if arrives_first else {"clearing:SHOP-1": 1_250, "wallet:H0000000017": -1_250}
    contradicting = [second for second, _ in CONTRADICTIONS]
    _, *together = taken_back(books, UNDO, *contradicting)
    apart = [taken_back(books, second)[0] for second in contradicting]
    for answers in (together, apart):
        found = [answer.reason for answer in answers if isinstance(answer, ReversalRefused)]
        assert found == [expected for _, expected in CONTRADICTIONS]
    assert moved_fen(books) == before


def test_a_payment_partly_refunded_is_refunded_to_the_end_and_not_reversed(books: Engine) -> None:
    paid(books)
    with writing(books) as conn:
        refund(conn, [Refund("back-1", BILL.reference, 1, DAY, at(10))], at=at(10))
    (answer,) = taken_back(books, UNDO)
    assert isinstance(answer, ReversalRefused)
    assert (answer.reason, answer.original) == (ReversalRefusal.REFUNDED_BEFORE, BILL.reference)
    assert "1 fen of payment http:CLINIC-1:1 were refunded; refund the rest" in answer.message
    with writing(books) as conn:
        refund(conn, [Refund("back-2", BILL.reference, 9_999, DAY, at(10))], at=at(10))
    assert moved_fen(books) == {"clearing:SHOP-1": 1_250, "wallet:H0000000017": -1_250}

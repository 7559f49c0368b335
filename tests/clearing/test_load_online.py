"""Loads: money taken is in the purse, or pending and listed; never lost, never booked twice."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from card.registry import CardRecord, register
from clearing.online.load import (
    LoadBooked,
    LoadOrder,
    LoadProof,
    LoadRefusal,
    LoadRefused,
    authorise_loads,
    confirm_loads,
    pending_loads,
)
from ledger.balances import balance
from ledger.checks import check_books
from ledger.day import begin_close, finish_close, open_day
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, ISSUER, at, card_no

CARD, OTHER = card_no(1), card_no(2)
ORDER = LoadOrder(CARD, 5_000, "AGENT-1", "A1-1", DAY, at(9))
PROOF = LoadProof("A1-1", 15_000, 7, b"\1\2\3\4", DAY, at(9, 1))


@pytest.fixture
def books(engine: Engine) -> Engine:
    with writing(engine) as conn:
        open_day(conn, DAY, at=at(0))
        register(conn, [CardRecord(number, ISSUER, 1, 1, 0, at(0)) for number in (CARD, OTHER)], at=at(0))
    return engine


def held_fen(engine: Engine, code: str) -> int:
    with reading(engine) as conn:
        return balance(conn, code).balance_fen


def test_a_load_waits_until_the_card_has_proved_it(books: Engine) -> None:
    with writing(books) as conn:
        assert authorise_loads(conn, [ORDER], at=at(9)) == [LoadBooked("A1-1", True)]
        (waiting,) = pending_loads(conn)
    assert (waiting.reference, waiting.card_no, waiting.amount_fen) == ("A1-1", CARD, 5_000)
    assert held_fen(books, "agent:AGENT-1") == held_fen(books, f"load:{CARD}") == 5_000
    assert held_fen(books, f"purse:{CARD}") == 0
    with writing(books) as conn:
        assert confirm_loads(conn, [PROOF], at=at(9, 1)) == [LoadBooked("A1-1", True)]
        assert pending_loads(conn) == []
    assert (held_fen(books, f"load:{CARD}"), held_fen(books, f"purse:{CARD}")) == (0, 5_000)


def test_orders_and_proofs_given_again_are_booked_once(books: Engine) -> None:
    with writing(books) as conn:
        assert authorise_loads(conn, [ORDER, ORDER], at=at(9)) == [
            LoadBooked("A1-1", True),
            LoadBooked("A1-1", False),
        ]
        assert authorise_loads(conn, [ORDER], at=at(10)) == [LoadBooked("A1-1", False)]
        assert confirm_loads(conn, [PROOF, PROOF], at=at(9)) == [
            LoadBooked("A1-1", True),
            LoadBooked("A1-1", False),
        ]
        assert confirm_loads(conn, [PROOF], at=at(10)) == [LoadBooked("A1-1", False)]
    assert held_fen(books, f"purse:{CARD}") == held_fen(books, "agent:AGENT-1") == 5_000


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (replace(ORDER, amount_fen=0, card_no=card_no(9)), LoadRefusal.AMOUNT_NOT_POSITIVE),
        (replace(ORDER, card_no=card_no(9)), LoadRefusal.CARD_UNKNOWN),
        (replace(ORDER, amount_fen=5_001), LoadRefusal.REFERENCE_TAKEN),
        (replace(ORDER, card_no=OTHER), LoadRefusal.REFERENCE_TAKEN),
        (replace(ORDER, reference="A1-2", business_date=at(0).date()), LoadRefusal.LEDGER_REFUSES),
    ],
)
def test_an_order_is_refused_for_the_first_reason_that_applies(
    books: Engine, order: LoadOrder, reason: LoadRefusal
) -> None:
    with writing(books) as conn:
        authorise_loads(conn, [ORDER], at=at(9))
        (answer,) = authorise_loads(conn, [order], at=at(9))
        assert isinstance(answer, LoadRefused)
        assert (answer.reason, answer.reference) == (reason, order.reference)
        assert len(pending_loads(conn)) == 1
    assert held_fen(books, "agent:AGENT-1") == 5_000


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (replace(PROOF, reference="A1-9"), LoadRefusal.LOAD_UNKNOWN),
        (replace(PROOF, tac=b"\4\3\2\1"), LoadRefusal.OTHER_PROOF),
        (replace(PROOF, reference="A1-2"), LoadRefusal.COUNTER_TAKEN),
    ],
)
def test_a_proof_is_refused_for_the_first_reason_that_applies(
    books: Engine, proof: LoadProof, reason: LoadRefusal
) -> None:
    with writing(books) as conn:
        authorise_loads(conn, [ORDER, replace(ORDER, reference="A1-2")], at=at(9))
        confirm_loads(conn, [PROOF], at=at(9))
        (answer,) = confirm_loads(conn, [proof], at=at(9))
        assert isinstance(answer, LoadRefused)
        assert answer.reason is reason
    assert held_fen(books, f"purse:{CARD}") == held_fen(books, f"load:{CARD}") == 5_000


def test_a_refused_load_leaves_nothing_and_does_not_sink_the_others(books: Engine) -> None:
    with writing(books) as conn:
        begin_close(conn, DAY, at=at(23))
        finish_close(conn, DAY, at=at(23))
        tomorrow = replace(ORDER, reference="A1-2", business_date=at(12, day=DAY).date().replace(day=2))
        first, second = authorise_loads(conn, [ORDER, tomorrow], at=at(23))
        assert isinstance(first, LoadRefused)
        assert second == LoadBooked("A1-2", True)
        assert [load.reference for load in pending_loads(conn)] == ["A1-2"]


def test_loads_agree_with_a_slow_reference(books: Engine) -> None:
    """Every interleaving of orders and proofs, right and wrong, moves what a dictionary says it moves."""
    order = st.builds(
        replace, st.just(ORDER), card_no=st.sampled_from([CARD, OTHER]), amount_fen=st.integers(0, 2),
        reference=st.sampled_from(["a", "b", "c"]),
    )  # fmt: skip
    proof = st.builds(
        replace, st.just(PROOF), reference=st.sampled_from(["a", "b", "c", "d"]), counter=st.integers(1, 3)
    )

    def check(conn: Connection, calls: list[list[LoadOrder] | list[LoadProof]]) -> None:
        orders: dict[str, LoadOrder] = {}
        proofs: dict[str, LoadProof] = {}
        for call in calls:
            for done in call:
                if isinstance(done, LoadOrder):
                    if done.amount_fen > 0:
                        orders.setdefault(done.reference, done)
                elif done.reference in orders and done.reference not in proofs:
                    card = orders[done.reference].card_no
                    if all((orders[r].card_no, p.counter) != (card, done.counter) for r, p in proofs.items()):
                        proofs[done.reference] = done
            if isinstance(call[0], LoadOrder):
                authorise_loads(conn, call, at=at(9))
            else:
                confirm_loads(conn, call, at=at(9))
        for card in (CARD, OTHER):
            taken = {r for r, o in orders.items() if o.card_no == card}
            purse_fen = sum(orders[r].amount_fen for r in taken & proofs.keys())
            assert balance(conn, f"purse:{card}").balance_fen == purse_fen
            assert (
                balance(conn, f"load:{card}").balance_fen
                == sum(orders[r].amount_fen for r in taken) - purse_fen
            )
        assert {load.reference for load in pending_loads(conn)} == orders.keys() - proofs.keys()
        assert check_books(conn) == []

    _check_on_savepoints(
        books, st.lists(st.one_of(st.lists(order, min_size=1), st.lists(proof, min_size=1))), check
    )


def _check_on_savepoints(
    engine: Engine,
    calls: "st.SearchStrategy[list[list[LoadOrder] | list[LoadProof]]]",
    check: Callable[[Connection, list[list[LoadOrder] | list[LoadProof]]], None],
) -> None:
    with writing(engine) as conn:

        @given(drawn=calls)
        def run(drawn: list[list[LoadOrder] | list[LoadProof]]) -> None:
            savepoint = conn.begin_nested()
            check(conn, drawn)
            savepoint.rollback()

        run()

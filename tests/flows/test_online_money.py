"""Money online, whatever is asked in whatever order: answered as a slow reference answers, and conserved."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from clearing.online.payment import Approved, Declined, Leg, PaymentOrder, pay
from clearing.online.refund import Refund, Refunded, refund
from clearing.online.reversal import Reversal, Reversed, reverse
from clearing.online.topup import TopUp
from clearing.online.totals import participant_totals
from clearing.online.wallet_load import LoadReturn, WalletLoad
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, at
from tests.support.online_books import (
    ANNA,
    BO,
    CARD,
    CLINIC,
    FUND,
    ORDER,
    POCKETS,
    SHOP,
    balances_fen,
    books_of,
    furnish,
)
from tests.support.online_reference import Confirmation, Request, SlowDoors, ask

START_FEN = 12
PAYMENTS, OTHERS = ("p1", "p2", "p3", "p4"), ("x1", "x2", "x3")

references = st.sampled_from(PAYMENTS)
small_fen = st.integers(1, 6)


def _orders(holder: str) -> st.SearchStrategy[PaymentOrder]:
    accounts = st.sampled_from([f"wallet:{holder}", f"wallet:{holder}", f"medical:{holder}", FUND])
    return st.builds(
        lambda reference, merchant, legs: replace(
            ORDER, reference=reference, merchant=merchant, holder=holder, legs=tuple(legs)
        ),
        references,
        st.sampled_from([SHOP, CLINIC]),
        st.lists(st.builds(Leg, accounts, small_fen), min_size=1, max_size=3),
    )


requests: st.SearchStrategy[Request] = st.one_of(
    _orders(ANNA),
    _orders(BO),
    st.builds(Reversal, st.sampled_from(OTHERS), references, st.just(DAY), st.just(at(9))),
    st.builds(Refund, st.sampled_from(OTHERS), references, small_fen, st.just(DAY), st.just(at(9))),
    st.builds(
        TopUp, st.sampled_from(("t1", "t2")), st.sampled_from((ANNA, BO)), st.just("PAY"), small_fen,
        st.just(at(9)),
    ),
    st.builds(Confirmation, st.sampled_from(("t1", "t2", "t3")), st.sampled_from(("c1", "c2")), small_fen),
    st.builds(
        WalletLoad, st.sampled_from(("l1", "l2")), st.sampled_from((ANNA, BO)), st.just(CARD), small_fen,
        st.just(DAY), st.just(at(9)),
    ),
    st.builds(LoadReturn, st.sampled_from(("l1", "l2")), st.just(DAY), st.just(at(9))),
)  # fmt: skip


@st.composite
def days(draw: st.DrawFn) -> list[Request]:
    """Requests of a day, some of them asked again, among them some that only differ a little."""
    asked = draw(st.lists(requests, min_size=1, max_size=14))
    again = draw(st.lists(st.sampled_from(asked), max_size=6))
    return draw(st.permutations(asked + again))


@pytest.fixture
def books(engine: Engine) -> Engine:
    furnish(engine, pocket_fen=START_FEN)
    return engine


def moved_fen(conn: Connection) -> dict[str, int]:
    before = dict.fromkeys(POCKETS, START_FEN) | {"equity:capital": -START_FEN * len(POCKETS)}
    now = balances_fen(conn)
    moved = {code: now.get(code, 0) - before.get(code, 0) for code in sorted(now.keys() | before.keys())}
    return {code: amount_fen for code, amount_fen in moved.items() if amount_fen}


def on_savepoints(
    engine: Engine, *, examples: int
) -> Callable[[Callable[[Connection, list[Request]], None]], None]:
    """Run a check on many days, each on the same books and then undone."""

    def run(check: Callable[[Connection, list[Request]], None]) -> None:
        with writing(engine) as conn:

            @settings(max_examples=examples)
            @given(day=days())
            def one_day(day: list[Request]) -> None:
                savepoint = conn.begin_nested()
                check(conn, day)
                savepoint.rollback()

            one_day()

    return run


def lived(conn: Connection, day: list[Request]) -> SlowDoors:
    """Ask for everything, neighbours of one type in one call, and compare every answer."""
    slow = SlowDoors(START_FEN)
    for _, group in groupby(day, key=type):
        together = list(group)
        expected = [slow.ask(request) for request in together]
        assert ask(conn, together) == expected, together
    return slow


def test_every_answer_and_every_pocket_are_as_the_slow_reference_has_them(books: Engine) -> None:
    def check(conn: Connection, day: list[Request]) -> None:
        slow = lived(conn, day)
        moved = moved_fen(conn)
        assert moved == slow.moved_fen()
        assert check_books(conn) == []
        owed: dict[str, int] = {}
        for total in participant_totals(conn, DAY):
            owed[total.participant] = owed.get(total.participant, 0) + total.net_fen
        assert {f"clearing:{who}": fen for who, fen in owed.items() if fen} == {
            code: amount_fen for code, amount_fen in moved.items() if code.startswith("clearing:")
        }

    on_savepoints(books, examples=60)(check)


def test_taking_everything_back_restores_every_pocket_exactly(books: Engine) -> None:
    def check(conn: Connection, day: list[Request]) -> None:
        slow = lived(conn, day)
        rests: list[Request] = []
        undone: list[Request] = []
        for order in slow.paid.values():
            paid_fen, back_fen = sum(leg.amount_fen for leg in order.legs), slow.refunded_fen(order.reference)
            undo = Reversal(f"undo-{order.reference}", order.reference, DAY, at(9))
            if back_fen < paid_fen and back_fen:
                rests.append(
                    Refund(f"rest-{order.reference}", order.reference, paid_fen - back_fen, DAY, at(9))
                )
            elif slow.ask(undo) == "done":
                undone.append(undo)
        returns: list[Request] = [
            LoadReturn(one, DAY, at(9)) for one in slow.loads if one not in slow.returns
        ]
        for left in (rests, undone, returns):
            assert not left or set(ask(conn, left)) == {"done"}
        topped_up: dict[str, int] = {}
        for reference in slow.confirmed:
            for code in ("agent:PAY", f"wallet:{slow.topups[reference].holder}"):
                topped_up[code] = topped_up.get(code, 0) + slow.topups[reference].amount_fen
        assert moved_fen(conn) == dict(sorted(topped_up.items()))
        assert check_books(conn) == []

    on_savepoints(books, examples=25)(check)


def test_payments_and_their_reversals_lead_to_the_same_books_in_any_order(books: Engine) -> None:
    wallet = f"wallet:{ANNA}"
    orders: list[Request] = [replace(ORDER, reference=one, legs=(Leg(wallet, 3),)) for one in PAYMENTS]
    undone: list[Request] = [Reversal(f"undo-{one}", one, DAY, at(9)) for one in PAYMENTS[:2]]
    with writing(books) as conn:

        @settings(max_examples=25)
        @given(order=st.permutations((orders + undone) * 2))
        def one_order(order: list[Request]) -> None:
            savepoint = conn.begin_nested()
            for request in order:
                ask(conn, [request])
            assert moved_fen(conn) == {f"clearing:{SHOP}": 6, wallet: -6}
            savepoint.rollback()

        one_order()


def test_writers_side_by_side_never_overdraw_a_wallet(engine: Engine) -> None:
    furnish(engine, pocket_fen=1_000)
    wallet = f"wallet:{ANNA}"

    def spend(writer: int) -> int:
        approved = 0
        for number in range(12):
            order = replace(
                ORDER,
                reference=f"{writer}:{number}",
                merchant=(SHOP, CLINIC)[writer % 2],
                legs=(Leg(wallet, 17),),
            )
            with writing(engine) as conn:
                (answer,) = pay(conn, [order], at=at(9))
            assert isinstance(answer, Approved) or (
                answer.reason == "insufficient" and answer.account == wallet
            )
            approved += isinstance(answer, Approved)
        return approved

    with ThreadPoolExecutor(6) as pool:
        approved = sum(pool.map(spend, range(6)))
    assert approved == 1_000 // 17
    held = books_of(engine)
    assert held[wallet] == 1_000 - approved * 17
    assert held[f"clearing:{SHOP}"] + held[f"clearing:{CLINIC}"] == approved * 17
    with reading(engine) as conn:
        assert check_books(conn) == []


def test_writers_side_by_side_pay_reverse_and_refund_each_thing_once(engine: Engine) -> None:
    """Everybody asks for everything: of each payment, reversal and refund one asker is the first."""
    furnish(engine, pocket_fen=1_000)
    orders = [replace(ORDER, reference=one, legs=(Leg(f"wallet:{ANNA}", 100),)) for one in PAYMENTS]

    def ask_all(writer: int) -> list[str]:
        first: list[str] = []
        for order in orders[writer % 2 :] + orders[: writer % 2]:
            with writing(engine) as conn:
                answers: list[object] = [*pay(conn, [order], at=at(9))]
            with writing(engine) as conn:
                if order.reference == "p1":
                    answers += reverse(conn, [Reversal("undo", "p1", DAY, at(9))], at=at(9))
                else:
                    answers += refund(
                        conn, [Refund(f"r-{order.reference}", order.reference, 30, DAY, at(9))], at=at(9)
                    )
            for answer in answers:
                if isinstance(answer, Approved | Reversed | Refunded) and answer.first_time:
                    first.append(answer.reference)
                assert not isinstance(answer, Declined) or answer.reference == "p1"
        return first

    with ThreadPoolExecutor(4) as pool:
        first = [reference for found in pool.map(ask_all, range(4)) for reference in found]
    assert sorted(first) == ["p1", "p2", "p3", "p4", "r-p2", "r-p3", "r-p4", "undo"]
    assert books_of(engine)[f"wallet:{ANNA}"] == 1_000 - 3 * 70

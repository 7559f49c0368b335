"""Paying bills: who is refused and why, whole and part, and what the wallet, the register and the outbox hold."""

from collections import deque
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from clearing.online.payment import Decline
from clearing.sectors.utilities.bills import (
    BillPaid,
    BillRefusal,
    BillRefused,
    pay_bill,
    query_bills,
    still_open_fen,
)
from clearing.sectors.utilities.catalogue import Biller, Supply, billers_of, register_billers
from clearing.sectors.utilities.notices import due_notices
from clearing.sectors.utilities.peer import Bill, BillerAccount, BillerClient
from clearing.sectors.utilities.register import payment_of, payments_of_holder
from clearing.sectors.utilities.sending import send_notices
from clearing.sectors.utilities.states import Act, State
from ledger.accounts import Conflict
from ledger.db import reading, writing
from tests.support.utility_day import (
    ANN,
    AT,
    BEN,
    DAY,
    GAS,
    LATER,
    WALLET_FEN,
    WATER,
    NearBiller,
    Spoil,
    fen_in,
    near_biller,
    order,
    paid,
    prepare,
)  # fmt: skip

REFUSED = [
    (order("with space", amount_fen=0), BillRefusal.REFERENCE_MALFORMED),
    (order("with|bar"), BillRefusal.REFERENCE_MALFORMED),
    (order("r" * 81), BillRefusal.REFERENCE_MALFORMED),
    (order("app:taken", amount_fen=0), BillRefusal.REFERENCE_TAKEN),
    (
        order("app:taken", bill_no="B3", account_no="A2", amount_fen=4000, holder=BEN),
        BillRefusal.REFERENCE_TAKEN,
    ),
    (order("app:1", amount_fen=0, biller=replace(WATER, id="NOBODY")), BillRefusal.AMOUNT_NOT_POSITIVE),
    (order("app:1", amount_fen=-5), BillRefusal.AMOUNT_NOT_POSITIVE),
    (order("app:1", account_no="?", biller=replace(WATER, id="NOBODY")), BillRefusal.BILLER_UNKNOWN),
    (order("app:1", account_no="A 1"), BillRefusal.ACCOUNT_MALFORMED),
    (order("app:1", account_no="A9"), BillRefusal.ACCOUNT_UNKNOWN),
    (order("app:1", bill_no="B9"), BillRefusal.BILL_UNKNOWN),
    (order("app:1", bill_no="B3"), BillRefusal.BILL_UNKNOWN),  # another account's
    (order("app:1", account_no="A3", bill_no="B4"), BillRefusal.BILL_SETTLED),
    (order("app:1", amount_fen=3001), BillRefusal.MORE_THAN_OPEN),
    (order("app:1", amount_fen=2999), BillRefusal.PART_NOT_PERMITTED),
    (order("app:1", holder="H0000000099"), BillRefusal.PAYMENT_DECLINED),
]


@pytest.fixture
def water(engine: Engine, tmp_path: Path) -> NearBiller:
    prepare(engine)
    return near_biller(tmp_path, WATER)


@pytest.fixture
def clients(water: NearBiller, tmp_path: Path) -> dict[str, BillerClient]:
    return {WATER.id: water, GAS.id: near_biller(tmp_path, GAS)}


def refusal(answer: object) -> BillRefusal:
    assert isinstance(answer, BillRefused), answer
    assert answer.message
    return answer.reason


def test_a_bill_paid_is_in_wallet_register_and_outbox(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    answer = pay_bill(engine, clients, order("app:1"), at=AT)
    assert isinstance(answer, BillPaid) and answer.first_time
    assert (answer.payment.state, answer.payment.business_date) == (State.PAID, DAY)
    assert fen_in(engine, f"wallet:{ANN}") == WALLET_FEN - 3000
    assert fen_in(engine, "clearing:WATER-1") == 3000
    with reading(engine) as conn:
        assert payment_of(conn, "app:1") == answer.payment
        (due,) = due_notices(conn)
    assert (due.notice.reference, due.notice.act, due.notice.amount_fen) == ("app:1", Act.WRITE_OFF, 3000)
    assert water.told == []  # nobody is told before the payment is certain


def test_the_same_order_again_is_the_same_payment_even_with_the_biller_away(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    first = pay_bill(engine, clients, order("app:1"), at=AT)
    again = pay_bill(engine, {}, replace(order("app:1"), event_at=AT + LATER), at=AT + LATER)
    assert isinstance(first, BillPaid) and isinstance(again, BillPaid)
    assert (again.payment, again.first_time) == (first.payment, False)
    assert fen_in(engine, "clearing:WATER-1") == 3000


def test_what_cannot_be_paid_is_refused_with_its_reason(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    paid(engine, clients, order("app:taken", account_no="A2", bill_no="B3", amount_fen=4000))
    for asked, expected in REFUSED:
        assert refusal(pay_bill(engine, clients, asked, at=AT)) is expected, asked
    assert fen_in(engine, "clearing:WATER-1") == 4000
    with reading(engine) as conn:
        assert [one.notice.reference for one in due_notices(conn)] == ["app:taken"]


def test_a_wallet_that_is_too_empty_keeps_its_money_and_says_so(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    water.journal.add_bill("A4", "李*", "B5", "2018-08", WALLET_FEN + 1, DAY)
    asked = order("app:1", account_no="A4", bill_no="B5", amount_fen=WALLET_FEN + 1)
    answer = pay_bill(engine, clients, asked, at=AT)
    assert isinstance(answer, BillRefused) and answer.declined is not None
    assert (answer.declined.reason, answer.declined.amount_fen) == (Decline.INSUFFICIENT, 1)
    assert fen_in(engine, f"wallet:{ANN}") == WALLET_FEN


@pytest.mark.parametrize("connected", [True, False])
def test_a_silent_biller_is_neither_shown_nor_paid(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller, connected: bool
) -> None:
    water.spoils = deque([Spoil.UNDONE, Spoil.UNDONE])
    reached = clients if connected else {}
    assert refusal(query_bills(engine, reached, WATER.id, "A1")) is BillRefusal.BILLER_SILENT
    assert refusal(pay_bill(engine, reached, order("app:1"), at=AT)) is BillRefusal.BILLER_SILENT


def test_a_bill_paid_is_not_open_any_more_before_and_after_the_biller_knows(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    paid(engine, clients, order("app:1"))
    for _ in range(2):
        shown = query_bills(engine, clients, WATER.id, "A1")
        assert isinstance(shown, BillerAccount)
        assert [(bill.bill_no, bill.open_fen) for bill in shown.bills] == [("B1", 0), ("B2", 2000)]
        assert shown.open_fen == 2000
        assert (
            refusal(pay_bill(engine, clients, order("app:2", holder=BEN), at=AT)) is BillRefusal.BILL_SETTLED
        )
        send_notices(engine, clients, AT)


def test_parts_of_a_bill_add_up_to_it_and_no_further(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    paid(engine, clients, order("app:1", biller=GAS, amount_fen=1000))
    send_notices(engine, clients, AT)
    paid(engine, clients, order("app:2", biller=GAS, amount_fen=1500))
    too_much = pay_bill(engine, clients, order("app:3", biller=GAS, amount_fen=501), at=AT)
    assert refusal(too_much) is BillRefusal.MORE_THAN_OPEN
    paid(engine, clients, order("app:4", biller=GAS, amount_fen=500))
    assert fen_in(engine, "clearing:GAS-1") == 3000


def test_two_who_pay_one_bill_at_once_pay_it_once(engine: Engine, clients: dict[str, BillerClient]) -> None:
    answers: list[BillPaid | BillRefused] = []

    def try_it(holder: str, number: int) -> None:
        answers.append(pay_bill(engine, clients, order(f"app:{number}", holder=holder), at=AT))

    threads = [Thread(target=try_it, args=(holder, number)) for number, holder in enumerate([ANN, BEN] * 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6 and sum(isinstance(one, BillPaid) for one in answers) == 1
    assert fen_in(engine, "clearing:WATER-1") == 3000


@given(
    amount_fen=st.integers(0, 10_000),
    parts=st.lists(st.tuples(st.integers(1, 5_000), st.booleans()), max_size=4),
)
def test_what_is_open_counts_each_payment_once_wherever_it_stands(
    amount_fen: int, parts: list[tuple[int, bool]]
) -> None:
    known = {f"r{number}": fen for number, (fen, counted) in enumerate(parts) if counted}
    ours = {f"r{number}": fen for number, (fen, _) in enumerate(parts)}
    bill = Bill("B1", "", amount_fen, max(amount_fen - sum(known.values()), 0), DAY, frozenset(known))
    assert still_open_fen(bill, ours) == max(
        max(amount_fen - sum(known.values()), 0) - sum(fen for one, fen in ours.items() if one not in known),
        0,
    )
    assert still_open_fen(bill, {}) == bill.open_fen


def test_a_holders_payments_come_newest_first_page_by_page(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    for number, bill_no, fen in ((1, "B1", 3000), (2, "B2", 2000)):
        paid(engine, clients, order(f"app:{number}", bill_no=bill_no, amount_fen=fen))
    paid(engine, clients, order("app:3", account_no="A2", bill_no="B3", amount_fen=4000, holder=BEN))
    with reading(engine) as conn:
        whole = payments_of_holder(conn, ANN)
        first = payments_of_holder(conn, ANN, limit=1)
        rest = payments_of_holder(conn, ANN, before=first[-1][0])
    assert [one.reference for _, one in whole] == ["app:2", "app:1"]
    assert first + rest == whole


def test_a_biller_is_registered_once_and_never_as_another(engine: Engine) -> None:
    with writing(engine) as conn:
        assert register_billers(conn, [WATER, GAS, WATER], at=AT) == 2
        assert register_billers(conn, [GAS], at=AT) == 0
        assert billers_of(conn) == [GAS, WATER]
        with pytest.raises(Conflict):
            register_billers(conn, [Biller("GAS-1", "City Gas", Supply.POWER)], at=AT)

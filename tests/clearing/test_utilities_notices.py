"""Notices to billers: repeated until answered, told once in effect, and the money where the answer says."""

from collections import deque
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from city import biller_journal
from clearing.online.payment import payment_of as core_payment_of
from clearing.online.reversal import Reversal, reverse
from clearing.sectors.utilities.bills import BillRefusal, BillRefused, pay_bill
from clearing.sectors.utilities.notices import FIRST_WAIT, LONGEST_WAIT, Closing, due_notices, wait_after
from clearing.sectors.utilities.peer import Answer, BillerClient
from clearing.sectors.utilities.register import payment_of
from clearing.sectors.utilities.reversal import (
    TakeBackRefusal,
    TakeBackRefused,
    TakenBack,
    reverse_bill,
    withdraw_bill,
)
from clearing.sectors.utilities.sending import Sent, Told, record_answers, send_notices
from clearing.sectors.utilities.states import Act, State
from clearing.sectors.utilities.tables import notice
from ledger.accounts import close_account
from ledger.day import begin_close
from ledger.db import reading, writing
from tests.support.utility_day import (
    ANN,
    AT,
    BEN,
    DAY,
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
    told_of,
)  # fmt: skip


@pytest.fixture
def water(engine: Engine, tmp_path: Path) -> NearBiller:
    prepare(engine)
    return near_biller(tmp_path, WATER)


@pytest.fixture
def clients(engine: Engine, water: NearBiller) -> dict[str, BillerClient]:
    reached: dict[str, BillerClient] = {WATER.id: water}
    paid(engine, reached, order("app:1"))
    return reached


def state(engine: Engine) -> State:
    with reading(engine) as conn:
        found = payment_of(conn, "app:1")
    assert found is not None
    return found.state


def take_back(engine: Engine, holder: str = ANN) -> TakenBack | TakeBackRefused:
    with writing(engine) as conn:
        return reverse_bill(conn, "app:1", holder=holder, at=AT)


def due(engine: Engine) -> list[Act]:
    with reading(engine) as conn:
        return [one.notice.act for one in due_notices(conn)]


def test_an_answered_notice_is_not_sent_again(engine: Engine, clients: dict[str, BillerClient]) -> None:
    assert send_notices(engine, clients, AT) == Sent(taken=1)
    assert state(engine) is State.WRITTEN_OFF
    assert send_notices(engine, clients, AT + LATER) == Sent()


@pytest.mark.parametrize("spoil", Spoil)
def test_a_notice_without_an_answer_waits_and_is_sent_again(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller, spoil: Spoil
) -> None:
    water.spoils = deque([spoil])
    assert send_notices(engine, clients, AT) == Sent(silent=1)
    assert state(engine) is State.PAID
    assert send_notices(engine, clients, AT) == Sent()  # its time has not come
    assert send_notices(engine, clients, AT + FIRST_WAIT) == Sent(taken=1)
    account = water.journal.account("A1")
    assert account is not None and account["bills"][0]["written_off"] == ["app:1"]
    assert fen_in(engine, "clearing:WATER-1") == 3000


def test_waits_double_up_to_the_longest() -> None:
    waits = [wait_after(attempts) for attempts in range(1, 40)]
    assert waits[:3] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4]
    assert waits == sorted(waits) and waits[-1] == LONGEST_WAIT == timedelta(hours=1)


def test_a_refused_write_off_gives_the_money_back_once(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    water.journal.write_off(
        biller_journal.Told("cash", "A1", "B1", 3000, DAY), AT
    )  # paid at the biller's own counter
    assert send_notices(engine, clients, AT) == Sent(refused=1)
    assert state(engine) is State.RETURNED
    assert fen_in(engine, f"wallet:{ANN}") == WALLET_FEN and fen_in(engine, "clearing:WATER-1") == 0
    refused = take_back(engine)
    assert isinstance(refused, TakeBackRefused) and refused.reason is TakeBackRefusal.ALREADY_RETURNED
    assert send_notices(engine, clients, AT + LATER) == Sent()


@pytest.mark.parametrize("written_off_first", [True, False])
@pytest.mark.parametrize("spoils", [[], [Spoil.LOST], [Spoil.UNDONE, Spoil.LOST]])
def test_money_goes_back_only_after_the_biller_has_let_go(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller, written_off_first: bool, spoils: list[Spoil]
) -> None:  # fmt: skip
    if written_off_first:
        send_notices(engine, clients, AT)
    asked = take_back(engine)
    assert isinstance(asked, TakenBack) and asked.first_time and asked.payment.state is State.REVERSING
    assert due(engine) == [Act.REVERSE]
    water.spoils = deque(spoils)
    for turn in range(len(spoils)):
        assert send_notices(engine, clients, AT + LATER * turn).silent == 1
        assert fen_in(engine, "clearing:WATER-1") == 3000
    assert send_notices(engine, clients, AT + LATER * 3) == Sent(taken=1)
    assert (state(engine), fen_in(engine, f"wallet:{ANN}")) == (State.REVERSED, WALLET_FEN)
    again = take_back(engine)
    assert isinstance(again, TakenBack) and not again.first_time


def test_a_write_off_that_arrives_after_its_reversal_is_refused_and_changes_nothing(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    take_back(engine)
    send_notices(engine, clients, AT)
    with reading(engine) as conn:
        ours = payment_of(conn, "app:1")
    assert ours is not None
    assert water.journal.write_off(told_of(ours), AT).reason == "reversed_before"
    account = water.journal.account("A1")
    assert account is not None and account["bills"][0]["open_fen"] == 3000


def test_an_answer_that_comes_after_the_reversal_was_asked_for_changes_nothing(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    with reading(engine) as conn:
        (sent,) = due_notices(conn)
    take_back(engine)
    for late in (Answer(True), Answer(False, "already_paid"), None):
        with writing(engine) as conn:
            record_answers(conn, [Told(sent, late, "late")], at=AT + LATER)
            kept = conn.execute(select(notice).where(notice.c.act == Act.WRITE_OFF)).one()
        assert (kept.answer, kept.answered_at, kept.attempts) == (Closing.OVERTAKEN, AT, 0)
    assert (state(engine), due(engine)) == (State.REVERSING, [Act.REVERSE])
    assert fen_in(engine, "clearing:WATER-1") == 3000


def test_a_bill_taken_back_can_be_paid_again(engine: Engine, clients: dict[str, BillerClient]) -> None:
    take_back(engine)
    early = pay_bill(engine, clients, order("app:2", holder=BEN), at=AT)
    assert isinstance(early, BillRefused) and early.reason is BillRefusal.BILL_SETTLED
    send_notices(engine, clients, AT)
    paid(engine, clients, order("app:2", holder=BEN))
    assert (fen_in(engine, f"wallet:{ANN}"), fen_in(engine, f"wallet:{BEN}")) == (
        WALLET_FEN,
        WALLET_FEN - 3000,
    )


def test_a_biller_that_does_not_let_go_keeps_the_payment(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    take_back(engine)
    water.journal.close_day(DAY)
    assert send_notices(engine, clients, AT) == Sent(refused=1)
    assert (state(engine), fen_in(engine, "clearing:WATER-1")) == (State.WRITTEN_OFF, 3000)


def test_only_the_holder_takes_back_and_only_on_the_same_business_day(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    stranger = take_back(engine, BEN)
    assert isinstance(stranger, TakeBackRefused) and stranger.reason is TakeBackRefusal.PAYMENT_UNKNOWN
    with writing(engine) as conn:
        unlisted = withdraw_bill(conn, "app:1", at=AT)
        begin_close(conn, DAY, at=AT)
    assert isinstance(unlisted, TakeBackRefused) and unlisted.reason is TakeBackRefusal.NO_DIFFERENCE
    late = take_back(engine)
    assert isinstance(late, TakeBackRefused) and late.reason is TakeBackRefusal.NOT_SAME_DAY
    assert state(engine) is State.PAID


def test_a_reversal_asked_for_in_time_is_carried_out_after_midnight(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    take_back(engine)
    with writing(engine) as conn:
        begin_close(conn, DAY, at=AT)
    assert send_notices(engine, clients, AT) == Sent(taken=1)
    assert (state(engine), fen_in(engine, f"wallet:{ANN}")) == (State.REVERSED, WALLET_FEN)


def test_a_dead_biller_is_tried_three_times_a_round_and_holds_nobody_else_up(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller, tmp_path: Path
) -> None:
    for number in range(5):
        water.journal.add_bill("A5", "王*", f"C{number}", "2018-08", 10, DAY)
        paid(engine, clients, order(f"many:{number}", account_no="A5", bill_no=f"C{number}", amount_fen=10))
    water.spoils = deque([Spoil.UNDONE] * 9)
    assert send_notices(engine, clients, AT) == Sent(silent=3, untried=3)
    water.spoils.clear()
    assert send_notices(engine, clients, AT) == Sent(taken=3)
    assert send_notices(engine, clients, AT + LATER) == Sent(taken=3)


def test_money_that_was_given_back_by_another_door_is_not_given_back_again(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    with writing(engine) as conn:
        reverse(conn, [Reversal("by-merchant", "app:1", DAY, AT)], at=AT)
        asked = reverse_bill(conn, "app:1", holder=ANN, at=AT)
    assert isinstance(asked, TakenBack)
    assert send_notices(engine, clients, AT) == Sent(taken=1)
    assert (state(engine), fen_in(engine, f"wallet:{ANN}")) == (State.REVERSED, WALLET_FEN)


def test_money_the_books_do_not_take_back_is_tried_again_and_listed(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    water.journal.add_bill("A6", "赵*", "D1", "2018-08", WALLET_FEN, DAY)
    paid(engine, clients, order("all", account_no="A6", bill_no="D1", amount_fen=WALLET_FEN, holder=BEN))
    with writing(engine) as conn:
        close_account(conn, f"wallet:{BEN}", at=AT)
        asked = reverse_bill(conn, "all", holder=BEN, at=AT)
    assert isinstance(asked, TakenBack)
    sent = send_notices(engine, clients, AT)
    assert sent.stuck == 1
    with reading(engine) as conn:
        (stuck,) = due_notices(conn)
        held = payment_of(conn, "all")
    assert "cannot go back yet" in stuck.message and held is not None and held.state is State.REVERSING
    with reading(engine) as conn:
        booked = core_payment_of(conn, "all")
    assert booked is not None and booked.standing_fen == WALLET_FEN

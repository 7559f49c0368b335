"""Utility bills with a biller that is a program of its own: silent, killed, garbled, and reconciled at night."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import Engine

from city.biller import RunningBiller, running_biller
from clearing.sectors.utilities.bills import BillPaid, BillRefusal, BillRefused, pay_bill, query_bills
from clearing.sectors.utilities.comparing import DifferenceKind
from clearing.sectors.utilities.http_biller import HttpBiller
from clearing.sectors.utilities.notices import due_notices
from clearing.sectors.utilities.peer import Answer, BillerAccount, BillerClient, NoAnswer, Notice
from clearing.sectors.utilities.reconciliation import Reconciled, reconcile_day
from clearing.sectors.utilities.register import payment_of
from clearing.sectors.utilities.reversal import TakenBack, reverse_bill
from clearing.sectors.utilities.sending import Sent, send_notices
from clearing.sectors.utilities.states import State
from ledger.checks import check_books
from ledger.day import begin_close
from ledger.db import make_engine, reading, writing
from tests.support.utility_day import (
    ANN,
    AT,
    BEN,
    DAY,
    LATER,
    WALLET_FEN,
    WATER,
    fen_in,
    order,
    paid,
    prepare,
)

TIMEOUT_S = 0.5
BILLS = [
    {
        "account_no": account_no,
        "customer": "张*",
        "bill_no": bill_no,
        "period": "2018-08",
        "amount_fen": amount_fen,
        "due_on": "2018-09-20",
    }
    for account_no, bill_no, amount_fen in (("A1", "B1", 3000), ("A1", "B2", 2000), ("A2", "B3", 4000))
]


@pytest.fixture(scope="module")
def biller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBiller]:
    with running_biller(tmp_path_factory.mktemp("water"), WATER.id, WATER.kind) as running:
        yield running


@pytest.fixture
def running(biller: RunningBiller) -> RunningBiller:
    """The biller as if new, with three bills."""
    biller.control("DELETE", "/journal")
    biller.control("POST", "/bills", BILLS)
    return biller


@pytest.fixture
def clients(engine: Engine, running: RunningBiller) -> Iterator[dict[str, BillerClient]]:
    prepare(engine)
    with HttpBiller(running.url, timeout_s=TIMEOUT_S) as client:
        yield {WATER.id: client}


def spoil(running: RunningBiller, path: str, fault: str, times: int = 1) -> None:
    running.control("POST", "/faults", {"path": path, "fault": fault, "times": times})


def state(engine: Engine, reference: str) -> State:
    with reading(engine) as conn:
        found = payment_of(conn, reference)
    assert found is not None
    return found.state


def reconciled(engine: Engine, client: BillerClient) -> Reconciled:
    found = reconcile_day(engine, WATER.id, client.daily_file(DAY), DAY, AT)
    assert isinstance(found, Reconciled), found
    return found


def test_a_bill_is_asked_for_paid_written_off_taken_back_and_reconciled(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    shown = query_bills(engine, clients, WATER.id, "A1")
    assert isinstance(shown, BillerAccount)
    assert [(one.bill_no, one.open_fen) for one in shown.bills] == [("B1", 3000), ("B2", 2000)]
    unknown = query_bills(engine, clients, WATER.id, "A9")
    assert isinstance(unknown, BillRefused) and unknown.reason is BillRefusal.ACCOUNT_UNKNOWN
    paid(engine, clients, order("app:1"))
    paid(engine, clients, order("app:2", account_no="A2", bill_no="B3", amount_fen=4000, holder=BEN))
    assert send_notices(engine, clients, AT) == Sent(taken=2)
    with writing(engine) as conn:
        assert isinstance(reverse_bill(conn, "app:1", holder=ANN, at=AT), TakenBack)
    assert send_notices(engine, clients, AT) == Sent(taken=1)
    found = reconciled(engine, clients[WATER.id])
    assert found.agrees and (found.theirs_count, found.theirs_fen) == (1, 4000)
    assert (fen_in(engine, f"wallet:{ANN}"), fen_in(engine, "clearing:WATER-1")) == (WALLET_FEN, 4000)
    again = paid(engine, clients, order("app:3"))  # the bill is open again
    assert again.state is State.PAID


@pytest.mark.parametrize("fault", ["undone", "lost", "late", "garbage"])
def test_whatever_becomes_of_an_answer_the_biller_is_told_once_in_effect(
    engine: Engine, clients: dict[str, BillerClient], running: RunningBiller, fault: str
) -> None:
    paid(engine, clients, order("app:1"))
    spoil(running, "/write-offs", fault)
    assert send_notices(engine, clients, AT) == Sent(silent=1)
    assert state(engine, "app:1") is State.PAID
    with reading(engine) as conn:
        (due,) = due_notices(conn)
    assert due.attempts == 1 and due.message
    assert send_notices(engine, clients, AT + LATER) == Sent(taken=1)
    spoil(running, "/reversals", fault)
    with writing(engine) as conn:
        reverse_bill(conn, "app:1", holder=ANN, at=AT)
    assert send_notices(engine, clients, AT) == Sent(silent=1)
    assert fen_in(engine, f"wallet:{ANN}") == WALLET_FEN - 3000
    assert send_notices(engine, clients, AT + LATER) == Sent(taken=1)
    assert (state(engine, "app:1"), fen_in(engine, f"wallet:{ANN}")) == (State.REVERSED, WALLET_FEN)
    assert reconciled(engine, clients[WATER.id]).agrees


@pytest.mark.parametrize("fault", ["undone", "late", "garbage"])
def test_nothing_is_paid_on_a_guess(
    engine: Engine, clients: dict[str, BillerClient], running: RunningBiller, fault: str
) -> None:
    spoil(running, "/accounts", fault)
    answer = pay_bill(engine, clients, order("app:1"), at=AT)
    assert isinstance(answer, BillRefused) and answer.reason is BillRefusal.BILLER_SILENT
    assert fen_in(engine, f"wallet:{ANN}") == WALLET_FEN
    spoil(running, "/days", fault)
    if fault != "garbage":
        with pytest.raises(NoAnswer):
            clients[WATER.id].daily_file(DAY)


def test_an_address_where_no_biller_is_says_nothing_about_accounts(running: RunningBiller) -> None:
    with HttpBiller(f"{running.url}/elsewhere", timeout_s=TIMEOUT_S) as client, pytest.raises(NoAnswer):
        client.account("A9")


def test_a_biller_killed_and_started_again_remembers_what_it_was_told(engine: Engine, tmp_path: Path) -> None:
    prepare(engine)
    with ExitStack() as stack:
        first = stack.enter_context(running_biller(tmp_path / "water", WATER.id, WATER.kind))
        first.control("POST", "/bills", BILLS)
        client = stack.enter_context(HttpBiller(first.url, timeout_s=TIMEOUT_S))
        clients: dict[str, BillerClient] = {WATER.id: client}
        paid(engine, clients, order("app:1"))
        spoil(first, "/write-offs", "lost")
        send_notices(engine, clients, AT)
        first.process.kill()
        first.process.wait()
        paid_meanwhile = pay_bill(engine, clients, order("app:2"), at=AT)
        assert isinstance(paid_meanwhile, BillRefused)
        assert send_notices(engine, clients, AT + LATER) == Sent(silent=1)
    with (
        running_biller(tmp_path / "water", WATER.id, WATER.kind) as second,
        HttpBiller(second.url, timeout_s=TIMEOUT_S) as again,
    ):
        assert send_notices(engine, {WATER.id: again}, AT + 3 * LATER) == Sent(taken=1)
        assert reconciled(engine, again).agrees


@pytest.mark.parametrize("instant", ["before_sending", "after_sending"])
def test_we_are_killed_around_sending_and_nothing_is_lost_or_told_twice(
    engine: Engine, database_url: str, clients: dict[str, BillerClient], running: RunningBiller, instant: str
) -> None:
    paid(engine, clients, order("app:1"))
    process = get_context("spawn").Process(target=send_and_die, args=(database_url, running.url, instant))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert state(engine, "app:1") is State.PAID
    assert send_notices(engine, clients, AT) == Sent(taken=1)
    found = reconciled(engine, clients[WATER.id])
    assert found.agrees and found.theirs_fen == fen_in(engine, "clearing:WATER-1") == 3000


def send_and_die(database_url: str, biller_url: str, instant: str) -> None:
    """Send what is due in a process that dies without a word at one instant of it."""

    class Mortal(HttpBiller):
        def tell(self, notice: Notice) -> Answer:
            answer = super().tell(notice) if instant == "after_sending" else Answer(False)
            os.kill(os.getpid(), signal.SIGKILL)
            return answer

    with Mortal(biller_url) as client:
        send_notices(make_engine(database_url), {WATER.id: client}, AT)


def test_a_night_with_every_kind_of_difference_is_repaired_and_then_agrees(
    engine: Engine, clients: dict[str, BillerClient], running: RunningBiller
) -> None:
    paid(engine, clients, order("app:1"))
    paid(engine, clients, order("app:2", bill_no="B2", amount_fen=2000))
    paid(engine, clients, order("app:3", account_no="A2", bill_no="B3", amount_fen=4000, holder=BEN))
    send_notices(engine, clients, AT)
    with writing(engine) as conn:
        begin_close(conn, DAY, at=AT)
    notice = {"account_no": "A1", "bill_no": "B1", "business_date": DAY.isoformat()}
    running.control(
        "POST", "/blunders", {"reference": "app:1", "amount_fen": 3000, "filed_fen": None, **notice}
    )
    running.control(
        "POST", "/blunders", {"reference": "app:2", "amount_fen": 2000, "filed_fen": 20, **notice}
    )
    running.control("POST", "/blunders", {"reference": "ghost", "amount_fen": 99, "filed_fen": 99, **notice})
    found = reconciled(engine, clients[WATER.id])
    assert {one.reference: one.kind for one in found.differences} == {
        "app:1": DifferenceKind.OURS_ONLY,
        "app:2": DifferenceKind.OTHER_AMOUNT,
        "ghost": DifferenceKind.THEIRS_ONLY,
    }
    assert (found.ours_count, found.ours_fen, found.theirs_count, found.theirs_fen) == (3, 9000, 3, 4119)
    assert fen_in(engine, "suspense:biller_unmatched") == 99
    running.control("DELETE", "/blunders")
    assert send_notices(engine, clients, AT + timedelta(days=1)) == Sent(taken=1)
    again = reconciled(engine, clients[WATER.id])
    assert again.agrees and again.issue == found.issue + 1
    assert fen_in(engine, "suspense:biller_unmatched") == 0
    with reading(engine) as conn:
        assert check_books(conn) == []


def test_an_order_whose_answer_was_lost_is_given_again_and_paid_once(
    engine: Engine, clients: dict[str, BillerClient], running: RunningBiller
) -> None:
    first = pay_bill(engine, clients, order("app:1"), at=AT)
    spoil(running, "/accounts", "undone", times=9)
    again = pay_bill(engine, clients, order("app:1"), at=AT + LATER)
    assert isinstance(first, BillPaid) and isinstance(again, BillPaid)
    assert (first.first_time, again.first_time) == (True, False)
    assert fen_in(engine, "clearing:WATER-1") == 3000

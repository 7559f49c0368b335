"""The gateway's sockets: many terminals at once, slow and broken ones among them, and an orderly end."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from api.gateway.booking import Booking
from api.gateway.codes import Code
from api.gateway.desk import Desk
from api.gateway.requests import Request, Task
from api.gateway.server import Bounds, running_gateway
from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.wire.iso8583 import MAX_MESSAGE_BYTES, Message
from ledger.checks import check_books
from ledger.db import make_engine, reading
from terminals.pos import Result
from tests.support.counter_city import NOW, CounterCity, card_no, found_city
from tests.support.raw_terminal import PURCHASE, Socket, raw_terminal


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm) -> CounterCity:
    return found_city(engine, city_hsm, hsm_process.transport_key_file)


def test_many_terminals_at_once_never_overdraw_a_wallet(town: CounterCity, tmp_path: Path) -> None:
    """Eight terminals ask for 100 times 100 fen and more from one wallet of 10,000."""

    def work(number: int) -> list[Result]:
        with town.counter(port, tmp_path, terminal=f"POS{number:05d}") as pos:
            return [pos.purchase(card_no(0), 700, at=NOW).result for _ in range(4)]

    with town.serving() as port, ThreadPoolExecutor(8) as pool:
        results = [result for each in pool.map(work, range(8)) for result in each]
    assert sorted(results) == [Result.APPROVED] * 14 + [Result.DECLINED] * 18
    assert (town.wallet_fen(0), town.shop_fen) == (10_000 - 14 * 700, 14 * 700)
    with reading(town.engine) as conn:
        assert check_books(conn) == []


def test_terminals_that_stop_in_the_middle_hold_nobody_up(town: CounterCity) -> None:
    with town.serving() as port:
        terminal = raw_terminal(town, port)
        stuck = [Socket(port) for _ in range(20)]
        for each in stuck:
            each.connection.sendall(b"\x01")
        flood = Socket(port)
        flood.connection.setblocking(False)
        for _ in range(200):  # asks and asks, and takes no answer
            try:
                flood.send(terminal.bytes_of("0200", PURCHASE))
            except BlockingIOError:
                break
        assert terminal.code(f11="000002") == "00"
        for each in (*stuck, flood):
            each.close()
        assert terminal.code(f11="000003") == "00"


def test_a_terminal_that_stalls_inside_a_message_or_is_silent_is_hung_up_on(town: CounterCity) -> None:
    with town.serving(Bounds(stall_s=0.2, idle_s=0.4)) as port:
        stalled, silent = Socket(port), Socket(port)
        stalled.connection.sendall(b"\x00")
        assert stalled.receive() is None
        assert silent.receive() is None


def test_empty_frames_keep_a_connection_and_too_long_ones_end_it(town: CounterCity) -> None:
    with town.serving() as port:
        terminal = raw_terminal(town, port)
        terminal.socket.connection.sendall(bytes(6))
        assert terminal.code() == "00"
        terminal.socket.connection.sendall((MAX_MESSAGE_BYTES + 1).to_bytes(2, "big"))
        assert terminal.socket.receive() is None


def test_messages_in_pieces_and_one_behind_the_other_are_answered_in_order(town: CounterCity) -> None:
    with town.serving() as port:
        terminal = raw_terminal(town, port)
        bodies = [terminal.bytes_of("0200", {**PURCHASE, 11: f"{number:06d}"}) for number in range(1, 6)]
        stream = b"".join(len(body).to_bytes(2, "big") + body for body in bodies)
        for start in range(0, len(stream), 7):
            terminal.socket.connection.sendall(stream[start : start + 7])
        answers = [terminal.socket.receive() for _ in bodies]
        assert [terminal.socket.ask(body) for body in bodies] == answers
    assert town.shop_fen == 2_500


def test_beyond_the_bound_of_connections_a_terminal_is_turned_away(town: CounterCity) -> None:
    with town.serving(Bounds(connections=2)) as port:
        terminal, other = raw_terminal(town, port), Socket(port)
        assert Socket(port).receive() is None
        other.close()
        assert terminal.code() == "00"


def test_stopping_answers_what_is_in_hand_and_books_nothing_after(town: CounterCity) -> None:
    with town.serving() as port:
        terminal = raw_terminal(town, port)
        idle = Socket(port)
        before = terminal.code(f11="000010")
        terminal.socket.send(terminal.bytes_of("0200", PURCHASE))
        answer = terminal.socket.receive()
    assert (before, answer is not None) == ("00", True)
    assert idle.receive() is None
    assert terminal.socket.receive() is None
    assert town.shop_fen == 1_000
    with pytest.raises(ConnectionRefusedError):
        Socket(port)


def test_an_address_that_cannot_be_had_is_said_at_once(town: CounterCity) -> None:
    with (
        town.serving() as port,
        pytest.raises(OSError, match="address already in use"),
        running_gateway(town.gateway, port=port),
    ):
        raise AssertionError("two gateways listen on one port")


def test_books_that_cannot_be_reached_mean_not_now(town: CounterCity, tmp_path: Path) -> None:
    with town.serving() as port:
        terminal = raw_terminal(town, port)
        town.engine = make_engine(f"sqlite:///{tmp_path / 'nowhere' / 'books.db'}")
        with town.serving() as broken:
            assert terminal.on(Socket(broken)).code() == "96"


def booking(number: int, terminal: str = "") -> Booking:
    request = Request(
        Task.PURCHASE, "0200", terminal or f"POS{number:05d}", f"{number:06d}", date(2026, 3, 2), NOW, "SHOP-1",
        card_no(0), 100, bytes(32),
    )  # fmt: skip
    return Booking(request, Message("0200", {}), Code.CARD_UNKNOWN)


def test_what_waits_while_one_transaction_is_written_goes_together_into_the_next() -> None:
    batches: list[list[str]] = []
    first_is_in, go_on = threading.Event(), threading.Event()

    def book(bookings: Sequence[Booking]) -> list[Message]:
        batches.append([each.request.stan for each in bookings])
        first_is_in.set()
        assert go_on.wait(10)
        return [Message("0210", {11: each.request.stan}) for each in bookings]

    async def work() -> list[str]:
        desk = Desk(book, together=4)
        tasks = [asyncio.create_task(desk.answer(booking(1)))]
        await asyncio.to_thread(first_is_in.wait, 10)
        tasks += [asyncio.create_task(desk.answer(booking(number, "POS00002"))) for number in (2, 3)]
        tasks += [asyncio.create_task(desk.answer(booking(number))) for number in range(4, 9)]
        await asyncio.sleep(0)
        go_on.set()
        answers = [(await task).get(11) for task in tasks]
        await desk.close()
        return answers

    assert asyncio.run(work()) == [f"{number:06d}" for number in range(1, 9)]
    # No two of one terminal are booked together, for the second may be about the first; nor more than four.
    assert [[int(stan) for stan in batch] for batch in batches] == [[1], [2], [3, 4, 5, 6], [7, 8]]


def test_one_that_spoils_a_transaction_spoils_only_its_own() -> None:
    def book(bookings: Sequence[Booking]) -> list[Message]:
        if any(each.request.stan == "000002" for each in bookings):
            raise OSError("spoilt")
        return [Message("0210", {11: each.request.stan}) for each in bookings]

    async def work() -> list[Message | BaseException]:
        desk = Desk(book)
        waiting = [desk.answer(booking(number)) for number in range(1, 5)]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await desk.close()
        return answers

    answers = asyncio.run(work())
    assert [isinstance(answer, OSError) for answer in answers] == [False, True, False, False]

"""The gateway's sockets: many terminals at once, slow and broken ones among them, and an orderly end."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from api.gateway.gateway import Gateway
from api.gateway.server import Bounds, running_gateway
from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.wire.iso8583 import MAX_MESSAGE_BYTES
from ledger.checks import check_books
from ledger.db import make_engine, reading
from terminals.pos import Result
from tests.support.counter_city import NOW, CounterCity, card_no, found_city
from tests.support.crowd import all_at_once, held
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


def crowd_at_the_gateway(
    town: CounterCity, *wanted: tuple[str, dict[str, str]], terminals: int
) -> tuple[list[str], int]:
    """Codes of what terminals ask in turn while another writes, and in how many transactions they were booked."""
    made: list[Gateway] = []

    def make() -> Gateway:
        made.append(town.gateway())
        return made[0]

    with running_gateway(make) as port:
        raw = [raw_terminal(town, port, terminal=f"POS{number:05d}") for number in range(1, terminals + 1)]
        # A line of its own for each, so that none waits for another's answer to be said.
        lines = [raw[number % terminals].on(Socket(port)) for number in range(len(wanted))]
        asks = [
            partial(line.code, mti, f41=f"POS{number % terminals + 1:05d}", **fields)
            for number, (line, (mti, fields)) in enumerate(zip(lines, wanted, strict=True))
        ]
        for one in raw:  # a key's first use is booked as well
            assert one.code("0200", f41=f"POS{raw.index(one) + 1:05d}", f11="000900") == "00"
        futures, commits = all_at_once(town.engine, made[0]._desk, asks)
        return [future.result() for future in futures], commits


def test_terminals_that_ask_while_another_writes_share_one_transaction(town: CounterCity) -> None:
    codes, commits = crowd_at_the_gateway(
        town, *(("0200", {"f4": "000000000100"}) for _ in range(5)), terminals=5
    )
    assert (codes, commits) == (["00"] * 5, 1)
    assert town.shop_fen == 5 * 500 + 5 * 100


def test_a_terminals_second_request_in_a_transaction_meets_what_its_first_has_left(town: CounterCity) -> None:
    purchase, reversal = ("0200", {"f11": "000001"}), ("0400", {"f11": "000001"})
    codes, commits = crowd_at_the_gateway(
        town, ("0200", {"f11": "000009"}), purchase, reversal, purchase, terminals=1
    )
    # The purchase is answered again as it was, and stays reversed.
    assert (codes, commits) == (["00"] * 4, 1)
    assert town.shop_fen == 2 * 500


def test_a_gateway_that_cannot_write_in_time_means_not_now_and_has_booked_nothing(
    town: CounterCity,
) -> None:
    def make() -> Gateway:
        return Gateway(town.engine, town.hsm, lambda: town.now, patience_s=0.05)

    with running_gateway(make) as port, ThreadPoolExecutor(2) as pool:
        first, second = raw_terminal(town, port), raw_terminal(town, port, terminal="POS00002")
        with held(town.engine) as begun:
            waits = pool.submit(first.code)
            assert begun.wait(20)
            late = pool.submit(second.code, f41="POS00002")
            assert (waits.result(), late.result()) == ("96", "96")
        assert town.shop_fen == 0
        assert (first.code(), second.code(f41="POS00002")) == ("00", "00")

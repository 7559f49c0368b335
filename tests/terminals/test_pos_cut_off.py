"""Whatever the network and the power do, terminal and ledger agree on every ticket in the end."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine

from api.gateway.requests import reference
from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.online.payment import payment_of
from clearing.online.refund import refunds_of
from clearing.wire.bcd import CITY_ZONE
from ledger.checks import check_books
from ledger.db import reading
from terminals.pos import Pos
from terminals.pos_journal import Kind, PosJournal, State, Ticket
from terminals.pos_line import TcpLine
from tests.support.bad_lines import Fate, FramedLine, Weather
from tests.support.counter_city import NOW, CounterCity, card_no, found_city

TIMEOUT_S = 0.15
OPERATIONS = 25
FINAL = {State.APPROVED, State.DECLINED, State.REVERSED, State.HELD}


class PowerCut(BaseException):
    """The terminal has lost its power."""


class WeakLine:
    """A line on which the power may go before a message is sent, or after its answer has come."""

    def __init__(self, line: TcpLine, random: Random) -> None:
        self.line = line
        self.random = random
        self.cuts = 0

    def ask(self, body: bytes, answers: Callable[[bytes], bool]) -> bytes:
        self.maybe_cut()
        answer = self.line.ask(body, answers)
        self.maybe_cut()
        return answer

    def maybe_cut(self) -> None:
        if self.random.random() < 0.05:
            self.cuts += 1
            raise PowerCut


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm) -> CounterCity:
    return found_city(engine, city_hsm, hsm_process.transport_key_file, wallet_fen=3_000)


@pytest.mark.parametrize("seed", [1, 2])
def test_terminal_and_ledger_agree_after_a_day_on_a_bad_network(
    town: CounterCity, tmp_path: Path, seed: int
) -> None:
    story: list[str] = []
    random, path = Random(seed), tmp_path / "pos.db"
    identity = town.enrol("POS00001")
    weather = Weather(seed, late_s=2 * TIMEOUT_S, stray_s=4 * TIMEOUT_S, tell=story.append)
    with town.serving() as port, closing(FramedLine("pos>gateway", weather, lambda: port)) as proxy:
        weak = WeakLine(TcpLine("127.0.0.1", proxy.port, timeout_s=TIMEOUT_S), random)
        pos = town.pos(identity, PosJournal(path, sync="off"), weak)
        for _ in range(OPERATIONS):
            try:
                one_operation(pos, path, random)
            except PowerCut:
                weak.line.close()
                pos = town.pos(identity, PosJournal(path, sync="off"), weak)
        weak.line.close()
        weather.calm = True
        assert weather.done.total() - weather.done[Fate.PASS] >= 3, story
        with PosJournal(path, sync="off") as journal:
            calm_line = TcpLine("127.0.0.1", proxy.port, timeout_s=10)
            assert town.pos(identity, journal, calm_line).deliver() == 0
            calm_line.close()
            tickets = journal.tickets()
    assert {ticket.state for ticket in tickets} <= FINAL
    assert_ledger_agrees(town, tickets)


def one_operation(pos: Pos, path: Path, random: Random) -> None:
    card, amount_fen = card_no(random.randrange(3)), random.randint(1, 500)
    chance = random.random()
    if chance < 0.7:
        pos.purchase(card, amount_fen, at=NOW)
    elif chance < 0.85:
        pos.stand_in(card, amount_fen, at=NOW)
    else:
        with PosJournal(path, sync="off") as journal:
            bought = [each for each in journal.tickets(State.APPROVED) if each.kind is not Kind.REFUND]
        if bought:
            original = random.choice(bought)
            pos.refund(original, random.randint(1, original.amount_fen + 50), at=NOW)


def assert_ledger_agrees(town: CounterCity, tickets: list[Ticket]) -> None:
    by_number = {ticket.number: ticket for ticket in tickets}
    with reading(town.engine) as conn:
        for ticket in tickets:
            booked = ticket.state is State.APPROVED
            if ticket.kind is Kind.REFUND:
                original = by_number[ticket.original or 0]
                refunds = [each.reference for each in refunds_of(conn, payment_key(original))]
                assert (payment_key(ticket) in refunds) == booked
                continue
            payment = payment_of(conn, payment_key(ticket))
            assert (payment is not None and payment.reversed_by is None) == booked, ticket
        assert check_books(conn) == []
    sign = {Kind.REFUND: -1}
    owed = [
        sign.get(ticket.kind, 1) * ticket.amount_fen for ticket in tickets if ticket.state is State.APPROVED
    ]
    assert town.shop_fen == sum(owed)
    assert sum(town.wallet_fen(number) for number in range(3)) == 9_000 - sum(owed)


def payment_key(ticket: Ticket) -> str:
    return reference("POS00001", ticket.at.astimezone(CITY_ZONE).date(), ticket.stan)

"""A counter's day at the gateway: real terminal, real sockets, real HSM, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from card.loss import report_loss
from city.processes import RunningHsm
from ledger.checks import check_books
from ledger.db import reading, writing
from terminals.pos import Pos, Result
from terminals.pos_journal import PosJournal, State
from terminals.pos_line import TcpLine
from terminals.pos_messages import PosIdentity
from tests.support.counter_city import NOW, CounterCity, card_no, found_city


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm) -> CounterCity:
    return found_city(engine, city_hsm, hsm_process.transport_key_file)


@pytest.fixture
def port(town: CounterCity) -> Iterator[int]:
    with town.serving() as listening:
        yield listening


@pytest.fixture(params=["china-pos", "ascii"])
def pos(request: pytest.FixtureRequest, town: CounterCity, port: int, tmp_path: Path) -> Iterator[Pos]:
    with town.counter(port, tmp_path, specification=request.param) as made:
        yield made


def test_a_purchase_moves_the_money_once_and_both_sides_know_it(pos: Pos, town: CounterCity) -> None:
    outcome = pos.purchase(card_no(0), 1_250, at=NOW)
    assert outcome.result is Result.APPROVED
    assert outcome.ticket is not None
    assert outcome.ticket.state is State.APPROVED
    assert outcome.ticket.retrieval == "606100000001"
    assert (town.wallet_fen(0), town.shop_fen) == (8_750, 1_250)
    told = pos.balance(card_no(0), at=NOW)
    assert (told.result, told.balance_fen) == (Result.APPROVED, 8_750)
    with reading(town.engine) as conn:
        assert check_books(conn) == []


def test_declines_say_why_and_move_nothing(pos: Pos, town: CounterCity) -> None:
    with writing(town.engine) as conn:
        report_loss(conn, town.holders[1], at=NOW)
    for number, amount_fen, code in ((0, 10_001, "51"), (1, 1, "41"), (99, 1, "14"), (77, 1, "14")):
        outcome = pos.purchase(card_no(number), amount_fen, at=NOW)
        assert (outcome.result, outcome.code) == (Result.DECLINED, code)
    assert pos.balance(card_no(99), at=NOW).code == "14"
    assert town.shop_fen == 0


def test_refunds_go_back_to_the_wallet_and_never_exceed_the_purchase(pos: Pos, town: CounterCity) -> None:
    bought = pos.purchase(card_no(0), 1_000, at=NOW).ticket
    assert bought is not None
    assert pos.refund(bought, 400, at=NOW).result is Result.APPROVED
    assert (town.wallet_fen(0), town.shop_fen) == (9_400, 600)
    refused = pos.refund(bought, 601, at=NOW)
    assert (refused.result, refused.code) == (Result.DECLINED, "61")
    assert refused.ticket is not None
    assert refused.ticket.state is State.HELD
    with pytest.raises(ValueError, match="held"):
        pos.refund(refused.ticket, 1, at=NOW)
    assert (town.wallet_fen(0), town.shop_fen) == (9_400, 600)


def test_a_purchase_taken_while_the_host_was_away_is_told_later(town: CounterCity, tmp_path: Path) -> None:
    with town.serving() as port, town.counter(port, tmp_path) as pos:
        assert pos.sign_on()
    away = pos_on_dead_line(town, tmp_path, port)
    kept = away.stand_in(card_no(0), 700, at=NOW)
    assert kept.result is Result.KEPT
    assert away.purchase(card_no(0), 1, at=NOW).result is Result.NOT_PAID
    assert away.purchase(card_no(0), 1, at=NOW).result is Result.HOST_AWAY
    assert town.shop_fen == 0
    with town.serving() as port, town.counter(port, tmp_path) as pos:
        assert pos.deliver() == 0
    assert town.shop_fen == 700


def pos_on_dead_line(town: CounterCity, folder: Path, port: int) -> Pos:
    identity = town.enrol("POS00001")
    journal = PosJournal(folder / "POS00001.db", sync="off")
    return town.pos(identity, journal, TcpLine("127.0.0.1", port, timeout_s=0.5))


def test_a_terminal_that_nobody_enrolled_gets_nothing(town: CounterCity, port: int, tmp_path: Path) -> None:
    identity = PosIdentity("POS99999", "SHOP-1")
    with PosJournal(tmp_path / "unknown.db", sync="off") as journal:
        pos = town.pos(identity, journal, TcpLine("127.0.0.1", port, timeout_s=5))
        assert not pos.sign_on()
        assert not pos.echo()
        assert pos.purchase(card_no(0), 1, at=NOW).result is Result.HOST_AWAY


def test_an_echo_is_answered_without_a_key(pos: Pos) -> None:
    assert pos.echo()


def test_a_new_working_key_takes_over_and_a_restart_needs_none(
    town: CounterCity, port: int, tmp_path: Path
) -> None:
    with town.counter(port, tmp_path) as pos:
        assert pos.sign_on()
        assert pos.purchase(card_no(0), 100, at=NOW).result is Result.APPROVED
        assert pos.sign_on()
        assert pos.purchase(card_no(0), 100, at=NOW).result is Result.APPROVED
    with town.counter(port, tmp_path) as again:
        assert again.purchase(card_no(0), 100, at=NOW).result is Result.APPROVED
    assert town.shop_fen == 300


def test_somebody_elses_sign_on_does_not_take_a_terminals_key_away(
    town: CounterCity, port: int, tmp_path: Path
) -> None:
    with town.counter(port, tmp_path) as pos:
        assert pos.purchase(card_no(0), 100, at=NOW).result is Result.APPROVED
        identity = town.enrol("POS00001")
        with PosJournal(tmp_path / "stranger.db", sync="off") as journal:
            stranger = town.pos(identity, journal, TcpLine("127.0.0.1", port, timeout_s=5))
            assert stranger.sign_on()
        assert pos.purchase(card_no(0), 100, at=NOW).result is Result.APPROVED

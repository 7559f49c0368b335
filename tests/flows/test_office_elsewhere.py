"""An office across the network: it answers as the office here does, and a lost answer books nothing twice."""

import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import copyfile

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select

from api.counter_desk import CounterDesk
from api.counter_opening import till_of
from api.web import serving
from card.hsm.client import Hsm
from card.life import Act, life_of
from card.stock import Batch, personalise_blanks, receive_batch
from city.card_desk import CardDesk
from city.processes import RunningHsm
from clearing.tables import load_attempt
from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import make_engine, reading, writing
from terminals.card_service import (
    CardOffice,
    CardStanding,
    NotServed,
    Served,
    Service,
    ServiceAsked,
    StoppedCards,
)
from terminals.counter import LoadCounter, LoadRefusal
from terminals.counter_screen import Order
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal, OfficeGone
from terminals.office_line import TRIES, Credentials, OfficeLine
from terminals.remote_office import RemoteOffice
from tests.support.bad_lines import Fate
from tests.support.blanks import written
from tests.support.load_counters import AGENTS, DAY, MORNING, A, Town, found_town, number_of
from tests.support.remote_offices import (
    SECRET,
    Offices,
    ScriptedLine,
    office_service,
    offices,
    scripted_line,
)

BATCH = Batch("2026-03", "01011000", "03104870000000005000", 6)
FIRST, SECOND, THIRD = BATCH.numbers[:3]
AGENT = AGENTS[0]
ANSWER_LOST = [Fate.PASS, Fate.CUT]
QUESTION_LOST = [Fate.CUT]
ASKED = ServiceAsked(Service.ISSUE, FIRST, "ann", "sold", amount_fen=2_000)


def stocked(engine: Engine, hsm: Hsm, hsm_process: RunningHsm, folder: Path) -> Town:
    made = found_town(engine, hsm, hsm_process.transport_key_file, folder)
    with writing(engine) as conn:
        receive_batch(conn, BATCH, Act("ann", MORNING, "delivered", "DEPOT"))
        blanks = [written(number) for number in BATCH.numbers]
        personalise_blanks(conn, blanks, Act("ann", MORNING, "made", "DEPOT"))
    return made


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm, tmp_path: Path) -> Town:
    """A town with personalised cards in stock."""
    return stocked(engine, city_hsm, hsm_process, tmp_path)


@pytest.fixture
def twin(sqlite_template: Path, tmp_path: Path, city_hsm: Hsm, hsm_process: RunningHsm) -> Iterator[Town]:
    """Another town of the same beginnings, whose counters have their office in the same process."""
    copyfile(sqlite_template, tmp_path / "twin.db")
    engine = make_engine(f"sqlite:///{tmp_path / 'twin.db'}")
    yield stocked(engine, city_hsm, hsm_process, tmp_path)
    engine.dispose()


@pytest.fixture
def line(town: Town) -> Iterator[ScriptedLine]:
    """A line to the office's real server, which loses what a test says."""
    with (
        office_service(town.engine, town.hsm, lambda: town.now, AGENTS) as address,
        scripted_line(address) as made,
    ):
        yield made


@pytest.fixture
def elsewhere(town: Town, line: ScriptedLine, tmp_path: Path) -> Iterator[Offices]:
    """The offices at the other end of the line, into which the counters have signed in."""
    with offices(line.address, tmp_path, lambda: town.now) as town.elsewhere:
        assert town.elsewhere.of(AGENT).standing(FIRST) == CardStanding("personalised", stopped=False)
        yield town.elsewhere


def days_pass(town: Town, days: int) -> None:
    with writing(town.engine) as conn:
        for step in range(days):
            begin_close(conn, DAY + timedelta(days=step), at=town.now)
            finish_close(conn, DAY + timedelta(days=step), at=town.now)
    town.now += timedelta(days=days)


def story_of(town: Town, office: CardOffice) -> list[Served | NotServed | CardStanding]:
    """Every service, also where it cannot be done, in one story of three cards."""
    answers: list[Served | NotServed | CardStanding] = []

    def ask(
        service: Service, card_no: str, why: str = "as asked", amount_fen: int = 0, new: str = ""
    ) -> None:
        answers.append(office.serve(ServiceAsked(service, card_no, "ann", why, amount_fen, new)))
        answers.append(office.standing(card_no))

    ask(Service.ACTIVATE, FIRST)
    ask(Service.ISSUE, FIRST, amount_fen=2_000)
    ask(Service.ISSUE, FIRST, amount_fen=2_000)
    ask(Service.BLOCK, FIRST, "bent")
    ask(Service.UNBLOCK, FIRST, "straight")
    ask(Service.LOSE, FIRST)
    ask(Service.LOSE, "0" * 20)
    ask(Service.FIND, FIRST)
    ask(Service.FIND, FIRST)
    ask(Service.REPLACE, FIRST, "worn", new=SECOND)
    ask(Service.ISSUE, SECOND)
    ask(Service.REPLACE, FIRST, "worn", new=SECOND)
    ask(Service.MOVE_BALANCE, FIRST)
    ask(Service.HAND_IN, SECOND, "moving away", amount_fen=9_999)
    ask(Service.HAND_IN, SECOND, "moving away", amount_fen=50)
    ask(Service.PAY_OUT, SECOND)
    ask(Service.ISSUE, THIRD)
    ask(Service.ACTIVATE, THIRD)
    days_pass(town, 9)
    ask(Service.MOVE_BALANCE, FIRST)
    ask(Service.PAY_OUT, SECOND)
    return answers


def test_every_service_is_answered_by_the_same_values_through_both_doors(
    town: Town, elsewhere: Offices, twin: Town
) -> None:
    here = story_of(twin, CardDesk(twin.engine, AGENT, lambda: twin.now))
    there = story_of(town, elsewhere.of(AGENT))
    assert there == here
    assert {one.service for one in here if isinstance(one, Served)} == set(Service)
    refusals = {one.reason for one in here if isinstance(one, NotServed)}
    assert refusals == {
        "not_in_this_state", "card_unknown", "not_reported", "other_card_unfit", "too_early", "amount",
    }  # fmt: skip
    lives = []
    for each in (town, twin):
        with reading(each.engine) as conn:
            lives.append([life_of(conn, card_no) for card_no in (FIRST, SECOND, THIRD)])
            assert check_books(conn) == []
    assert lives[0] == lives[1]


@pytest.mark.parametrize(
    "fates", [ANSWER_LOST, QUESTION_LOST, [Fate.PASS, Fate.TORN], [Fate.TORN], [Fate.TWICE]]
)
def test_a_service_whose_answer_is_lost_is_done_once_and_answered(
    town: Town, line: ScriptedLine, elsewhere: Offices, fates: list[Fate]
) -> None:
    line.script = [*fates]
    assert elsewhere.of(AGENT).serve(ASKED) == Served(Service.ISSUE, FIRST, 2_000)
    assert town.fen(f"deposit:{FIRST}") == town.fen(f"agent:{AGENT}") == 2_000
    with reading(town.engine) as conn:
        assert [one.move for one in life_of(conn, FIRST)][-2:] == ["issue", "activate"]
    assert elsewhere.of(AGENT)._questions.open() == 0


def test_a_service_that_nobody_answered_is_asked_again_under_its_key_by_a_new_program(
    town: Town, line: ScriptedLine, elsewhere: Offices
) -> None:
    line.script = ANSWER_LOST * TRIES
    with pytest.raises(OfficeGone, match=r"does not answer.*look at the network"):
        elsewhere.of(AGENT).serve(ASKED)
    assert town.fen(f"deposit:{FIRST}") == 2_000
    elsewhere.opened.clear()  # the terminal is switched off and on
    assert elsewhere.of(AGENT).serve(ASKED) == Served(Service.ISSUE, FIRST, 2_000)
    assert town.fen(f"deposit:{FIRST}") == 2_000
    again = elsewhere.of(AGENT).serve(ASKED)
    assert isinstance(again, NotServed) and again.reason == "not_in_this_state"


def test_a_loss_reported_weeks_later_locks_the_card_though_an_earlier_report_was_never_answered(
    town: Town, line: ScriptedLine, elsewhere: Offices
) -> None:
    office, stolen = elsewhere.of(AGENT), replace(ASKED, service=Service.LOSE, amount_fen=0)
    assert office.serve(ASKED) == Served(Service.ISSUE, FIRST, 2_000)
    line.script = ANSWER_LOST * TRIES
    with pytest.raises(OfficeGone):
        office.serve(stolen)
    assert office.standing(FIRST) == CardStanding("lost", stopped=True)
    # Nobody asked again, as the card was found at once.
    assert office.serve(replace(stolen, service=Service.FIND)) == Served(Service.FIND, FIRST, cards=1)
    town.now += timedelta(days=20)
    assert office.serve(stolen) == Served(Service.LOSE, FIRST, cards=1)
    assert office.standing(FIRST) == CardStanding("lost", stopped=True)


@pytest.mark.parametrize("lost", range(4))
def test_a_load_loses_no_money_whichever_answer_is_lost(
    town: Town, line: ScriptedLine, elsewhere: Offices, lost: int
) -> None:
    """A whole load asks once for the authorisation and once for the proof; a look asks what waits."""
    card = town.new_card()
    line.script = [*[Fate.PASS] * 2 * (lost // 2), *(ANSWER_LOST if lost % 2 else QUESTION_LOST)]
    with town.counter(A) as counter:
        outcome = counter.load(card, 5_000, at=town.later())
    assert (outcome.refusal, card.state.purse.balance_fen) == (None, 5_000)
    assert (town.fen(f"purse:{number_of(card)}"), town.fen(f"agent:{AGENT}")) == (5_000, 5_000)
    with reading(town.engine) as conn:
        assert conn.scalar(select(func.count()).select_from(load_attempt)) == 1
    town.check(card)


def test_a_load_given_back_whose_answer_is_lost_is_paid_out_once(
    town: Town, line: ScriptedLine, elsewhere: Offices
) -> None:
    card = town.new_card()
    with town.counter(A) as counter:
        request = counter._begin(card, counter._present(card), 5_000, town.later())
        assert isinstance(elsewhere.of(AGENT).authorise(request), bytes)
        (waiting,) = elsewhere.of(AGENT).waiting(number_of(card))
        line.seen.clear()
        line.script = [*[Fate.PASS] * 2, *ANSWER_LOST]
        outcome = counter.give_back(card, waiting.reference, at=town.later())
    assert sum("loads/return" in one and "POST" in one for one in line.seen if not one[0].isdigit()) == 2
    assert (outcome.refusal, town.fen(f"agent:{AGENT}"), town.fen(f"load:{number_of(card)}")) == (None, 0, 0)
    town.check(card)


def test_an_office_that_is_not_there_costs_nothing_and_is_said_in_plain_words(
    town: Town, tmp_path: Path
) -> None:
    card = town.new_card()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    with (
        offices(address, tmp_path, lambda: MORNING) as away,
        LoadJournal(tmp_path / "away.db", "off") as journal,
    ):
        office = away.of(AGENT)
        counter = LoadCounter(A, journal, office, Hotlist(0))
        outcome = counter.load(card, 5_000, at=town.later())
        assert outcome.refusal is LoadRefusal.OFFICE_GONE
        assert address in outcome.detail and "look at the network" in outcome.detail
        screen = CounterDesk(
            office,
            counter,
            lambda: nullcontext(card),
            terminal=A,
            clerk="ann",
            receipts=tmp_path,
            now=town.later,
            selling=lambda: till_of(None, A),
        )
        said = screen.do(Order(Service.LOSE, (number_of(card),)), None).text
        assert "No answer from the office: do the same again later, it is done once" in said.english
        assert "后台无应答" in said.chinese and not said.good
        assert (office._questions.open(), journal.begun(number_of(card)) is not None) == (1, True)
    assert (card.state.purse.balance_fen, town.waiting(number_of(card))) == (0, [])


@pytest.mark.parametrize(
    ("credentials", "remedy"),
    [
        (Credentials(AGENT, "another secret"), "client_secret is wrong; look at ONECARD_OFFICE_CLIENT"),
        (Credentials("NOBODY", SECRET), "let client 'NOBODY' in"),
    ],
)
def test_a_counter_that_is_not_let_in_is_told_what_to_look_at(
    town: Town, line: ScriptedLine, tmp_path: Path, credentials: Credentials, remedy: str
) -> None:
    with (
        httpx.Client(base_url=line.address, trust_env=False, verify=False) as client,
        offices(line.address, tmp_path, lambda: MORNING) as stack,
    ):
        office = RemoteOffice(OfficeLine(client, credentials, time.sleep), stack.questions("X"))
        with pytest.raises(OfficeGone, match=remedy):
            office.standing(FIRST)


def test_a_token_that_is_over_is_replaced_without_a_word(town: Town, elsewhere: Offices) -> None:
    town.now += timedelta(hours=2)
    assert elsewhere.of(AGENT).standing(FIRST).state == "personalised"


def test_another_agents_counter_takes_its_own_money(town: Town, elsewhere: Offices) -> None:
    elsewhere.of(AGENTS[1]).serve(replace(ASKED, card_no=SECOND))
    assert (town.fen(f"agent:{AGENTS[1]}"), town.fen(f"agent:{AGENT}")) == (2_000, 0)


def test_a_hotlisted_card_is_known_at_once_at_a_counter_elsewhere(town: Town, elsewhere: Offices) -> None:
    office, card = elsewhere.of(AGENT), town.new_card()
    stopped = StoppedCards(office)
    assert number_of(card) not in stopped
    office.serve(ServiceAsked(Service.BLOCK, number_of(card), "ann", "bent"))
    assert number_of(card) in stopped


def test_an_address_that_is_no_offices_is_said_to_be_none(town: Town, tmp_path: Path) -> None:
    with (
        serving(FastAPI()) as address,
        offices(address, tmp_path, lambda: MORNING) as other,
        pytest.raises(OfficeGone, match="there is no office for counters; look at --office"),
    ):
        other.of(AGENT).standing(FIRST)

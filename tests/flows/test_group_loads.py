"""Loads that are booked together or as a day ends: they are kept like any counter's, and proved all the same."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from city.office import Office
from city.processes import RunningHsm
from clearing.tables import load_attempt
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from terminals.counter import LoadCounter, LoadRefusal
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal
from terminals.reader import CardGone
from tests.support.load_counters import (
    DAY,
    MORNING,
    A,
    B,
    Interruption,
    Stopping,
    Town,
    found_town,
    number_of,
)

AMOUNT_FEN = 5_000
CREDIT = 2
"""SELECT, INITIALIZE FOR LOAD, CREDIT FOR LOAD."""


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm, tmp_path: Path) -> Town:
    return found_town(engine, city_hsm, hsm_process.transport_key_file, tmp_path)


def attempts(town: Town) -> list[tuple[str, int, int, str]]:
    columns = load_attempt.c
    query = select(columns.reference, columns.number, columns.load_counter, columns.terminal)
    with reading(town.engine) as conn:
        return [tuple(row) for row in conn.execute(query.order_by(columns.reference, columns.number))]


def load_together(town: Town, cards: list[Any], journal: str = "morning") -> list[LoadRefusal | None]:
    """Load cards at one counter, booked at its end."""
    office = Office(town.engine, town.hsm, "AGENT-1", DAY)
    with LoadJournal(town.folder / f"{journal}.db", "off") as kept, office.together():
        counter = LoadCounter(A, kept, office, Hotlist(0))
        return [counter.load(card, AMOUNT_FEN, at=town.now).refusal for card in cards]


def test_every_load_of_a_group_has_its_attempt_and_a_second_run_of_the_morning_adds_none(town: Town) -> None:
    cards = [town.new_card() for _ in range(3)]
    assert load_together(town, cards) == [None] * 3
    kept = attempts(town)
    assert kept == [(f"{number_of(card)}:{card.state.purse.load_sequence - 1}", 1,
                     card.state.purse.load_sequence - 1, A) for card in cards]  # fmt: skip
    again = [town.factory_card(number_of(card)) for card in cards]  # the chips of before the crash
    assert load_together(town, again, "second run") == [None] * 3
    assert attempts(town) == kept
    for card in cards:
        town.check(card)


@pytest.mark.parametrize("credited", [True, False])
def test_a_load_of_a_group_that_was_torn_is_ended_at_another_counter_once(town: Town, credited: bool) -> None:
    whole, torn = town.new_card(), town.new_card()
    stopped = Stopping("card", torn, Interruption(CREDIT, after=credited), CardGone)
    assert load_together(town, [whole, stopped]) == [None, LoadRefusal.TORN]
    (waiting,) = town.waiting(number_of(torn))
    assert [one.terminal for one in waiting.attempts] == [A]
    assert town.do(B, torn, "complete") == ("already_made" if credited else "done")
    assert torn.state.purse.balance_fen == town.fen(f"purse:{number_of(torn)}") == AMOUNT_FEN
    for card in (whole, torn):
        town.check(card)


class HsmAtMidnight(Hsm):
    """A client of the HSM whose answers come when the business day has just been cut off and closed."""

    engine: Engine

    def verify_load_tac(self, keys: CardKeyRef, **facts: Any) -> bool:
        right = super().verify_load_tac(keys, **facts)
        with writing(self.engine) as conn:
            begin_close(conn, DAY, at=MORNING)
            finish_close(conn, DAY, at=MORNING)
        return right


def test_a_proof_that_comes_as_the_day_is_closed_is_booked_on_the_next_one(
    town: Town, hsm_process: RunningHsm
) -> None:
    card = town.new_card()
    with HsmAtMidnight(hsm_process.host, hsm_process.port) as town.hsm:
        town.hsm.engine = town.engine
        assert town.do(A, card, "load", AMOUNT_FEN) == "done"
    town.check(card)
    assert town.fen(f"purse:{number_of(card)}") == card.state.purse.balance_fen == AMOUNT_FEN

"""A load stopped at every step: its money is in one place, listed, and finished or taken back anywhere."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.online.load import LoadBooked, LoadOrder, authorise_loads
from clearing.wire.bcd import pack_moment
from ledger.db import writing
from terminals.loads import Decline, Declined
from tests.support.depth import examples
from tests.support.load_counters import AGENTS, DAY, A, B, C, Interruption, Town, found_town, number_of
from tests.support.remote_offices import office_service, offices

AMOUNT_FEN = 5_000
MOST_STEPS = 30


pytestmark = pytest.mark.parametrize(
    ("database_url", "office"),
    [("sqlite", "here"), ("postgresql", "here"), ("sqlite", "elsewhere")],
    indirect=True,
)


@pytest.fixture
def office(request: pytest.FixtureRequest) -> str:
    """Where the counters' office is."""
    return str(request.param)


@pytest.fixture
def town(
    office: str, engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm, tmp_path: Path
) -> Iterator[Town]:
    """A town whose counters have their office in the same process, or across the network."""
    made = found_town(engine, city_hsm, hsm_process.transport_key_file, tmp_path)
    if office == "here":
        yield made
        return
    with (
        office_service(engine, city_hsm, lambda: made.now, AGENTS) as address,
        offices(address, tmp_path, lambda: made.now) as made.elsewhere,
    ):
        yield made


def paid_fen(town: Town) -> int:
    """What agents have in hand of what customers paid."""
    return sum(town.fen(f"agent:AGENT-{terminal[-1]}") for terminal in (A, B, C))


def steps_of_a_load(town: Town) -> list[str]:
    watch = Interruption()
    card = town.new_card()
    assert town.do(A, card, "load", AMOUNT_FEN, watch) == "done"
    town.check(card)
    return watch.steps


@pytest.mark.parametrize("end", ["complete", "give_back"])
@pytest.mark.parametrize("power", [True, False], ids=["dark", "torn"])
def test_a_load_stopped_at_any_step_is_ended_at_another_counter(town: Town, power: bool, end: str) -> None:
    steps = steps_of_a_load(town)
    assert {"card.transmit", "office.authorise", "office.confirm", "journal.begin", "journal.prove"} < set(
        steps
    )
    for at, step in enumerate(steps):
        for after in (False, True):
            card, before_fen = town.new_card(), paid_fen(town)
            town.do(A, card, "load", AMOUNT_FEN, Interruption(at, after, power))
            town.check(card)
            listed, held_fen = town.waiting(number_of(card)), card.state.purse.balance_fen
            taken_fen = paid_fen(town) - before_fen
            assert taken_fen in (0, AMOUNT_FEN), step
            assert bool(listed) == bool(taken_fen and not town.fen(f"purse:{number_of(card)}")), step
            said = town.do(B, card, end)
            if listed:
                assert said == ("done" if held_fen == 0 else "already_made"), step
            town.check(card)
            assert town.waiting(number_of(card)) == [], step
            kept_fen = AMOUNT_FEN if held_fen or (listed and end == "complete") else 0
            assert card.state.purse.balance_fen == town.fen(f"purse:{number_of(card)}") == kept_fen, step
            assert paid_fen(town) - before_fen == kept_fen, step


@pytest.mark.parametrize("act", ["complete", "give_back", "look"])
def test_ending_a_load_may_itself_be_stopped_at_any_step(town: Town, act: str) -> None:
    begun = Interruption(at=7, after=False)  # the card is asked to credit itself, and is gone
    watch, card = Interruption(), town.new_card()
    town.do(A, card, "load", AMOUNT_FEN, begun)
    assert begun.steps[-2:] == ["office.authorise", "card.transmit"]
    town.do(B, card, act, stop=watch)
    for at in range(len(watch.steps)):
        for after in (False, True):
            card, before_fen = town.new_card(), paid_fen(town)
            town.do(A, card, "load", AMOUNT_FEN, Interruption(at=7))
            town.do(B, card, act, stop=Interruption(at, after, power=True))
            town.check(card)
            town.do(C, card, "look")
            town.do(C, card, "complete")
            town.check(card)
            assert town.waiting(number_of(card)) == []
            assert paid_fen(town) - before_fen == card.state.purse.balance_fen


ACTS = st.tuples(
    st.sampled_from([A, B, C]),
    st.sampled_from(["load", "load", "complete", "give_back", "look"]),
    st.sampled_from([100, 250]),
    st.none() | st.integers(0, MOST_STEPS),
    st.booleans(),
    st.booleans(),
)


@examples(12)
@given(acts=st.lists(ACTS, max_size=8), end=st.sampled_from(["complete", "give_back"]))
def test_whatever_stops_where_all_money_is_accounted_for(
    town: Town, acts: list[tuple[str, str, int, int | None, bool, bool]], end: str
) -> None:
    card, before_fen = town.new_card(), paid_fen(town)
    for terminal, act, amount_fen, at, after, power in acts:
        town.do(terminal, card, act, amount_fen, Interruption(at, after, power))
        town.check(card)
    town.do(C, card, "look")
    while town.waiting(number_of(card)):
        assert town.do(B, card, end) == "done"
        town.check(card)
    held_fen = card.state.purse.balance_fen
    assert held_fen == town.fen(f"purse:{number_of(card)}") == paid_fen(town) - before_fen
    for terminal in (A, B, C):  # journals that still hold an old attempt do no harm
        for _ in range(2):
            if town.do(terminal, card, "load", 300) == "done":
                break
        town.check(card)
    assert town.waiting(number_of(card)) == []


def test_a_load_made_and_not_told_is_proved_by_the_counter_after_the_card_went_on(town: Town) -> None:
    card = town.new_card()
    town.do(A, card, "load", AMOUNT_FEN, Interruption(at=7, after=True, power=True))
    assert card.state.purse.balance_fen == AMOUNT_FEN
    assert (
        town.do(B, card, "load", 700) == "done"
    )  # nobody has looked: the new load's offer proves the old one
    town.check(card)
    assert town.waiting(number_of(card)) == []
    assert town.do(A, card, "load", 300) == "done"  # and the terminal that was cut off has nothing to add
    town.check(card)
    assert card.state.purse.balance_fen == town.fen(f"purse:{number_of(card)}") == AMOUNT_FEN + 700 + 300


def test_a_load_that_waits_stands_in_the_way_of_another_until_it_is_ended(town: Town) -> None:
    card = town.new_card()
    town.do(A, card, "load", AMOUNT_FEN, Interruption(at=7))
    assert town.do(B, card, "load", 700) == "unfinished"
    assert town.do(B, card, "give_back") == "done"
    assert (paid_fen(town), town.fen("agent:AGENT-2")) == (0, -AMOUNT_FEN)
    assert town.do(B, card, "load", 700) == "done"
    assert town.do(A, card, "load", AMOUNT_FEN) == "done"
    town.check(card)
    assert card.state.purse.balance_fen == 700 + AMOUNT_FEN


def test_a_terminal_whose_load_was_returned_elsewhere_is_told_so(town: Town) -> None:
    card = town.new_card()
    town.do(A, card, "load", AMOUNT_FEN, Interruption(at=7))
    town.do(B, card, "give_back")
    assert town.do(A, card, "load", AMOUNT_FEN) == "returned"
    assert (card.state.purse.balance_fen, paid_fen(town)) == (0, 0)
    assert town.do(A, card, "load", AMOUNT_FEN) == "done"
    town.check(card)


@pytest.mark.parametrize("written", [True, False], ids=["written", "on-its-way"])
def test_nothing_is_given_back_while_another_counter_may_be_writing_it(town: Town, written: bool) -> None:
    watch, rehearsal, card = Interruption(), town.new_card(), town.new_card()
    for one in (rehearsal, card):
        town.do(A, one, "load", AMOUNT_FEN, Interruption(at=7))
    town.do(C, rehearsal, "complete", stop=watch)
    credit = max(number for number, step in enumerate(watch.steps) if step == "card.transmit")
    with town.counter(B) as at_b:
        told = at_b._office.waiting(number_of(card))[0]
        card.reset()
        offer = at_b._ask(card, at_b._present(card), told, town.later())
        town.do(C, card, "complete", stop=None if written else Interruption(credit, power=True))
        late = at_b._office.give_back(offer, told.attempts)
    assert (late and late.reason) is (Decline.PROVED if written else Decline.UNFINISHED)
    town.check(card)
    assert town.do(C, card, "complete") == ("nothing" if written else "done")
    town.check(card)


@pytest.mark.parametrize(
    ("loaded_fen", "reason"), [(100, "is of 5000 fen, not 100"), (AMOUNT_FEN, "its TAC is wrong")]
)
def test_the_proof_of_one_load_is_none_of_another_that_waits(
    town: Town, loaded_fen: int, reason: str
) -> None:
    told = steps_of_a_load(town).index("office.confirm")
    card, at = town.new_card(), town.later()
    order = LoadOrder(number_of(card), AMOUNT_FEN, AGENTS[0], "ordered-elsewhere", DAY, at)
    with writing(town.engine) as conn:
        assert authorise_loads(conn, [order], at=at) == [LoadBooked(order.reference, first_time=True)]
    town.do(A, card, "load", loaded_fen, Interruption(told, power=True))
    with town.counter(A) as counter:
        (made,) = counter._journal.unconfirmed()
        request = replace(made.request, order=order.reference, ordered_at=pack_moment(at))
        declined = counter._office.confirm(replace(made, request=request))
        assert isinstance(declined, Declined) and reason in declined.message
        town.check(card)
        assert town.fen(f"purse:{number_of(card)}") == 0
        assert counter.confirm_outstanding() == 1
    town.check(card)
    assert card.state.purse.balance_fen == town.fen(f"purse:{number_of(card)}") == loaded_fen
    assert [one.reference for one in town.waiting(number_of(card))] == [order.reference]


def test_the_list_of_attempts_is_append_only(town: Town) -> None:
    town.do(A, town.new_card(), "load", AMOUNT_FEN)
    for change in ("UPDATE load_attempt SET balance_fen = 1", "DELETE FROM load_attempt"):
        with pytest.raises(DBAPIError, match="append-only"), writing(town.engine) as conn:
            conn.execute(text(change))

"""A card torn out of the field at any moment: never debited twice for a ride, never a paid ride lost."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearing.wire.batch import Ride
from terminals.outbox import Outbox
from terminals.outcome import Refusal
from terminals.sam import HsmSam
from terminals.validator import RETURN_WINDOW, RideFacts
from tests.terminals.depot import (
    AT,
    BUS,
    EXIT,
    FAR_GATE,
    GATE,
    NEXT_GATE,
    Depot,
    ListeningSam,
    PowerLoss,
    TearingCard,
    returned,
)

APDUS = 6
DEBIT = 5
"""SELECT, GET BALANCE, INITIALIZE, UPDATE CAPP DATA CACHE for trip and paid area, DEBIT; in a bus one fewer."""
SOON = AT + timedelta(seconds=5)


def torn_at_debit(depot: Depot, ride: RideFacts = EXIT) -> TearingCard:
    """A card that has paid, and was gone before it could say so."""
    card = TearingCard(depot.card(), at=DEBIT - (ride.ride is Ride.BUS), after=True)
    assert depot.validator().tap(card, ride, at=AT).refusal is Refusal.TORN
    assert (len(depot.outbox.pendings()), depot.outbox.records()) == (1, [])
    return card


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(APDUS))
def test_torn_at_any_apdu_the_ride_is_paid_once_and_recorded_once(depot: Depot, at: int, after: bool) -> None:
    validator, card = depot.validator(), TearingCard(depot.card(), at=at, after=after)
    outcome = validator.tap(card, EXIT, at=AT)
    assert outcome.refusal is Refusal.TORN
    assert not outcome.opened

    again = validator.tap(returned(card.card), EXIT, at=SOON)
    assert again.opened
    paid_before = at == DEBIT and after
    assert (again.recovered is not None) is paid_before
    assert card.card.state.purse.balance_fen == 10000 - 475
    assert card.card.state.purse.purchase_sequence == 0x37
    (record,) = depot.outbox.records()
    assert record == again.record
    assert depot.tac_holds(record)
    assert (depot.outbox.pendings(), depot.outbox.unresolved()) == ([], [])


@pytest.mark.parametrize("at", range(APDUS))
def test_power_lost_at_any_apdu_the_ride_is_paid_once_and_recorded_once(
    depot: Depot, tmp_path: Path, at: int
) -> None:
    path, card = tmp_path / "power.db", TearingCard(depot.card(), at=at, after=True, error=PowerLoss)
    with Outbox(path) as outbox:
        dark = depot.with_outbox(outbox)
        with pytest.raises(PowerLoss):
            dark.validator().tap(card, EXIT, at=AT)
    with Outbox(path) as outbox:
        light = depot.with_outbox(outbox)
        assert light.validator().tap(returned(card.card), EXIT, at=SOON).opened
        (record,) = outbox.records()
    assert depot.tac_holds(record)
    assert card.card.state.purse.balance_fen == 10000 - 475


@pytest.mark.parametrize("ride", [EXIT, replace(EXIT, ride=Ride.METRO_ENTRY, list_fare_fen=0)])
def test_in_a_station_the_next_gate_opens_for_the_ride_paid_at_the_first(
    depot: Depot, ride: RideFacts
) -> None:
    card = torn_at_debit(depot, ride)
    outcome = depot.validator(NEXT_GATE).tap(returned(card.card), ride, at=SOON)
    assert outcome.opened
    assert outcome.record == outcome.recovered
    assert [record.terminal for record in depot.outbox.records()] == [GATE]
    assert card.card.state.purse.purchase_sequence == 0x37


@pytest.mark.parametrize(
    ("terminal", "first", "second", "later"),
    [
        (NEXT_GATE, BUS, BUS, timedelta(seconds=5)),
        (FAR_GATE, EXIT, replace(EXIT, station=13), timedelta(seconds=5)),
        (GATE, EXIT, BUS, timedelta(seconds=5)),
        (GATE, EXIT, EXIT, RETURN_WINDOW + timedelta(seconds=1)),
    ],
    ids=["another bus", "another station", "another ride", "too late to be the same"],
)
def test_another_ride_brings_the_torn_one_home_and_is_paid_itself(
    depot: Depot, terminal: str, first: RideFacts, second: RideFacts, later: timedelta
) -> None:
    card = torn_at_debit(depot, first)
    outcome = depot.validator(terminal).tap(returned(card.card), second, at=AT + later)
    assert outcome.opened
    assert [outcome.recovered, outcome.record] == depot.outbox.records()
    assert [record.counter for record in depot.outbox.records()] == [0x36, 0x37]
    assert all(depot.tac_holds(record) for record in depot.outbox.records())
    assert card.card.state.purse.balance_fen == 10000 - sum(r.amount_fen for r in depot.outbox.records())


def test_a_torn_ride_comes_home_even_where_the_next_is_refused(depot: Depot) -> None:
    card = torn_at_debit(depot, BUS)
    dear = replace(BUS, list_fare_fen=99_999)
    outcome = depot.validator(NEXT_GATE).tap(returned(card.card), dear, at=SOON)
    assert outcome.refusal is Refusal.FARE_OUT_OF_BOUNDS
    assert depot.outbox.records() == [outcome.recovered]


def test_a_card_that_rode_elsewhere_since_leaves_the_torn_ride_for_a_person(
    depot: Depot, tmp_path: Path
) -> None:
    card = torn_at_debit(depot)
    with Outbox(tmp_path / "elsewhere.db", "off") as outbox:
        elsewhere = depot.with_outbox(outbox)
        assert elsewhere.validator(FAR_GATE).tap(returned(card.card), BUS, at=SOON).opened
    assert depot.validator().tap(returned(card.card), EXIT, at=AT + timedelta(minutes=1)).opened
    ((lost, counter_found),) = depot.outbox.unresolved()
    assert (lost.counter, counter_found, depot.outbox.pendings()) == (0x36, 0x38, [])
    assert [record.counter for record in depot.outbox.records()] == [0x38]


def test_torn_while_it_proves_the_ride_stays_remembered(depot: Depot) -> None:
    card = torn_at_debit(depot)
    card.card.reset()
    twice = TearingCard(card.card, at=1)
    assert depot.validator().tap(twice, EXIT, at=SOON).refusal is Refusal.TORN
    assert len(depot.outbox.pendings()) == 1
    assert depot.validator().tap(returned(card.card), EXIT, at=SOON).opened
    assert len(depot.outbox.records()) == 1


def test_a_sam_that_knows_only_its_last_purchase_leaves_the_gate_to_the_staff_and_keeps_the_ride(
    depot: Depot,
) -> None:
    card = torn_at_debit(depot)
    sam = ListeningSam(HsmSam(GATE, depot.hsm, depot.outbox), chip=True)
    outcome = depot.validator(sam=sam).tap(returned(card.card), EXIT, at=SOON)
    assert outcome.refusal is Refusal.UNPROVEN
    assert depot.outbox.records() == [outcome.recovered]
    assert depot.outbox.pendings() == []


def test_a_false_proof_opens_nothing_and_records_nothing(depot: Depot) -> None:
    card = torn_at_debit(depot)
    card.card.reset()
    lying = TearingCard(card.card, at=1, spoil=lambda answer: bytes(4) + answer[4:])
    assert depot.validator().tap(lying, EXIT, at=SOON).refusal is Refusal.MAC_WRONG
    assert (len(depot.outbox.pendings()), depot.outbox.records()) == (1, [])


def test_without_the_sam_a_proof_waits(depot: Depot) -> None:
    card = torn_at_debit(depot)
    sam = ListeningSam(HsmSam(GATE, depot.hsm, depot.outbox), gone_at=0x72)
    assert depot.validator(sam=sam).tap(returned(card.card), EXIT, at=SOON).refusal is Refusal.SAM_UNAVAILABLE
    assert (len(depot.outbox.pendings()), depot.outbox.records()) == (1, [])


def test_memory_failure_in_the_debit_is_taken_for_a_tear(depot: Depot) -> None:
    card = TearingCard(depot.card(), at=DEBIT, spoil=lambda answer: b"\x65\x81")
    assert depot.validator().tap(card, EXIT, at=AT).refusal is Refusal.TORN
    assert depot.validator().tap(returned(card.card), EXIT, at=SOON).opened
    assert card.card.state.purse.balance_fen == 10000 - 475


TAPS = st.tuples(
    st.sampled_from([GATE, NEXT_GATE]),
    st.sampled_from([EXIT, BUS, RideFacts(Ride.METRO_ENTRY, 0, line=3, station=12)]),
    st.none() | st.integers(0, APDUS),
    st.booleans(),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TAPS, max_size=12))
def test_whatever_tears_every_debit_ends_as_one_record(
    depot: Depot,
    tmp_path_factory: pytest.TempPathFactory,
    taps: list[tuple[str, RideFacts, int | None, bool]],
) -> None:
    card, opened = depot.card(purchase_sequence=0), 0
    with Outbox(tmp_path_factory.mktemp("day") / "outbox.db", "off") as outbox:
        day = depot.with_outbox(outbox)
        for minute, (terminal, ride, at, after) in enumerate([*taps, (GATE, BUS, None, False)]):
            card.reset()
            torn = TearingCard(card, at=at, after=after)
            opened += day.validator(terminal).tap(torn, ride, at=AT + timedelta(minutes=minute)).opened
        records = outbox.records()
        assert (outbox.pendings(), outbox.unresolved()) == ([], [])
    assert [record.counter for record in records] == list(range(card.state.purse.purchase_sequence))
    assert 10000 - card.state.purse.balance_fen == sum(record.amount_fen for record in records)
    assert all(day.tac_holds(record) for record in records)
    assert opened <= len(records)
    for terminal in (GATE, NEXT_GATE):
        numbers = [record.terminal_sequence for record in records if record.terminal == terminal]
        assert numbers == sorted(set(numbers))

"""Taps that make journeys: transfers within the window, entries without exits, concessions, and what clearing pays."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.chip.applet import VirtualCard
from card.chip.records import PaidArea, TripKind, TripRecord
from clearing.wire.bcd import pack_moment
from clearing.wire.journey import CardSays, Finding, leg_of
from clearing.wire.record import TapRecord
from clearing.wire.ride import Ride
from clearing.wire.tariff import TariffError, fare_fen, parse_tariff
from terminals.display import shown
from terminals.hotlist import Hotlist
from terminals.outcome import Outcome, Refusal
from terminals.sam import HsmSam
from terminals.standing import RideFacts
from terminals.trip import Identity
from terminals.validator import Validator
from tests.terminals.depot import AT, PUBLIC, Depot
from tests.terminals.signed_files import JOURNEYS, tariff_text

TARIFF = parse_tariff(tariff_text(journeys=JOURNEYS))
assert TARIFF.journeys is not None
TERMS = TARIFF.journeys
FARES: dict[tuple[int, int] | None, int] = {(3, 12): 300, (3, 14): 500, (1, 2): 700}
STOPS = {
    "bus 1": RideFacts(Ride.BUS, 0, line=1, fares_fen={None: 200}),
    "bus 2": RideFacts(Ride.BUS, 0, line=2, fares_fen={None: 200}),
    "ferry": RideFacts(Ride.FERRY, 0, line=90, fares_fen={None: 400}),
    "in 12": RideFacts(Ride.METRO_ENTRY, 0, line=3, station=12, fares_fen={}),
    "in 14": RideFacts(Ride.METRO_ENTRY, 0, line=3, station=14, fares_fen={}),
    "in 99": RideFacts(Ride.METRO_ENTRY, 0, line=3, station=99, fares_fen={}),
    "out": RideFacts(Ride.METRO_EXIT, 0, line=1, station=2, fares_fen=FARES),
}
C = Finding


@dataclass
class Rider:
    """A card on its way through the city."""

    depot: Depot
    card: VirtualCard
    now: datetime = AT
    outcomes: list[Outcome] = field(default_factory=list)

    def taps(self, stop: str, minutes: int) -> Outcome:
        """Some minutes later at a stop."""
        self.now += timedelta(minutes=minutes)
        self.card.reset()
        terminal = f"5180{list(STOPS).index(stop):08d}"
        sam = HsmSam(terminal, self.depot.hsm, self.depot.outbox)
        door = Validator(Identity(terminal), sam, self.depot.outbox, TARIFF, Hotlist(7))
        self.outcomes.append(door.tap(self.card, STOPS[stop], at=self.now))
        return self.outcomes[-1]


@pytest.mark.parametrize(
    ("way", "paid"),
    [
        ([("bus 1", 0)], [(160, False, C.COMPLETE)]),
        ([("bus 1", 0), ("bus 1", 5)], [(160, False, C.COMPLETE), (160, False, C.COMPLETE)]),
        ([("bus 1", 0), ("bus 2", 60)], [(160, False, C.COMPLETE), (120, True, C.COMPLETE)]),
        ([("bus 1", 0), ("bus 2", 61)], [(160, False, C.COMPLETE), (160, False, C.COMPLETE)]),
        ([("bus 1", 0), ("ferry", 20)], [(160, False, C.COMPLETE), (360, True, C.COMPLETE)]),
        ([("in 12", 0), ("out", 30)], [(0, False, C.COMPLETE), (285, False, C.COMPLETE)]),
        ([("in 14", 0), ("out", 180)], [(0, False, C.COMPLETE), (475, False, C.COMPLETE)]),
        ([("bus 1", 0), ("in 12", 50), ("out", 30)],
         [(160, False, C.COMPLETE), (0, False, C.COMPLETE), (245, True, C.COMPLETE)]),
        ([("bus 1", 0), ("in 12", 61), ("out", 30)],
         [(160, False, C.COMPLETE), (0, False, C.COMPLETE), (285, False, C.COMPLETE)]),
        ([("in 12", 0), ("out", 30), ("bus 2", 10)],
         [(0, False, C.COMPLETE), (285, False, C.COMPLETE), (120, True, C.COMPLETE)]),
        ([("out", 0)], [(760, False, C.ENTRY_MISSING)]),
        ([("in 12", 0), ("out", 181)], [(0, False, C.COMPLETE), (760, False, C.OVERSTAYED)]),
        ([("in 12", 0), ("in 14", 60), ("out", 20)],
         [(0, False, C.COMPLETE), (760, False, C.EXIT_MISSING), (475, False, C.COMPLETE)]),
        ([("in 12", 0), ("in 12", 10)], [(0, False, C.COMPLETE), (760, False, C.EXIT_MISSING)]),
        ([("in 12", 0), ("in 12", 9)], [(0, False, C.COMPLETE), Refusal.ALREADY_INSIDE]),
        ([("in 99", 0), ("out", 9)], [(0, False, C.COMPLETE), Refusal.FARE_OUT_OF_BOUNDS]),
    ],
)  # fmt: skip
def test_what_the_card_carries_says_what_each_tap_of_a_journey_costs(
    depot: Depot, way: list[tuple[str, int]], paid: list[Any]
) -> None:
    rider = Rider(depot, depot.card())
    for stop, minutes in way:
        rider.taps(stop, minutes)
    assert [
        (one.record.amount_fen, one.record.linked, one.finding) if one.record else one.refusal
        for one in rider.outcomes
    ] == paid
    records = depot.outbox.records()
    assert 10000 - rider.card.state.purse.balance_fen == sum(record.amount_fen for record in records)
    assert all(priced_at_clearing(record) == record.amount_fen for record in records)
    assert all(depot.tac_holds(record) for record in records)


def priced_at_clearing(record: TapRecord) -> int:
    """What the night finds by the record alone; it holds taps above the ride's limit."""
    assert record.amount_fen <= TARIFF.max_fare_fen[record.ride]
    return fare_fen(
        TARIFF, ride=record.ride, list_fare_fen=record.list_fare_fen, holder_class=record.holder_class,
        linked=record.linked, full_fare=record.full_fare,
    )  # fmt: skip


@pytest.mark.parametrize(("holder_class", "paid_fen"), [(1, 760), (2, 400), (3, 0)])
def test_a_concession_holds_for_an_incomplete_journey_too(
    depot: Depot, holder_class: int, paid_fen: int
) -> None:
    rider = Rider(depot, depot.card(replace(PUBLIC, holder_class=holder_class)))
    outcome = rider.taps("out", 0)
    assert outcome.record is not None
    assert outcome.record.amount_fen == paid_fen


def test_the_rider_is_told_why_an_incomplete_journey_costs_most(depot: Depot) -> None:
    rider = Rider(depot, depot.card())
    said = shown(rider.taps("out", 0))
    assert said.english == "No entry on the card, highest fare. Paid ¥7.60. Balance ¥92.40"
    assert said.chinese == "无进站记录，按最高票价 扣款7.60元 余额92.40元"
    rider.taps("in 12", 1)
    missed = shown(rider.taps("in 14", 60))
    assert missed.english.startswith("Last exit missing, charged now. Paid ¥7.60")
    assert shown(rider.taps("in 14", 1)).english == "This card has already entered"


def test_a_damaged_paid_area_counts_as_outside_and_is_written_anew(depot: Depot) -> None:
    card = depot.card()
    card._session = replace(card._session, state=replace(card.state, paid_area=b"\1" * 128))
    rider = Rider(depot, card)
    assert rider.taps("in 12", 0).opened
    area = PaidArea.unpack(card.state.paid_area)
    assert (area.inside, area.line, area.station, area.moment) == (True, 3, 12, pack_moment(AT))
    assert rider.taps("out", 5).finding is Finding.COMPLETE
    assert not PaidArea.unpack(card.state.paid_area).inside


moments = st.integers(-400, 400).map(lambda minutes: pack_moment(AT + timedelta(minutes=minutes)))
areas = st.none() | st.builds(
    PaidArea, st.booleans(), moments | st.just(bytes(7)), st.integers(1, 3), st.sampled_from([2, 12, 14])
)
trips = st.builds(
    lambda kind, industry, line, moment: TripRecord(
        kind, bytes(8), industry, bytes([0, line]), bytes(2), bytes(2), 0, 0, moment, bytes(2), bytes(8)
    ),
    st.sampled_from(TripKind), st.integers(1, 3), st.integers(1, 3), moments | st.just(b"\xff" * 7),
)  # fmt: skip


@given(st.sampled_from(list(STOPS.values())), areas, st.lists(trips, max_size=3))
def test_whatever_a_card_carries_a_leg_costs_a_fare_of_the_table_or_the_incomplete_one(
    stop: RideFacts, area: PaidArea | None, carried: list[TripRecord]
) -> None:
    fares = stop.fares_fen or {}
    leg = leg_of(
        TERMS, ride=stop.ride, here=(stop.line, stop.station), fares_fen=fares,
        says=CardSays(area, tuple(carried)), at=AT,
    )  # fmt: skip
    if leg.finding is Finding.COMPLETE:
        assert leg.list_fare_fen in {*fares.values(), 0}
    else:
        assert leg.list_fare_fen == (TERMS.incomplete_fen if leg.taken else 0)
        assert not leg.linked
    if leg.linked:
        assert stop.ride is not Ride.METRO_ENTRY
        assert carried


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"incomplete_fen": 3001}, "journeys.incomplete_fen"),
        ({"stay_minutes": -1}, "journeys.stay_minutes"),
        ({"transfer_window_minutes": 1441}, "journeys.transfer_window_minutes"),
        ({"colour": 1}, "journeys.colour"),
    ],
)
def test_terms_of_journeys_that_cannot_be_held_are_named(changed: dict[str, int], field: str) -> None:
    with pytest.raises(TariffError) as refused:
        parse_tariff(tariff_text(journeys=JOURNEYS | changed))
    assert refused.value.field == field


def test_a_city_without_a_ferry_prices_none() -> None:
    inland = parse_tariff(tariff_text())
    assert Ride.FERRY not in inland.max_fare_fen
    with pytest.raises(TariffError, match="prices no such ride"):
        fare_fen(inland, ride=Ride.FERRY, list_fare_fen=1, holder_class=1, linked=False, full_fare=True)

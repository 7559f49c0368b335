"""The fare kernel gives every tap of random histories what the slow function of the card's history gives it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.sectors.transit.fare_arrays import FareColumns
from clearing.sectors.transit.fare_columns import price_columns
from clearing.sectors.transit.fare_exact import fits_words
from clearing.sectors.transit.fare_reference import price_slowly
from clearing.sectors.transit.fare_taps import Holding
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.recorded_taps import RecordedTap
from clearing.wire.record import JOURNEYS
from tests.support.fare_columns import NightTap, fare_columns
from tests.support.fare_examples import shipped
from tests.support.random_fares import OPERATORS, fare_tariffs

BEGIN = datetime(2026, 6, 25, 18, tzinfo=UTC)
BEGIN_S = int(BEGIN.timestamp())
DAYS = 9


@st.composite
def night_taps(draw: st.DrawFn) -> list[NightTap]:
    """Up to 24 taps of two cards: new ones, unproved ones, and ones that are settled at some price."""
    found = []
    for place in range(draw(st.integers(1, 24))):
        tap = RecordedTap(
            draw(st.sampled_from(OPERATORS)),
            draw(st.integers(1, 2)),
            place,
            draw(st.sampled_from(["A", "B"])),
            BEGIN_S + 600 * draw(st.integers(0, 6 * 24 * DAYS // draw(st.sampled_from([1, 4, 12])))),
            draw(st.sampled_from(sorted(JOURNEYS))),
            draw(st.integers(1, 3)),
            draw(st.integers(1, 2)),
            draw(st.sampled_from([1, 1, 2, 3, 4])),
            draw(st.integers(0, 900)),
            draw(st.booleans()),
            draw(st.sampled_from([False, False, False, True])),
        )
        state = draw(st.sampled_from(["new", "new", "settled", "guest"]))
        settled_fen = draw(st.integers(-1, 600)) if state == "settled" else None
        found.append(NightTap(tap, state != "guest", settled_fen))
    return found


holdings = st.lists(
    st.builds(
        Holding,
        st.sampled_from(["A", "B", "C"]),
        st.just("pass"),
        st.integers(0, 24 * DAYS).map(lambda hours: BEGIN + timedelta(hours=hours)),
    ),
    max_size=2,
)


def slow(
    tariffs: tuple[FareTariff, ...], taps: FareColumns, bought: list[Holding], as_of_s: int
) -> tuple[list[int], list[int]]:
    prices, refusals = (np.zeros(len(taps.at_s), np.int64) for _ in range(2))
    price_slowly(tariffs, taps, taps.state, bought, as_of_s, prices, refusals)
    return prices.tolist(), refusals.tolist()


def fast(
    tariffs: tuple[FareTariff, ...], taps: FareColumns, bought: list[Holding], as_of_s: int
) -> tuple[list[int], list[int]]:
    found = price_columns(tariffs, taps, bought, as_of_s)
    assert (found.most_fen >= found.price_fen).all()
    return found.price_fen.tolist(), found.refusal.tolist()


@given(fare_tariffs(1), st.none() | fare_tariffs(2), night_taps(), holdings, st.integers(0, DAYS))
@settings(max_examples=60, deadline=None)
def test_the_kernel_prices_every_tap_as_the_slow_function_does(
    tariff: FareTariff, second: FareTariff | None, taps: list[NightTap], bought: list[Holding], days: int
) -> None:
    tariffs = (tariff,) if second is None else (tariff, second)
    assert fits_words(tariffs)
    columns, as_of_s = fare_columns(taps), BEGIN_S + 86_400 * days
    assert fast(tariffs, columns, bought, as_of_s) == slow(tariffs, columns, bought, as_of_s)


@given(night_taps(), holdings)
@settings(max_examples=20, deadline=None)
def test_the_kernel_prices_the_example_city_as_the_slow_function_does(
    taps: list[NightTap], bought: list[Holding]
) -> None:
    city = (shipped("example-city-1"), shipped("example-city-2"))
    columns, as_of_s = fare_columns(taps), BEGIN_S + 86_400 * DAYS
    bought = [replace(one, product="day pass") for one in bought]
    assert fast(city, columns, bought, as_of_s) == slow(city, columns, bought, as_of_s)

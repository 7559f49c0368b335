"""What changes between two tariffs: fields, pairs of stations, and what example journeys cost."""

from dataclasses import replace
from datetime import date, timedelta

from clearing.sectors.transit.fare_diff import Change, changes, example_journeys
from clearing.sectors.transit.fare_taps import Unpriced
from clearing.sectors.transit.fare_tariff import Flat
from tests.support.fare_examples import shipped

OLD, NEW = shipped("example-city-1"), shipped("example-city-2")


def test_every_field_that_differs_is_named_and_no_other() -> None:
    found = {change.field: (change.was, change.now) for change in changes(OLD, NEW)}
    assert set(found) == {
        "version", "valid_from", "valid_to", "fares.city bus.price.fare_fen", "caps.day cap.limit_fen",
        "caps.week cap.limit_fen", "calendars.holidays", "matrices.metro from 机场 to 东门",
    }  # fmt: skip
    assert found["fares.city bus.price.fare_fen"] == ("200", "250")
    assert found["matrices.metro from 机场 to 东门"] == ("700", "800")
    assert changes(OLD, OLD) == []


def test_the_order_of_discounts_is_a_change_and_so_is_one_that_goes() -> None:
    first, second, *rest = OLD.discounts
    swapped = changes(OLD, replace(OLD, discounts=(second, first, *rest)))
    assert [change.field for change in swapped] == ["discounts (order)"]
    [gone] = changes(OLD, replace(OLD, discounts=OLD.discounts[1:]))
    assert (gone.field, gone.now) == ("discounts.staff", None)
    assert changes(OLD, replace(OLD, matrices={}))[-1] == Change("matrices.metro", "10 pairs", None)


def test_stations_in_another_order_are_no_change_of_fares() -> None:
    square = OLD.matrices["metro"]
    last = len(square.stations) - 1
    turned = replace(
        square,
        stations=square.stations[::-1],
        fares_fen=tuple(
            tuple(square.fares_fen[last - to][last - place] for to in range(place + 1))
            for place in range(last + 1)
        ),
    )
    assert changes(OLD, replace(OLD, matrices={"metro": turned})) == []


def test_examples_are_found_where_calendars_list_every_day() -> None:
    every = tuple(date(2026, 1, 1) + timedelta(days=n) for n in range(730))
    listed = replace(NEW, calendars={**NEW.calendars, "service": every})
    assert len(example_journeys(OLD, listed)) >= len(example_journeys(OLD, NEW))


def test_example_journeys_tell_what_riders_gain_and_lose() -> None:
    journeys = {one.text: (one.was, one.now) for one in example_journeys(OLD, NEW)}
    assert journeys["standard, bus, one ride at 8:00 on a Wednesday"] == (200, 250)
    assert journeys["standard, bus, eight rides in a day"] == (1200, 1500)
    assert journeys["student, bus, one ride at 23:00 on a Wednesday"] == (150, 150)
    assert journeys["standard, bus, 20 minutes after metro, both legs"] == (445, 495)
    assert journeys["senior, bus, one ride at 12:00 on a Wednesday"] == (0, 0)
    assert journeys["staff, bus, two rides on twenty working days"] == (0, 0)


def test_a_journey_that_one_tariff_does_not_price_says_why() -> None:
    without = replace(NEW, modes={name: mode for name, mode in NEW.modes.items() if name != "ferry"})
    journeys = {one.text: (one.was, one.now) for one in example_journeys(OLD, without)}
    ferry = journeys["standard, ferry of 500 fen, one ride at 8:00 on a Wednesday"]
    assert ferry == (390, Unpriced.MODE_UNKNOWN)
    assert example_journeys(OLD, OLD)
    assert all(one.was == one.now for one in example_journeys(OLD, OLD))


def test_a_change_of_fare_moves_exactly_the_journeys_of_its_mode() -> None:
    dearer = replace(
        OLD,
        fares=tuple(replace(f, price=Flat("flat", 300)) if f.name == "city bus" else f for f in OLD.fares),
    )
    moved = [one for one in example_journeys(OLD, dearer) if one.was != one.now]
    assert moved
    assert all("bus" in one.text for one in moved)
    assert all(isinstance(one.was, int) and isinstance(one.now, int) and one.now > one.was for one in moved)

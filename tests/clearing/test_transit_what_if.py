"""What a day would have cost: a cleared day of the books, and taps by hand."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from sqlalchemy import Engine

from clearing.sectors.transit.card_fares import price_cards
from clearing.sectors.transit.fare_taps import Tap, TapKind, Unpriced
from clearing.sectors.transit.late_taps import prices_fen
from clearing.sectors.transit.matrix_file import PaidArea, fares_of_rules
from clearing.sectors.transit.taps_file import ChargedTap
from clearing.sectors.transit.what_if import Sum, cleared_day, day_end, what_if
from clearing.wire.ride import Ride
from ledger.db import reading
from tests.clearing.test_transit_fare_properties import CITY, histories
from tests.support.clearing_day import DAY, at, card_no, shenzhen
from tests.support.fare_examples import AS_OF
from tests.support.written_taps import suspended, tap_row, write_taps

SHENZHEN = fares_of_rules(shenzhen(), None, {}, PaidArea(240, 0, 1200, 0))


def test_a_cleared_day_under_its_own_rules_costs_what_was_paid(engine: Engine) -> None:
    metro = {"ride": int(Ride.METRO_EXIT), "list_fare_fen": 400, "amount_fen": 380, "paid_fen": 380}
    write_taps(
        engine,
        tap_row(0, at(8)),
        tap_row(1, at(9), ride=int(Ride.METRO_ENTRY), amount_fen=0, list_fare_fen=0, price_fen=0, paid_fen=0),
        tap_row(2, at(10), **metro),
        tap_row(3, at(11), card_no=card_no(2), holder_class=2, amount_fen=100, paid_fen=100, price_fen=100),
        suspended(4, at(12)),
        tap_row(5, at(13), decided_on=DAY + timedelta(days=1)),
    )
    with reading(engine) as conn:
        day = cleared_day(conn, DAY, SHENZHEN)
    assert [one.tap.kind for one in day] == [TapKind.RIDE, TapKind.ENTRY, TapKind.EXIT, TapKind.RIDE]
    assert (day[2].tap.station, day[2].tap.line, day[3].tap.category) == ("7-3", "7", "half")
    answer = what_if((SHENZHEN,), day, day_end(DAY))
    assert answer.total == Sum(4, 640, 640)
    assert answer.by_category == {"half": Sum(1, 100, 100), "standard": Sum(3, 540, 540)}
    assert (answer.winners, answer.losers, answer.same, answer.unpriced) == (0, 0, 2, {})


def test_a_boat_is_priced_by_what_the_older_tariff_says_of_boats(engine: Engine) -> None:
    inland = shenzhen()
    coast = replace(
        inland,
        bands={**inland.bands, Ride.FERRY: inland.bands[Ride.BUS]},
        max_fare_fen={**inland.max_fare_fen, Ride.FERRY: 1000},
    )
    write_taps(engine, tap_row(0, at(8), ride=int(Ride.FERRY)))
    for rules, unpriced in ((coast, {}), (inland, {Unpriced.MODE_UNKNOWN: 1})):
        tariff = fares_of_rules(rules, None, {}, PaidArea(240, 0, 1200, 0))
        with reading(engine) as conn:
            answer = what_if((tariff,), cleared_day(conn, DAY, tariff), day_end(DAY))
        assert (answer.total, answer.unpriced) == (Sum(1, 160, 160), unpriced)


def test_winners_and_losers_are_cards_and_unpriced_taps_keep_what_they_paid() -> None:
    taps = [
        ChargedTap(Tap("1", "a", at(8, day=date(2026, 3, 2)), TapKind.RIDE, "bus", "", "X", line="1"), 150),
        ChargedTap(Tap("2", "b", at(8, day=date(2026, 3, 2)), TapKind.RIDE, "bus", "", "X", line="1"), 260),
        ChargedTap(Tap("3", "c", at(8, day=date(2026, 3, 2)), TapKind.RIDE, "tram", "", "Y", line="1"), 90),
        ChargedTap(Tap("4", "c", at(9, day=date(2026, 3, 2)), TapKind.RIDE, "bus", "", "X", line="1"), 200),
    ]
    answer = what_if(CITY, taps, AS_OF)
    assert answer.by_operator == {"X": Sum(3, 610, 600), "Y": Sum(1, 90, 90)}
    assert (answer.winners, answer.losers, answer.same) == (1, 1, 1)
    assert answer.most_changed == (("b", 260, 200), ("a", 150, 200))
    assert answer.unpriced == {Unpriced.MODE_UNKNOWN: 1}


@given(histories())
def test_a_day_charged_by_a_tariff_would_cost_the_same_under_it(taps: list[Tap]) -> None:
    paid_fen = prices_fen(price_cards(CITY, taps, (), AS_OF))
    answer = what_if(CITY, [ChargedTap(tap, paid_fen.get(tap.id, 0)) for tap in taps], AS_OF)
    assert answer.total == Sum(len(taps), sum(paid_fen.values()), sum(paid_fen.values()))
    assert (answer.winners, answer.losers, answer.most_changed) == (0, 0, ())
    for sums in (answer.by_operator, answer.by_category):
        assert sum(one.would_fen for one in sums.values()) == answer.total.would_fen


def test_journeys_of_a_day_may_end_on_the_next() -> None:
    assert day_end(DAY) == at(0, day=DAY + timedelta(days=2))

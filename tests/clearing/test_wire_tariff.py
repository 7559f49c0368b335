"""Tariffs: every real tap to the fen, one rounding, and files read strictly."""

import csv
import json
from collections import Counter
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearing.wire.tariff
from clearing.wire.ride import Ride
from clearing.wire.tariff import Band, Tariff, TariffError, fare_fen, parse_tariff
from tests.support.changed_json import changed_json

TEXT = (
    Path(clearing.wire.tariff.__file__).parents[1] / "sectors" / "transit" / "tariffs" / "shenzhen-2018.json"
).read_text(encoding="utf-8")
SHENZHEN = parse_tariff(TEXT)
MODES = {"BUS": Ride.BUS, "METRO_IN": Ride.METRO_ENTRY, "METRO_OUT": Ride.METRO_EXIT}
CLASSES = {"HALF": 2, "FREE": 3}


def test_every_real_tap_is_priced_to_the_fen(shared_data: Path) -> None:
    wrong: Counter[tuple[str, str, int]] = Counter()
    priced_fen = rows = 0
    with (shared_data / "szt" / "szt_taps_10k_sample.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kind = row["fare_class"]
            fare = fare_fen(
                SHENZHEN, ride=MODES[row["mode"]], list_fare_fen=int(row["deal_value"]),
                holder_class=CLASSES.get(kind, 1), linked=kind in ("STD_TRANSFER40", "TRANSFER40_UNMARKED"),
                full_fare=kind == "FULL",
            )  # fmt: skip
            wrong[row["mode"], kind, fare - int(row["deal_money"])] += 1
            priced_fen, rows = priced_fen + fare, rows + 1
    assert {key: n for key, n in wrong.items() if key[2] != 0} == {}
    totals = json.loads((shared_data / "szt" / "reference_totals_10k.json").read_text())["all"]
    assert (rows, priced_fen) == (totals["rows"], totals["paid_fen"])


@pytest.mark.parametrize(
    ("ride", "list_fare_fen", "holder_class", "linked", "full_fare", "paid_fen"),
    [
        (Ride.BUS, 400, 1, False, False, 315),
        (Ride.BUS, 1000, 1, True, False, 685),
        (Ride.METRO_EXIT, 300, 1, True, False, 245),
        (Ride.BUS, 250, 2, False, False, 125),
        (Ride.BUS, 250, 2, True, False, 125),
        (Ride.METRO_EXIT, 700, 3, False, False, 0),
        (Ride.METRO_EXIT, 2800, 1, False, True, 2800),
        (Ride.METRO_EXIT, 2800, 3, True, True, 2800),
        (Ride.METRO_ENTRY, 0, 1, False, False, 0),
        (Ride.BUS, 30, 1, True, False, 0),
        (Ride.METRO_EXIT, 210, 1, False, False, 200),
        (Ride.METRO_EXIT, 209, 1, False, False, 199),
        (Ride.BUS, 251, 2, False, False, 126),
    ],
)
def test_the_first_rule_that_applies_prices_the_ride(
    ride: Ride, list_fare_fen: int, holder_class: int, linked: bool, full_fare: bool, paid_fen: int
) -> None:
    assert paid_fen == fare_fen(
        SHENZHEN,
        ride=ride,
        list_fare_fen=list_fare_fen,
        holder_class=holder_class,
        linked=linked,
        full_fare=full_fare,
    )


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    tops = sorted(draw(st.sets(st.integers(1, 3000), max_size=4)))
    bands = tuple(Band(top, draw(st.integers(0, 10_000))) for top in (*tops, None))
    shares: dict[int, int | None] = {1: None, 2: draw(st.integers(0, 10_000)), 3: 0}
    rides = dict.fromkeys(Ride, bands)
    bounds = dict.fromkeys(Ride, 5000)
    return Tariff("any", 1, date(2018, 1, 1), None, draw(st.integers(0, 100)), rides, shares, bounds)


@given(tariffs(), st.integers(0, 5000), st.sampled_from((1, 2, 3)), st.booleans())
def test_a_fare_is_the_exact_sum_over_every_fen_rounded_half_up(
    tariff: Tariff, list_fare_fen: int, holder_class: int, linked: bool
) -> None:
    share = tariff.class_pay_bp[holder_class]
    exact = Fraction(0)
    for nth in range(1, list_fare_fen + 1):  # slowly: what does the nth fen of the list fare pay?
        bands = (band for band in tariff.bands[Ride.BUS] if band.up_to_fen is None or nth <= band.up_to_fen)
        exact += Fraction(next(bands).pay_bp if share is None else share, 10_000)
    if share is None and linked:
        exact -= tariff.linked_discount_fen
    expected = max(0, (exact + Fraction(1, 2)).__floor__())
    found = fare_fen(
        tariff,
        ride=Ride.BUS,
        list_fare_fen=list_fare_fen,
        holder_class=holder_class,
        linked=linked,
        full_fare=False,
    )
    assert found == expected <= list_fare_fen


@pytest.mark.parametrize(
    ("list_fare_fen", "holder_class", "field"), [(-1, 1, "list_fare_fen"), (100, 0, "holder_class")]
)
def test_what_no_tariff_can_price_is_refused(list_fare_fen: int, holder_class: int, field: str) -> None:
    with pytest.raises(TariffError) as refused:
        fare_fen(
            SHENZHEN, ride=Ride.BUS, list_fare_fen=list_fare_fen, holder_class=holder_class, linked=False,
            full_fare=False,
        )  # fmt: skip
    assert refused.value.field == field


def changed(*path: str | int, to: Any) -> str:
    """The Shenzhen file with one member changed (or, where `to` is ..., left out)."""
    return changed_json(TEXT, *path, to=to)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "line 1"),
        ("[]", "the file"),
        ("[" * 100_000, "the file"),
        ("1" * 5000, "the file"),
        (changed("version", to=...), "version"),
        (changed("version", to=0), "version"),
        (changed("version", to=True), "version"),
        (changed("version", to=1.0), "version"),
        (changed("name", to=" "), "name"),
        (changed("valid_from", to="2018-02-30"), "valid_from"),
        (changed("valid_from", to="20180101"), "valid_from"),
        (changed("valid_from", to="2018-W01-1"), "valid_from"),
        (changed("valid_to", to="2017-12-31"), "valid_to"),
        (changed("linked_discount_fen", to=-1), "linked_discount_fen"),
        (changed("linked_discout_fen", to=40), "linked_discout_fen"),
        (changed("rides", "tram", to={}), "rides.tram"),
        (changed("rides", "bus", to=...), "rides.bus"),
        (changed("rides", "bus", "max_fare_fen", to="20"), "rides.bus.max_fare_fen"),
        (changed("rides", "bus", "bands", to=[]), "rides.bus.bands"),
        (changed("rides", "bus", "bands", 1, "up_to_fen", to=300), "rides.bus.bands[1].up_to_fen"),
        (changed("rides", "bus", "bands", 0, "up_to_fen", to=None), "rides.bus.bands[0].up_to_fen"),
        (changed("rides", "bus", "bands", 2, "up_to_fen", to=900), "rides.bus.bands[2].up_to_fen"),
        (changed("rides", "bus", "bands", 0, "pay_bp", to=10_001), "rides.bus.bands[0].pay_bp"),
        (changed("holder_classes", "half", to={"pay": "twice"}), "holder_classes.half.pay_bp"),
        (changed("holder_classes", "half", "pay_bp", to=None), "holder_classes.half.pay_bp"),
        ('{"name": "a", "name": "b"}', "name"),
    ],
)
def test_a_wrong_tariff_file_is_refused_by_the_path_of_its_field(text: str, field: str) -> None:
    with pytest.raises(TariffError) as refused:
        parse_tariff(text)
    assert refused.value.field == field
    assert field in str(refused.value)


def test_a_tariff_is_in_force_on_both_its_first_and_last_day() -> None:
    tariff = parse_tariff(changed("valid_to", to="2018-12-31"))
    days = [date(2017, 12, 31), date(2018, 1, 1), date(2018, 12, 31), date(2019, 1, 1)]
    assert [tariff.in_force(day) for day in days] == [False, True, True, False]


@given(st.text(max_size=50) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_any_text_gives_a_tariff_error_and_nothing_else(text: str) -> None:
    with pytest.raises(TariffError):
        parse_tariff(text)

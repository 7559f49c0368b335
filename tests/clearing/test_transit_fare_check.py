"""Flaws of tariffs that can be read: each by field, value and remedy."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from clearing.sectors.transit.fare_check import check_tariff, check_together
from clearing.sectors.transit.fare_file import read_fares
from clearing.sectors.transit.fare_tariff import FareTariff
from tests.clearing.test_transit_fare_file import changed
from tests.support.fare_examples import FARES, shipped

GAP = [[200], [300, 200], [None, 300, 200], [700, 600, 500, 200]]
SHORT = [[200], [300, 200], [400, 300], [700, 600, 500, 200]]
FLAT_BUS = {"name": "any bus", "scope": {"modes": ["bus"]}, "price": {"by": "flat", "fare_fen": 100}}


@pytest.mark.parametrize("path", sorted(FARES.glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_tariff_has_no_flaw(path: Any) -> None:
    assert check_tariff(read_fares(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("path", "to", "flaw"),
    [
        (("valid_to",), "2025-12-31", "valid_to is 2025-12-31: it must not be before valid_from, 2026-01-01"),
        (("zone",), "Asia/Shenzen", "zone is Asia/Shenzen: give a time zone's name, such as Asia/Shanghai"),
        (
            ("categories", "student"),
            [1],
            "categories is holder class 1 twice: let a class stand for one category",
        ),
        (("aliases", "9-9"), "西山", "aliases.9-9 is 西山: name a station that one of the fares knows"),
        (
            ("calendars", "holidays"),
            ["2027-01-01"],
            "remark: calendars.holidays is no day in force: list its days in the validity",
        ),
        (
            ("matrices", "metro", "fares_fen"),
            GAP,
            "matrices.metro.fares_fen is no fare from 南站 to 东门: fill the gap",
        ),
        (("matrices", "metro", "fares_fen"), SHORT, "matrices.metro.fares_fen.2 is 2 fares: give 3"),
        (
            ("matrices", "metro", "stations"),
            ["东门", "东门", "南站", "机场"],
            "matrices.metro.stations is 东门: write it once; it stands there 2 times",
        ),
        (("matrices",), {}, "fares.2.price.matrix is metro: name one of the tariff's matrices"),
        (("networks",), {}, "fares.3.price.network is regional: name one of the tariff's networks"),
        (
            ("fares", 3, "price", "steps", 0, "up_to_m"),
            20000,
            "fares.3.price.steps.1.up_to_m is 20000: let it be above 20000, the one before",
        ),
        (
            ("fares", 3, "price", "steps", 2, "up_to_m"),
            30000,
            "fares.3.price.steps.2.up_to_m is 30000: leave the last one open: write null",
        ),
        (
            ("fares", 3, "price", "steps", 1, "fare_fen"),
            300,
            "remark: fares.3.price.steps.1.fare_fen is 300: let it be at least 400: a longer way is not cheaper",
        ),
        (("fares", 0), FLAT_BUS, "fares.1 is city bus: move it before any bus, which takes all its legs"),
        (
            ("fares", 2, "scope", "modes"),
            ["bus"],
            "fares.2.scope.modes is bus: take bus out, or let it be entry_exit: one tap does not know both stations",
        ),
        (
            ("fares", 1, "name"),
            "ferry",
            "fares.5.name is ferry: give it a name of its own; fares.1.name has it",
        ),
        (
            ("discounts", 3, "scope", "categories"),
            ["pupil"],
            "discounts.3.scope.categories is pupil: name one of disabled, senior, staff, standard, student",
        ),
        (
            ("discounts", 6, "scope", "when", 0, "on"),
            "feasts",
            "discounts.6.scope.when.0.on is feasts: name a calendar of the tariff, or add it to calendars",
        ),
        (
            ("discounts", 3, "scope", "when", 0, "end"),
            "09:30",
            "discounts.3.scope.when.0.end is 09:30: end it at another time than it starts",
        ),
        (
            ("discounts", 2, "needs_product"),
            "week pass",
            "discounts.2.needs_product is week pass: name one of the tariff's products",
        ),
        (
            ("discounts", 9, "pay", "bands", 1, "up_to_fen"),
            300,
            "discounts.9.pay.bands.1.up_to_fen is 300: let it be above 300, the one before",
        ),
        (
            ("discounts", 11, "transfer", "after_modes"),
            ["tram"],
            "discounts.11.transfer.after_modes is tram: name one of bus, ferry, metro, regional, suburban",
        ),
        (
            ("discounts", 12, "transfer"),
            None,
            "discounts.12.transfer is null: say what is a transfer: legs pay together in a chain",
        ),
        (
            ("discounts", 0, "scope"),
            {},
            "discounts.1 is disabled: move it before staff, after which nothing applies",
        ),
        (
            ("caps", 0, "limit_fen"),
            150,
            "caps.0.limit_fen is 150: let it be at least 200, the lowest single fare of city bus",
        ),
        (
            ("caps", 0, "limit_fen"),
            600,
            "remark: caps.0.limit_fen is 600: metro by stations asks up to 700: a single leg may be cut by the cap",
        ),
        (
            ("caps", 1, "limit_fen"),
            1100,
            "caps.1.limit_fen is 1100: let it be at least 1200, what caps.0 lets a day cost",
        ),
        (
            ("modes", "metro", "forget_min"),
            100,
            "modes.metro.forget_min is 100: let it be at least limit_min, 180: who is late pays overtime first",
        ),
    ],
)
def test_a_flaw_is_named_by_field_value_and_remedy(path: tuple[str | int, ...], to: Any, flaw: str) -> None:
    assert flaw in [str(found) for found in check_tariff(read_fares(changed(*path, to=to)))]


def test_a_cap_of_some_fares_may_be_below_one_of_all_for_a_shorter_time() -> None:
    tariff = shipped("example-city-1")
    day, week = tariff.caps
    of_bus = replace(week, scope=replace(week.scope, fares=("city bus",)), limit_fen=1100)
    assert [flaw for flaw in check_tariff(replace(tariff, caps=(day, of_bus))) if not flaw.remark] == []


def test_of_many_gaps_some_are_named_and_the_rest_counted() -> None:
    tariff = shipped("example-city-1")
    stations = tuple(f"站{number}" for number in range(10))
    empty = replace(
        tariff.matrices["metro"], stations=stations, fares_fen=tuple((None,) * n for n in range(1, 11))
    )
    found = [str(flaw) for flaw in check_tariff(replace(tariff, matrices={"metro": empty}, aliases={}))]
    assert sum("no fare from" in flaw for flaw in found) == 20
    assert "matrices.metro.fares_fen is 35 more gaps: fill them" in found


OLD, NEW = shipped("example-city-1"), shipped("example-city-2")


@pytest.mark.parametrize(
    ("change", "flaws"),
    [
        (lambda old: old, []),
        (
            lambda old: replace(old, valid_to=None),
            ["old: valid_to is None: end it before 2026-07-01, when new begins: the periods overlap"],
        ),
        (
            lambda old: replace(old, valid_to=date(2026, 7, 1)),
            ["old: valid_to is 2026-07-01: end it before 2026-07-01, when new begins: the periods overlap"],
        ),
        (
            lambda old: replace(old, valid_to=date(2026, 6, 29)),
            ["remark: new: valid_from is 2026-07-01: begin it the day after 2026-06-29, when old ends"],
        ),
        (
            lambda old: replace(old, version=2),
            ["new: version is 2: give it more than 2, the version of old before it"],
        ),
        (lambda old: replace(old, name="another", valid_to=None), []),
    ],
)
def test_tariffs_of_one_name_follow_one_another(
    change: Callable[[FareTariff], FareTariff], flaws: list[str]
) -> None:
    assert [str(flaw) for flaw in check_together([("new", NEW), ("old", change(OLD))])] == flaws

"""What changes from one tariff to another: field by field, and for riders by example."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from clearing.sectors.transit.base_fare import fares_between, stations_of
from clearing.sectors.transit.card_fares import price_card
from clearing.sectors.transit.fare_file import plain
from clearing.sectors.transit.fare_taps import Tap, TapKind, Unpriced
from clearing.sectors.transit.fare_tariff import AsListed, EntryExit, Fare, FareTariff, Matrix

LISTED_FEN = (200, 500, 1000)
"""List fares that example rides have where the terminal states them."""
MOST_STATIONS = 40
"""Of a large network, examples are sought among so many stations, spread over all."""


@dataclass(frozen=True, slots=True)
class Change:
    """A member that differs, by its path; None: it is not there."""

    field: str
    was: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class ExampleJourney:
    """What taps of one rider cost together under each tariff; a refusal where one of them has no price."""

    text: str
    was: int | Unpriced
    now: int | Unpriced


def changes(old: FareTariff, new: FareTariff) -> list[Change]:
    """Every member that differs; named rules are compared by name, matrices by pairs of stations."""
    one, other = plain(old), plain(new)
    del one["matrices"], other["matrices"]
    found = list(_walk("", one, other))
    for name in sorted({*old.matrices, *new.matrices}):
        found += _matrix_changes(f"matrices.{name}", old.matrices.get(name), new.matrices.get(name))
    return found


def _walk(path: str, was: object, now: object) -> Iterator[Change]:
    if isinstance(was, list) and isinstance(now, list) and _named(was) and _named(now):
        yield from _walk(path, {one["name"]: one for one in was}, {one["name"]: one for one in now})
        orders = [[one["name"] for one in rules] for rules in (was, now)]
        both = set(orders[0]) & set(orders[1])
        kept = [[name for name in order if name in both] for order in orders]
        if kept[0] != kept[1]:
            yield Change(f"{path} (order)", ", ".join(kept[0]), ", ".join(kept[1]))
    elif isinstance(was, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*was, *now)):
            here = f"{path}.{name}" if path else name
            if name not in was or name not in now:
                yield Change(
                    here, _text(was[name]) if name in was else None, _text(now[name]) if name in now else None
                )
            else:
                yield from _walk(here, was[name], now[name])
    elif was != now:
        yield Change(path, _text(was), _text(now))


def _named(rules: list[object]) -> bool:
    return all(isinstance(rule, dict) and "name" in rule for rule in rules)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _matrix_changes(path: str, was: Matrix | None, now: Matrix | None) -> list[Change]:
    old, new = _pairs(was), _pairs(now)
    if not old or not new:
        return [Change(path, _size(was), _size(now))]
    both_ways = was is not None and now is not None and was.both_ways and now.both_ways
    found = {}
    for start, end in dict.fromkeys((*old, *new)):
        was_fen, now_fen = old.get((start, end)), new.get((start, end))
        if was_fen != now_fen and not (both_ways and (end, start) in found):
            change = Change(f"{path} from {start} to {end}", _text(was_fen), _text(now_fen))
            found[start, end] = change
    return list(found.values())


def _size(matrix: Matrix | None) -> str | None:
    return f"{sum(len(row) for row in matrix.fares_fen)} pairs" if matrix and matrix.fares_fen else None


def _pairs(matrix: Matrix | None) -> dict[tuple[str, str], int | None]:
    if matrix is None:
        return {}
    found = {
        (start, end): fen
        for start, row in zip(matrix.stations, matrix.fares_fen, strict=True)
        for end, fen in zip(matrix.stations, row, strict=False)
    }
    # In which order the stations stand is no difference where a row holds both directions.
    return found | ({(end, start): fen for (start, end), fen in found.items()} if matrix.both_ways else {})


def example_journeys(old: FareTariff, new: FareTariff) -> list[ExampleJourney]:
    """What rides, transfers, days and months cost every kind of holder under both tariffs, on the same days."""
    days = _days(old, new)
    found = []
    categories = dict.fromkeys((*old.categories, *new.categories))
    for mode, category in product(dict.fromkeys((*old.modes, *new.modes)), categories):
        for text, taps in _journeys(old, new, mode, category, days):
            found.append(ExampleJourney(text, _cost(old, taps), _cost(new, taps)))
    return found


def _cost(tariff: FareTariff, taps: list[Tap]) -> int | Unpriced:
    legs = price_card((tariff.always(),), taps, (), taps[-1].at + timedelta(days=62))
    refused = [leg.refusal for leg in legs if leg.refusal]
    return refused[0] if refused else sum(leg.price_fen for leg in legs)


def _days(old: FareTariff, new: FareTariff) -> dict[str, date]:
    """A Wednesday, a Saturday and a holiday of the first whole month under the new tariff."""
    listed = {day for tariff in (old, new) for days in tariff.calendars.values() for day in days}
    month = new.valid_from
    while month.day != 1:
        month += timedelta(days=1)
    # A calendar may list every day of a month, such as the days of a service: then a listed one has to do.
    ordinary = sorted((month + timedelta(days=n) for n in range(31)), key=lambda day: (day in listed, day))
    found = {
        "a Wednesday": next(day for day in ordinary if day.weekday() == 2),
        "a Saturday": next(day for day in ordinary if day.weekday() == 5),
    }
    later = [
        day for day in sorted(listed) if new.in_force(datetime.combine(day, time(12), ZoneInfo(new.zone)))
    ]
    return found | ({"a listed day": later[0]} if later else {})


def _journeys(
    old: FareTariff, new: FareTariff, mode: str, category: str, days: dict[str, date]
) -> Iterator[tuple[str, list[Tap]]]:
    rider = f"{category}, {mode}"
    weekday = days["a Wednesday"]
    for start, end, listed_fen in _ways(old, new, mode):
        way = f" {start}–{end}" if start else "" if listed_fen is None else f" of {listed_fen} fen"
        for (name, day), hour in product(days.items(), (6, 8, 12, 23)):
            leg = _Ride(mode, start, end, listed_fen, category)
            yield f"{rider}{way}, one ride at {hour}:00 on {name}", leg.taps(old, new, day, hour * 60)
        eight = [tap for n in range(8) for tap in leg.taps(old, new, weekday, 7 * 60 + 120 * n)]
        yield f"{rider}{way}, eight rides in a day", eight
        month = weekday.replace(day=1)
        working = [day for n in range(28) if (day := month + timedelta(days=n)).weekday() < 5]
        commute = [tap for day in working for at in (480, 1080) for tap in leg.taps(old, new, day, at)]
        yield f"{rider}{way}, two rides on twenty working days", commute
    for other in dict.fromkeys((*old.modes, *new.modes)):
        ways, others = _ways(old, new, mode), _ways(old, new, other)
        if ways and others:
            first = _Ride(other, *others[0], category).taps(old, new, weekday, 720)
            then = _Ride(mode, *ways[0], category).taps(old, new, weekday, 770)
            yield f"{rider}, 20 minutes after {other}, both legs", first + then


@dataclass(frozen=True, slots=True)
class _Ride:
    mode: str
    start: str
    end: str
    listed_fen: int | None
    category: str

    def taps(self, old: FareTariff, new: FareTariff, day: date, minute: int) -> list[Tap]:
        """A ride of half an hour that begins at this minute of the day."""
        begin = datetime.combine(day, time(), ZoneInfo(new.zone)) + timedelta(minutes=minute)
        rules = new.modes.get(self.mode) or old.modes[self.mode]
        kinds = (TapKind.ENTRY, TapKind.EXIT) if isinstance(rules, EntryExit) else (TapKind.RIDE,)
        return [
            Tap(
                f"{begin:%Y%m%d%H%M}{self.mode}{place}", "rider", begin + timedelta(minutes=30 * place), kind,
                self.mode, self.start if kind is TapKind.ENTRY else self.end, line=self.mode,
                category=self.category, list_fare_fen=self.listed_fen,
            )
            for place, kind in enumerate(kinds)
        ]  # fmt: skip


def _ways(old: FareTariff, new: FareTariff, mode: str) -> list[tuple[str, str, int | None]]:
    """Rides of a mode worth pricing: the cheapest, the middle and the dearest pair of stations, or list fares."""
    for tariff in (new, old):
        fares = [fare for fare in tariff.fares if not fare.scope.modes or mode in fare.scope.modes]
        for fare in fares:
            if isinstance(fare.price, AsListed):
                return [("", "", fen) for fen in LISTED_FEN if fen <= fare.price.most_fen]
            if pairs := _priced_pairs(tariff, fare):
                return [pairs[0], pairs[len(pairs) // 2], pairs[-1]]
        if fares:
            return [("", "", None)]
    return []


def _priced_pairs(tariff: FareTariff, fare: Fare) -> list[tuple[str, str, int | None]]:
    stations = stations_of(tariff, fare)
    some = stations[:: max(1, len(stations) // MOST_STATIONS)]
    priced = [
        (fen, start, end)
        for start, end in product(some, some)
        if start != end and not isinstance(fen := fares_between(tariff, fare, start, end), Unpriced)
    ]
    return [(start, end, None) for _fen, start, end in sorted(priced)]

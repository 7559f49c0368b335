"""Tariffs as the tables that the fare kernel reads: made once a night, for the stations and instants of its taps."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from math import gcd
from zoneinfo import ZoneInfo

import numpy as np

from clearing.sectors.transit.base_fare import by_areas, shortest_ways_m, stations_of
from clearing.sectors.transit.fare_arrays import (
    BANDS,
    BEGIN,
    DAY,
    END,
    FIRST,
    FIXED,
    FLAT,
    LESS,
    LISTED,
    MONTH,
    SHARE,
    STEPS,
    TABLE,
    TOGETHER,
    WEEK,
    Caps,
    Discounts,
    Fares,
    Ints,
    Tables,
)
from clearing.sectors.transit.fare_names import (
    MINUTE_S,
    Names,
    ScopeList,
    among,
    column,
    ints,
    known_categories,
    modes_of,
)
from clearing.sectors.transit.fare_taps import Unpriced
from clearing.sectors.transit.fare_tariff import (
    WHOLE_BP,
    AsListed,
    ByAreas,
    ByDistance,
    ByMatrix,
    Discount,
    Fare,
    FareTariff,
    Flat,
    PayBands,
    PayFixed,
    PayLess,
    PayShare,
    PaySteps,
    PayTogether,
    Period,
)

NOWHERE = " "
"""No station's name: stands for all that a fare does not know."""
SLOT_S = 900
"""Zones are a whole number of quarters of an hour from UTC, so a quarter has one offset."""
REFUSALS = tuple(Unpriced)
"""A refusal's number is its place here, from 1."""
PERIODS = {Period.DAY: DAY, Period.WEEK: WEEK, Period.MONTH: MONTH}
SINCE = {"begin": BEGIN, "end": END, "first": FIRST}


def tables_of(
    tariffs: Sequence[FareTariff], names: Names, stations: Sequence[str], slots: Sequence[int]
) -> Tables:
    """The tables of these tariffs; `stations` are named as in taps, `slots` are quarters of an hour since the epoch."""
    scopes = ScopeList(names)
    fares = _fares(tariffs, names, stations, scopes)
    discounts = _discounts(tariffs, names, scopes)
    caps = _caps(tariffs, names, scopes)
    counted_per, quota_per = _periods(tariffs, names)
    made_scopes, windows = scopes.made()
    return Tables(
        ints([[_offset_s(tariff.zone, slot) for slot in slots] for tariff in tariffs], len(slots)),
        known_categories(tariffs, names.categories),
        made_scopes,
        windows,
        modes_of(tariffs, names.modes),
        fares,
        discounts,
        caps,
        counted_per,
        quota_per,
        np.array([any(one.quota for one in tariff.discounts) for tariff in tariffs], np.bool_),
    )


@lru_cache(maxsize=100_000)
def _offset_s(zone: str, slot: int) -> int:
    offset = datetime.fromtimestamp(slot * SLOT_S, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _ranges(counts: Sequence[int]) -> Ints:
    ends = np.cumsum([0, *counts])
    return ints(list(pairwise(ends)), 2)


def _fares(tariffs: Sequence[FareTariff], names: Names, stations: Sequence[str], scopes: ScopeList) -> Fares:
    own = [(tariff, fare) for tariff in tariffs for fare in tariff.fares]
    kinds, amounts, places, widths, tables, high = [], [], [], [], [], []
    cells: list[int] = []
    highest: list[tuple[int, int]] = []
    for tariff, fare in own:
        place, rows = _table(tariff, fare, stations)
        kinds.append(
            FLAT if isinstance(fare.price, Flat) else LISTED if isinstance(fare.price, AsListed) else TABLE
        )
        amounts.append(_amount_fen(fare))
        places.append(place)
        widths.append(len(rows))
        tables.append(len(cells))
        high.append(len(highest))
        cells += rows.ravel().tolist()
        highest += _highest(rows)
    return Fares(
        _ranges([len(tariff.fares) for tariff in tariffs]),
        ints([names.fares[fare.name] for _, fare in own]),
        ints([scopes.add(tariff, fare.scope) for tariff, fare in own]),
        ints(kinds), ints(amounts), ints(places, len(stations)), ints(widths), ints(tables), ints(high),
        ints(cells), ints(highest, 2),
    )  # fmt: skip


def _amount_fen(fare: Fare) -> int:
    match fare.price:
        case Flat():
            return fare.price.fare_fen
        case AsListed():
            return fare.price.most_fen
    return 0


def _table(tariff: FareTariff, fare: Fare, stations: Sequence[str]) -> tuple[list[int], Ints]:
    """The place of every station in the fare's table, and the table; its last place is any station unknown to it."""
    if isinstance(fare.price, Flat | AsListed):
        return [0] * len(stations), np.zeros((0, 0), np.int64)
    known, unknown = stations_of(tariff, fare), -int(REFUSALS.index(Unpriced.STATION_UNKNOWN) + 1)
    if isinstance(fare.price, ByAreas):
        # Stations in the same areas cost the same: one of them stands for all.
        alike = {
            station: min(s for s in known if fare.price.areas[s] == fare.price.areas[station])
            for station in known
        }
        shown = sorted(set(alike.values()))
        number = {station: shown.index(first) for station, first in alike.items()}
    else:
        shown = list(known)
        number = {station: place for place, station in enumerate(shown)}
    rows = np.full((len(shown) + 1, len(shown) + 1), unknown, np.int64)
    match fare.price:
        case ByMatrix():
            _fill_matrix(tariff, fare.price, rows)
        case ByDistance():
            _fill_distances(tariff, fare.price, shown, rows)
        case ByAreas():
            for start, one in enumerate([*shown, NOWHERE]):
                for end, other in enumerate([*shown, NOWHERE]):
                    rows[start, end] = _fen(by_areas(fare.price, one, other))
    own = [tariff.aliases.get(station, station) for station in stations]
    return [number.get(station, len(shown)) for station in own], rows


def _fen(found: int | Unpriced) -> int:
    return -(REFUSALS.index(found) + 1) if isinstance(found, Unpriced) else found


def _fill_matrix(tariff: FareTariff, price: ByMatrix, rows: Ints) -> None:
    matrix = tariff.matrices[price.matrix]
    for start, row in enumerate(matrix.fares_fen):
        for end, fen in enumerate(row):
            rows[start, end] = _fen(Unpriced.NO_SUCH_JOURNEY if fen is None else fen)
            if matrix.both_ways:
                rows[end, start] = rows[start, end]


def _fill_distances(tariff: FareTariff, price: ByDistance, shown: Sequence[str], rows: Ints) -> None:
    for start, one in enumerate(shown):
        ways_m = shortest_ways_m(tariff.networks[price.network], one)
        for end, other in enumerate(shown):
            rows[start, end] = _fen(_by_steps(price, ways_m, other))


def _by_steps(price: ByDistance, ways_m: Mapping[str, int], end: str) -> int | Unpriced:
    for step in price.steps:
        if end in ways_m and (step.up_to_m is None or ways_m[end] <= step.up_to_m):
            return step.fare_fen
    return Unpriced.NO_SUCH_JOURNEY


def _highest(rows: Ints) -> list[tuple[int, int]]:
    """For each place the highest fare to any known station and from any; where none is known, to itself."""
    known = max(1, len(rows) - 1)
    return [
        (max(-1, int(rows[place, :known].max())), max(-1, int(rows[:known, place].max())))
        for place in range(len(rows))
    ]


def _discounts(tariffs: Sequence[FareTariff], names: Names, scopes: ScopeList) -> Discounts:
    own = [(tariff, discount) for tariff in tariffs for discount in tariff.discounts]
    parts: list[tuple[int, int, int]] = []
    pays, ranges = [], []
    for _tariff, discount in own:
        first = len(parts)
        pays.append(_pay(discount, parts))
        ranges.append((first, len(parts)))
    products = ints([_product(tariff, names, discount) for tariff, discount in own], 3)
    quotas = ints([(one.quota.legs, PERIODS[one.quota.per]) if one.quota else (0, 0) for _, one in own], 2)
    paid = ints(pays, 4)
    transfers = [discount.transfer for _, discount in own]
    return Discounts(
        _ranges([len(tariff.discounts) for tariff in tariffs]),
        ints([names.rules.get(discount.name) for _, discount in own]),
        ints([scopes.add(tariff, discount.scope) for tariff, discount in own]),
        np.array([discount.last for _, discount in own], np.bool_),
        np.array([discount.only_linked for _, discount in own], np.bool_),
        column(products, 0), column(products, 1), column(products, 2),
        column(quotas, 0), column(quotas, 1),
        ints([one.within_min * MINUTE_S if one else -1 for one in transfers]),
        ints([SINCE[one.measured_from] if one else 0 for one in transfers]),
        np.array([among(one.after_modes if one else (), names.modes) for one in transfers], np.bool_)
        .reshape(-1, len(names.modes)),
        np.array([among(one.after_fares if one else (), names.fares) for one in transfers], np.bool_)
        .reshape(-1, len(names.fares)),
        np.array([bool(one and one.other_line) for one in transfers], np.bool_),
        ints([one.most if one else 0 for one in transfers]),
        column(paid, 0), column(paid, 1), column(paid, 2), column(paid, 3),
        ints(ranges, 2),
        ints(parts, 3),
    )  # fmt: skip


def _product(tariff: FareTariff, names: Names, discount: Discount) -> tuple[int, int, int]:
    if discount.needs_product is None:
        return -1, 0, 0
    for product in tariff.products:
        if product.name == discount.needs_product:
            return names.products[product.name], PERIODS[product.per], product.periods
    return -2, 0, 0


def _share(pay_bp: int) -> tuple[int, int]:
    shared = gcd(pay_bp, WHOLE_BP)
    return pay_bp // shared, WHOLE_BP // shared


def _pay(discount: Discount, parts: list[tuple[int, int, int]]) -> tuple[int, int, int, int]:
    """Kind, amount, denominator and period; bands and steps are added to `parts`."""
    pay = discount.pay
    match pay:
        case PayShare():
            return SHARE, *_share(pay.pay_bp), 0
        case PayLess():
            return LESS, pay.off_fen, 1, 0
        case PayFixed():
            return FIXED, pay.fare_fen, 1, 0
        case PayTogether():
            return TOGETHER, pay.most_fen, 1, 0
        case PayBands():
            shared = gcd(WHOLE_BP, *(band.pay_bp for band in pay.bands))
            parts += [
                (-1 if band.up_to_fen is None else band.up_to_fen, band.pay_bp // shared, 1)
                for band in pay.bands
            ]
            return BANDS, 0, WHOLE_BP // shared, 0
        case PaySteps():
            parts += [(step.from_fen, *_share(step.pay_bp)) for step in pay.steps]
            return STEPS, 0, max((_share(step.pay_bp)[1] for step in pay.steps), default=1), PERIODS[pay.per]


def _caps(tariffs: Sequence[FareTariff], names: Names, scopes: ScopeList) -> Caps:
    own = [(tariff, cap) for tariff in tariffs for cap in tariff.caps]
    return Caps(
        _ranges([len(tariff.caps) for tariff in tariffs]),
        ints([names.rules[cap.name] for _, cap in own]),
        ints([scopes.add(tariff, cap.scope) for tariff, cap in own]),
        ints([PERIODS[cap.per] for _, cap in own]),
        ints([cap.limit_fen for _, cap in own]),
    )


def _periods(tariffs: Sequence[FareTariff], names: Names) -> tuple[Ints, Ints]:
    counted, quotas = (np.full((len(tariffs), len(names.rules)), -1, np.int64) for _ in range(2))
    for place, tariff in enumerate(tariffs):
        for cap in tariff.caps:
            counted[place, names.rules[cap.name]] = PERIODS[cap.per]
        for discount in tariff.discounts:
            if isinstance(discount.pay, PaySteps):
                counted[place, names.rules[discount.name]] = PERIODS[discount.pay.per]
            if discount.quota:
                quotas[place, names.rules[discount.name]] = PERIODS[discount.quota.per]
    return counted, quotas

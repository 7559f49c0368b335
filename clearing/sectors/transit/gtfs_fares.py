"""A fare tariff out of a GTFS feed: Fares v2 where it has fare products, v1 otherwise."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from clearing.sectors.transit.base_fare import ANYWHERE
from clearing.sectors.transit.fare_tariff import (
    AreaFare,
    ByAreas,
    EntryExit,
    Fare,
    FareTariff,
    Flat,
    Mode,
    OneTap,
    Scope,
    Window,
)
from clearing.sectors.transit.gtfs_feed import GATED, Feed, FeedError, NotExpressed, Row, whole_number
from clearing.sectors.transit.gtfs_times import timeframes
from clearing.sectors.transit.gtfs_transfers import LegGroups, transfer_discounts
from clearing.sectors.transit.gtfs_v1 import import_v1
from clearing.sectors.transit.matrix_file import hundredths

STANDARD = "standard"
EVERYWHERE = "transit"
"""The mode of a feed that has no networks."""


def import_feed(
    feed: Feed, *, name: str, valid_from: date, medium: str | None = None
) -> tuple[FareTariff, tuple[NotExpressed, ...]]:
    """Make a tariff of a feed, from a day on, and list what it does not express. Raises FeedError for no fares.

    `medium` is the fare medium whose prices count (None: the first that a leg can be paid with).
    """
    left_out: list[NotExpressed] = []
    try:
        if feed.rows("fare_products") and feed.rows("fare_leg_rules"):
            made = _import_v2(feed, medium, left_out)
        elif feed.rows("fare_attributes"):
            made = import_v1(feed, left_out)
        else:
            raise FeedError(
                "neither fare_leg_rules.txt nor fare_attributes.txt is there; give a feed with fares"
            )
    except KeyError as error:
        raise FeedError(f"a table has no column {error}; add it, as GTFS requires") from error
    if any(isinstance(mode, EntryExit) for mode in made.modes.values()):
        why = "GTFS does not say; set limit_min and missing_exit by hand (here 4 hours, and the highest fare)"
        left_out.append(NotExpressed("fare_leg_rules.txt", "staying too long, and a missing exit", why))
    return replace(made, name=name, valid_from=valid_from), tuple(left_out)


@dataclass(frozen=True, slots=True)
class _Prices:
    """What products cost with the chosen medium, by product and category (standard: whom no other row is for)."""

    of: dict[tuple[str, str], int]
    currency: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Leg:
    """One leg rule: the group, where and when it holds, and the product that it asks."""

    group: str
    network: str
    start: str
    end: str
    timeframe: str
    product: str


def _import_v2(feed: Feed, medium: str | None, left_out: list[NotExpressed]) -> FareTariff:
    rules = _leg_rules(feed, left_out)
    asked = {leg.product for leg in rules}
    asked |= {
        row["fare_product_id"] for row in feed.rows("fare_transfer_rules") if row.get("fare_product_id")
    }
    prices = _prices(feed, medium, asked, left_out)
    frames, calendars = timeframes(feed, left_out)
    unknown = {leg.timeframe for leg in rules if leg.timeframe and leg.timeframe not in frames}
    for frame in sorted(unknown):
        count = sum(leg.timeframe == frame for leg in rules)
        why = f"timeframes.txt does not have it; {count} leg rules are left out"
        left_out.append(NotExpressed("fare_leg_rules.txt", f"timeframe {frame}", why))
    rules = [leg for leg in rules if leg.timeframe not in unknown]
    modes = _modes(feed, rules)
    areas: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for row in feed.rows("stop_areas"):
        areas[row["stop_id"]] += (row["area_id"],)
    fares, groups = _fares(rules, prices, frames, dict(areas), left_out)
    used = {window.on for fare in fares for window in fare.scope.when} | {
        window.not_on for fare in fares for window in fare.scope.when
    }
    return FareTariff(
        format="onecard-fares-1", name="gtfs", version=1, valid_from=date.min, valid_to=None,
        currency=prices.currency, zone=feed.zone, modes=modes,
        categories={each: (1,) if each == STANDARD else () for each in prices.categories},
        fares=tuple(fares),
        discounts=transfer_discounts(feed, groups, prices.of, left_out),
        calendars={each: days for each, days in calendars.items() if each in used},
    )  # fmt: skip


def _leg_rules(feed: Feed, left_out: list[NotExpressed]) -> list[_Leg]:
    rows = sorted(feed.rows("fare_leg_rules"), key=lambda row: -whole_number(row, "rule_priority", 0))
    only_transfers = sum(row.get("transfer_only") == "1" for row in rows)
    if only_transfers:
        why = f"{only_transfers} leg rules that hold only after a transfer are left out"
        left_out.append(NotExpressed("fare_leg_rules.txt", "transfer_only", why))
    ending = sum(bool(row.get("to_timeframe_group_id")) for row in rows)
    if ending:
        why = f"of {ending} leg rules the time when the leg ends is not asked, only when it begins"
        left_out.append(NotExpressed("fare_leg_rules.txt", "to_timeframe_group_id", why))
    if feed.rows("fare_leg_join_rules"):
        why = "legs are priced one by one"
        left_out.append(NotExpressed("fare_leg_join_rules.txt", "legs that count as one", why))
    legs = [
        _Leg(
            row.get("leg_group_id") or row["fare_product_id"],
            row.get("network_id", ""),
            row.get("from_area_id") or ANYWHERE,
            row.get("to_area_id") or ANYWHERE,
            row.get("from_timeframe_group_id", ""),
            row["fare_product_id"],
        )
        for row in rows
        if row.get("transfer_only") != "1"
    ]
    # Without priorities, what names a network, both areas and a time goes before what leaves them open.
    return sorted(legs, key=_openness) if not any(row.get("rule_priority") for row in rows) else legs


def _openness(leg: _Leg) -> tuple[int, int, int]:
    return int(not leg.network), (leg.start == ANYWHERE) + (leg.end == ANYWHERE), int(not leg.timeframe)


def _prices(feed: Feed, medium: str | None, asked: set[str], left_out: list[NotExpressed]) -> _Prices:
    rows = feed.rows("fare_products")
    known = [row["fare_media_id"] for row in feed.rows("fare_media")]
    for_legs = {row.get("fare_media_id", "") for row in rows if row["fare_product_id"] in asked}
    if medium is not None and medium not in known:
        raise FeedError(f"no fare medium is {medium!r}; give one of {', '.join(known)}")
    chosen = medium or next((each for each in known if each in for_legs), "")
    for other in known:
        if other != chosen:
            why = f"a tariff is for one medium, here {chosen or 'any'}; import it again with --medium"
            left_out.append(NotExpressed("fare_media.txt", f"prices with {other}", why))
    ours = [row for row in rows if row.get("fare_media_id", "") in ("", chosen)]
    default = {
        row["rider_category_id"]
        for row in feed.rows("rider_categories")
        if row.get("is_default_fare_category") == "1"
    }
    found: dict[tuple[str, str], int] = {}
    currencies = Counter(row["currency"] for row in rows if row["fare_product_id"] in asked)
    if not currencies:
        raise FeedError("fare_products.txt has no product that a leg rule asks; give one with its amount")
    currency = next(iter(currencies))
    for row in ours:
        category = row.get("rider_category_id", "")
        amount = hundredths(row["amount"])
        if row["fare_product_id"] not in asked:
            continue
        if amount is None or row["currency"] != currency:
            why = f"it is {row['amount']} {row['currency']}; amounts are of one currency with two places"
            left_out.append(NotExpressed("fare_products.txt", row["fare_product_id"], why))
            continue
        found[row["fare_product_id"], STANDARD if category in {"", *default} else category] = amount
    _passes(rows, asked, left_out)
    categories = dict.fromkeys((STANDARD, *(category for _, category in found)))
    for row in feed.rows("rider_categories"):
        if row["rider_category_id"] not in {*categories, *default}:
            words = f"{row['rider_category_id']} ({row.get('rider_category_name', '')})"
            why = "no leg has a price of its own for it, so that it is not a category of the tariff"
            left_out.append(NotExpressed("rider_categories.txt", words, why))
    return _Prices(found, currency, tuple(categories))


def _passes(rows: Sequence[Row], asked: set[str], left_out: list[NotExpressed]) -> None:
    for product in dict.fromkeys(
        row["fare_product_id"] for row in rows if row["fare_product_id"] not in asked
    ):
        why = "no leg or transfer asks it: a pass, of which GTFS does not say how long it holds; add it to products"
        left_out.append(NotExpressed("fare_products.txt", product, why))


def _modes(feed: Feed, rules: list[_Leg]) -> dict[str, Mode]:
    """A mode a network; journeys know both ends where a rule of the network asks areas."""
    by_areas = {leg.network for leg in rules if (leg.start, leg.end) != (ANYWHERE, ANYWHERE)}
    networks = dict.fromkeys(row["network_id"] for row in feed.rows("networks"))
    networks |= dict.fromkeys(row["network_id"] for row in feed.rows("routes") if row.get("network_id"))
    networks |= dict.fromkeys(leg.network for leg in rules if leg.network)
    return {
        network: GATED if network in by_areas or "" in by_areas or not network else OneTap("one")
        for network in networks or [EVERYWHERE]
    }


def _fares(
    rules: list[_Leg], prices: _Prices, frames: dict[str, tuple[Window, ...]],
    areas: dict[str, tuple[str, ...]], left_out: list[NotExpressed],
) -> tuple[list[Fare], LegGroups]:  # fmt: skip
    """A fare for every group of legs that a network, time and category share; dearer twins give way."""
    pairs: dict[tuple[str, str, str, str], dict[tuple[str, str], int]] = {}
    twins = 0
    for leg in rules:
        for category in prices.categories:
            amount = prices.of.get((leg.product, category))
            if amount is None:
                continue
            of_group = pairs.setdefault((leg.group, leg.network, leg.timeframe, category), {})
            twins += of_group.get((leg.start, leg.end), amount) != amount
            of_group[leg.start, leg.end] = min(amount, of_group.get((leg.start, leg.end), amount))
    if twins:
        why = f"{twins} times several products are for one leg; the cheapest is taken"
        left_out.append(NotExpressed("fare_leg_rules.txt", "a choice of products", why))
    fares, groups = [], LegGroups({}, {})
    # Categories with a price of their own come before the one for everybody.
    for key in sorted(pairs, key=lambda key: key[3] == STANDARD):
        group, network, timeframe, category = key
        scope = Scope(
            modes=(network,) if network else (),
            categories=() if category == STANDARD else (category,),
            when=frames.get(timeframe, ()),
        )
        parts = [group, network, timeframe, "" if category == STANDARD else category]
        fare = Fare(" · ".join(part for part in parts if part), scope, _price(pairs[key], areas))
        fares.append(fare)
        groups.fares.setdefault(group, []).append(fare.name)
    for leg in rules:
        groups.products.setdefault(leg.group, set()).add(leg.product)
    return fares, groups


def _price(pairs: dict[tuple[str, str], int], areas: dict[str, tuple[str, ...]]) -> Flat | ByAreas:
    if list(pairs) == [(ANYWHERE, ANYWHERE)]:
        return Flat("flat", pairs[ANYWHERE, ANYWHERE])
    named = {area for pair in pairs for area in pair}
    # A fare keeps the stops of its own areas only: a reviewer need not read those of the whole country.
    ours = {stop: kept for stop, of in areas.items() if (kept := tuple(area for area in of if area in named))}
    return ByAreas("areas", ours, tuple(AreaFare(start, end, fen) for (start, end), fen in pairs.items()))

"""GTFS fares of the first version: fare attributes, and rules by route and zone."""

from collections import defaultdict
from datetime import date

from clearing.sectors.transit.base_fare import ANYWHERE
from clearing.sectors.transit.fare_tariff import (
    AreaFare,
    ByAreas,
    Discount,
    Fare,
    FareTariff,
    Flat,
    OneTap,
    PayFixed,
    Scope,
    Transfer,
)
from clearing.sectors.transit.gtfs_feed import GATED, Feed, NotExpressed, Row, whole_number
from clearing.sectors.transit.matrix_file import hundredths

UNLIMITED = 100
DAY_S = 86_400


def import_v1(feed: Feed, left_out: list[NotExpressed]) -> FareTariff:
    """The tariff of a feed's fare attributes; of several fares that fit a ride, GTFS takes the cheapest."""
    rules: dict[str, list[Row]] = defaultdict(list)
    for row in feed.rows("fare_rules"):
        rules[row["fare_id"]].append(row)
    zones: dict[str, tuple[str, ...]] = {
        row["stop_id"]: (row["zone_id"],) for row in feed.rows("stops") if row.get("zone_id")
    }
    currency = feed.rows("fare_attributes")[0]["currency_type"]
    fares: list[tuple[int, Fare]] = []
    discounts = []
    for row in feed.rows("fare_attributes"):
        name, amount = row["fare_id"], hundredths(row["price"])
        if amount is None or row["currency_type"] != currency:
            why = f"it is {row['price']} {row['currency_type']}; amounts are of one currency with two places"
            left_out.append(NotExpressed("fare_attributes.txt", f"fare {name}", why))
            continue
        made = _fares(name, amount, rules[name], zones, left_out)
        fares += [(amount, fare) for fare in made]
        discounts += _transfers(row, tuple(fare.name for fare in made))
    gated = any(isinstance(fare.price, ByAreas) for _, fare in fares)
    mode = GATED if gated else OneTap("one")
    return FareTariff(
        format="onecard-fares-1", name="gtfs", version=1, valid_from=date.min, valid_to=None,
        currency=currency, zone=feed.zone, modes={"transit": mode}, categories={"standard": (1,)},
        fares=tuple(fare for _, fare in sorted(fares, key=lambda priced: priced[0])),
        discounts=tuple(discounts),
    )  # fmt: skip


def _fares(
    name: str, amount: int, rules: list[Row], zones: dict[str, tuple[str, ...]], left_out: list[NotExpressed]
) -> list[Fare]:
    """The fares of one id: one for the routes that ask no zones, one for each route that asks some."""
    if not rules:
        return [Fare(name, Scope(), Flat("flat", amount))]
    contained = [row for row in rules if row.get("contains_id")]
    if contained:
        why = f"{len(contained)} rules ask which zones a ride passes through, which taps do not tell"
        left_out.append(NotExpressed("fare_rules.txt", f"fare {name}, contains_id", why))
    plain = [row for row in rules if not row.get("contains_id")]
    anywhere = [row for row in plain if not (row.get("origin_id") or row.get("destination_id"))]
    found = []
    if anywhere:
        routes = tuple(dict.fromkeys(row["route_id"] for row in anywhere if row.get("route_id")))
        found.append(Fare(name, Scope(lines=routes), Flat("flat", amount)))
    pairs: dict[str, list[AreaFare]] = defaultdict(list)
    for row in plain:
        if row not in anywhere:
            start, end = row.get("origin_id") or ANYWHERE, row.get("destination_id") or ANYWHERE
            pairs[row.get("route_id", "")].append(AreaFare(start, end, amount))
    for route, of_route in pairs.items():
        scope = Scope(lines=(route,) if route else ())
        found.append(Fare(f"{name} · {route or 'by zones'}", scope, ByAreas("areas", zones, tuple(of_route))))
    return found


def _transfers(row: Row, fares: tuple[str, ...]) -> list[Discount]:
    if row.get("transfers") == "0" or not fares:
        return []
    most = whole_number(row, "transfers", UNLIMITED)
    within_s = whole_number(row, "transfer_duration", DAY_S)
    rule = Transfer(max(1, within_s // 60), "first", after_fares=fares, most=most)
    return [
        Discount(f"transfer within {row['fare_id']}", Scope(fares=fares), PayFixed("fixed", 0), transfer=rule)
    ]

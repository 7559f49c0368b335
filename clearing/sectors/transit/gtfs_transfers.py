"""GTFS fare transfer rules as discounts on the second leg."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from clearing.sectors.transit.fare_tariff import Discount, Pay, PayFixed, PayTogether, Scope, Transfer
from clearing.sectors.transit.gtfs_feed import Feed, NotExpressed, Row, whole_number

FILE = "fare_transfer_rules.txt"
LONGEST_MIN = 24 * 60
UNLIMITED = 100
MEASURED: dict[str, Literal["begin", "end"]] = {"1": "begin", "2": "end"}


@dataclass(frozen=True, slots=True)
class LegGroups:
    """Of every leg group: the names of its fares, and the products that it asks."""

    fares: dict[str, list[str]]
    products: dict[str, set[str]]


def transfer_discounts(
    feed: Feed, groups: LegGroups, prices: Mapping[tuple[str, str], int], left_out: list[NotExpressed]
) -> tuple[Discount, ...]:
    """One discount a rule that can be expressed, in file order."""
    found: dict[str, Discount] = {}
    endless = 0
    for row in feed.rows(FILE.removesuffix(".txt")):
        made = _discount(row, groups, prices)
        if isinstance(made, str):
            left_out.append(NotExpressed(FILE, _name(row), made))
            continue
        endless += not row.get("duration_limit")
        if made is not None:
            found.setdefault(made.name, made)
    if endless:
        why = f"{endless} rules have no limit of time; transfers are taken to end after 24 hours"
        left_out.append(NotExpressed(FILE, "duration_limit", why))
    return tuple(found.values())


def _name(row: Row) -> str:
    start, end = row.get("from_leg_group_id") or "anything", row.get("to_leg_group_id") or "anything"
    return f"transfer from {start} to {end}"


def _discount(row: Row, groups: LegGroups, prices: Mapping[tuple[str, str], int]) -> Discount | str | None:
    """The rule as a discount, None where it changes nothing, or why it cannot be expressed."""
    start, end = row.get("from_leg_group_id", ""), row.get("to_leg_group_id", "")
    for group in (start, end):
        if group and group not in groups.fares:
            return f"leg group {group} has no fare with this medium, or none but after a transfer"
    only = row.get("filter_fare_product_id", "")
    if only and any(only not in groups.products[group] for group in (start, end) if group):
        asked = f"it is only for who holds {only}"
        if start and only not in groups.products[start]:
            return f"{asked}, which the first leg does not ask"
    product = row.get("fare_product_id", "")
    amount = prices.get((product, "standard"), None) if product else 0
    if amount is None:
        return f"product {product} has no price with this medium"
    pay: Pay
    match row.get("fare_transfer_type"):
        case "0":
            pay = PayFixed("fixed", amount)
        case "2":
            pay = PayTogether("together", amount)
        case "1":
            return "a transfer that costs more is no discount" if amount else None
        case other:
            return f"fare_transfer_type {other!r} is not known"
    measured: Literal["begin", "end"] = "begin"
    if row.get("duration_limit"):
        if row.get("duration_limit_type") not in MEASURED:
            return "its time is measured to the end of the second leg, when the fare is paid already"
        measured = MEASURED[row["duration_limit_type"]]
    within_min = whole_number(row, "duration_limit", LONGEST_MIN * 60) // 60
    count = whole_number(row, "transfer_count", 1)
    transfer = Transfer(
        within_min=max(1, within_min),
        measured_from=measured,
        after_fares=tuple(groups.fares[start]) if start else (),
        most=UNLIMITED if count < 0 else count,
    )
    return Discount(_name(row), Scope(fares=tuple(groups.fares[end]) if end else ()), pay, transfer=transfer)

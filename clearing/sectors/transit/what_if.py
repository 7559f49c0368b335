"""What a day would have cost under other tariffs: by operator, by kind of holder, by winners and losers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, select

from clearing.columns import CITY_OFFSET_S
from clearing.sectors.transit.card_fares import Priced, price_cards
from clearing.sectors.transit.fare_taps import Tap, Unpriced
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.recorded_taps import RecordedTap, named
from clearing.sectors.transit.taps_file import ChargedTap
from clearing.tables import tap as tap_table
from clearing.verdict import Money
from clearing.wire.record import TapRecord


@dataclass(frozen=True, slots=True)
class Sum:
    """Taps together: how many pay, what they paid, what they would."""

    taps: int
    was_fen: int
    would_fen: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The whole answer. Cards are winners where they would pay less; unpriced taps keep what they paid."""

    total: Sum
    by_operator: Mapping[str, Sum]
    by_category: Mapping[str, Sum]
    winners: int
    losers: int
    same: int
    most_changed: tuple[tuple[str, int, int], ...]
    """Cards with what they paid and would pay, those that change most first."""
    unpriced: Mapping[Unpriced, int]


def what_if(
    tariffs: tuple[FareTariff, ...], day: Sequence[ChargedTap], as_of: datetime, *, most: int = 10
) -> WhatIf:
    """Price a day's taps by these tariffs; what a tap paid counts as nothing where it is not known."""
    priced = price_cards(tariffs, [one.tap for one in day], (), as_of)
    legs = {leg.leg.pays.id: leg for of_card in priced.values() for leg in of_card}
    rows = [_row(one, legs.get(one.tap.id)) for one in day]
    cards: dict[str, tuple[int, int]] = {}
    for one, was_fen, would_fen in rows:
        old_fen, new_fen = cards.get(one.card, (0, 0))
        cards[one.card] = (old_fen + was_fen, new_fen + would_fen)
    changed = sorted(cards.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0]))
    return WhatIf(
        total=_sums(rows, lambda _tap: "")[""] if rows else Sum(0, 0, 0),
        by_operator=_sums(rows, lambda tap: tap.operator),
        by_category=_sums(rows, lambda tap: tap.category),
        winners=sum(would < was for was, would in cards.values()),
        losers=sum(would > was for was, would in cards.values()),
        same=sum(would == was for was, would in cards.values()),
        most_changed=tuple((card, was, would) for card, (was, would) in changed[:most] if was != would),
        unpriced=dict(Counter(leg.refusal for leg in legs.values() if leg.refusal)),
    )


_Row = tuple[Tap, int, int]


def _row(one: ChargedTap, leg: Priced | None) -> _Row:
    was_fen = one.paid_fen or 0
    if leg is None:
        return one.tap, was_fen, 0
    return one.tap, was_fen, was_fen if leg.refusal else leg.price_fen


def _sums(rows: Sequence[_Row], name_of: Callable[[Tap], str]) -> dict[str, Sum]:
    found: dict[str, list[int]] = {}
    for tap, was_fen, would_fen in rows:
        sums = found.setdefault(name_of(tap), [0, 0, 0])
        sums[0], sums[1], sums[2] = sums[0] + 1, sums[1] + was_fen, sums[2] + would_fen
    return {name: Sum(*found[name]) for name in sorted(found)}


def day_end(day: date) -> datetime:
    """The instant after a city's day up to which its journeys may still end: the end of the next day."""
    return datetime.combine(day + timedelta(days=2), time(), UTC) - timedelta(seconds=CITY_OFFSET_S)


def cleared_day(conn: Connection, day: date, tariff: FareTariff) -> list[ChargedTap]:
    """The taps that were paid on a business date, as the tariff names their modes, lines and holder categories."""
    query = (
        select(tap_table)
        .where(tap_table.c.decided_on == day, tap_table.c.money == Money.PAID.value)
        .order_by(tap_table.c.operator, tap_table.c.sequence, tap_table.c.position)
    )
    found = []
    for row in conn.execute(query):
        record = TapRecord.unpack(row.record)
        recorded = RecordedTap(
            row.operator,
            row.sequence,
            row.position,
            row.card_no,
            int(row.event_at.timestamp()),
            row.ride,
            row.line,
            row.station,
            row.holder_class,
            row.list_fare_fen,
            record.linked,
            record.full_fare,
        )
        found.append(ChargedTap(named(tariff, recorded), row.paid_fen))
    return found

"""Columns of taps priced one by one by `card_fares`: for tariffs that the kernel has no room for, and to hold it to."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from clearing.sectors.transit.card_fares import Priced, price_card
from clearing.sectors.transit.fare_arrays import COPY, GUEST, SETTLED, UNPRICED_FEN, FareColumns, Ints
from clearing.sectors.transit.fare_tables import REFUSALS
from clearing.sectors.transit.fare_taps import Holding
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.recorded_taps import START, RecordedTap, named_taps


def recorded(taps: FareColumns) -> list[RecordedTap]:
    """The taps of columns, one by one."""
    facts = (
        taps.sequence, taps.position, taps.at_s, taps.ride, taps.line, taps.station, taps.holder_class,
        taps.list_fare_fen, taps.linked, taps.full_fare,
    )  # fmt: skip
    operators: list[Any] = taps.operator.to_pylist()
    cards: list[Any] = taps.card_no.to_pylist()
    texts = zip(operators, cards, strict=True)
    return [
        RecordedTap(operator, sequence, position, card_no, *rest)
        for (operator, card_no), (sequence, position, *rest) in zip(
            texts, zip(*(fact.tolist() for fact in facts), strict=True), strict=True
        )
    ]


def price_slowly(
    tariffs: tuple[FareTariff, ...], taps: FareColumns, state: Ints, holdings: Sequence[Holding], as_of_s: int,
    price_fen: Ints, refusal: Ints,
) -> None:  # fmt: skip
    """As the kernel does: fill in the price of every tap that is not settled, or -1 and the number of the refusal.

    A tap that nothing proves is priced as though it were the only such tap of its card.
    """
    own = named_taps(tariffs, recorded(taps))
    rows: dict[str, list[int]] = defaultdict(list)
    for row, tap in enumerate(own):
        rows[tap.card].append(row)
    bought: dict[str, list[Holding]] = defaultdict(list)
    for holding in holdings:
        bought[holding.card].append(holding)
    as_of = START + timedelta(seconds=as_of_s)
    price_fen[state == COPY] = UNPRICED_FEN
    for card, of_card in rows.items():
        settled = {
            own[row].id: None if taps.settled_fen[row] < 0 else int(taps.settled_fen[row])
            for row in of_card
            if state[row] == SETTLED
        }
        real = [row for row in of_card if state[row] not in (GUEST, COPY)]
        guests = [row for row in of_card if state[row] == GUEST]
        for together, wanted in [(real, real), *(([*real, guest], [guest]) for guest in guests)]:
            legs = price_card(tariffs, [own[row] for row in together], bought[card], as_of, settled)
            found = {leg.leg.pays.id: leg for leg in legs}
            for row in wanted:
                if state[row] != SETTLED:
                    price_fen[row], refusal[row] = _told(found.get(own[row].id))


def _told(leg: Priced | None) -> tuple[int, int]:
    if leg is None:
        return 0, 0
    if leg.refusal is not None:
        return UNPRICED_FEN, REFUSALS.index(leg.refusal) + 1
    return leg.price_fen, 0


def lone_fare_fen(tariffs: tuple[FareTariff, ...], tap: RecordedTap) -> int | None:
    """What a tap would cost as the only one there is, as a ride on a code is; None where it has no price."""
    [own] = named_taps(tariffs, [tap])
    [leg] = price_card(tariffs, [own], (), own.at)
    return None if leg.refusal else leg.price_fen

"""Taps that come late: the card's history is priced anew, and what that changes is charged or given back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from clearing.sectors.transit.card_fares import Priced, price_cards
from clearing.sectors.transit.fare_taps import Holding, Tap
from clearing.sectors.transit.fare_tariff import FareTariff


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A tap whose price is another than what was charged for it so far."""

    tap: Tap
    was_fen: int
    is_fen: int

    @property
    def due_fen(self) -> int:
        """What is yet to be charged; negative: to be given back."""
        return self.is_fen - self.was_fen


def prices_fen(priced: Mapping[str, tuple[Priced, ...]]) -> dict[str, int]:
    """What each tap pays, by its id; taps that pay nothing because another one pays are not among them."""
    return {leg.leg.pays.id: leg.price_fen for legs in priced.values() for leg in legs}


def adjustments(
    tariffs: tuple[FareTariff, ...],
    taps: Iterable[Tap],
    holdings: Iterable[Holding],
    charged_fen: Mapping[str, int],
    as_of: datetime,
) -> tuple[Adjustment, ...]:
    """What is due once all these taps are known, after `charged_fen` by id of tap, in the order of taps.

    Charged so over any batches, a history costs together what it costs at once: a late tap takes its place in
    the day, and the legs after it lose or gain the room under a cap that it uses.
    """
    known = {tap.id: tap for tap in taps}
    now_fen = prices_fen(price_cards(tariffs, known.values(), holdings, as_of))
    found = [
        Adjustment(tap, charged_fen.get(tap.id, 0), now_fen.get(tap.id, 0))
        for tap in sorted(known.values(), key=lambda tap: (tap.card, tap.at, tap.id))
    ]
    return tuple(one for one in found if one.due_fen)

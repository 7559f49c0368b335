"""From taps to legs: rides, entries with their exits, and halves that never met."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from clearing.sectors.transit.fare_taps import Tap, TapKind
from clearing.sectors.transit.fare_tariff import EntryExit, FareTariff, tariff_at


class LegKind(StrEnum):
    """How a leg came about. An open one is an entry that may still find its exit; it costs nothing yet."""

    RIDE = "ride"
    JOURNEY = "journey"
    MISSING_EXIT = "missing_exit"
    MISSING_ENTRY = "missing_entry"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg: the tap that pays, the tap it began with, and the tariff of its beginning (None: none in force)."""

    kind: LegKind
    pays: Tap
    began: Tap
    tariff: FareTariff | None

    @property
    def start(self) -> str:
        """Where it began, as far as known."""
        return "" if self.kind is LegKind.MISSING_ENTRY else self.began.station

    @property
    def end(self) -> str:
        """Where it ended, as far as known."""
        return "" if self.kind in (LegKind.MISSING_EXIT, LegKind.OPEN) else self.pays.station


def in_order(taps: Iterable[Tap]) -> list[Tap]:
    """Taps in the order of their instants; of one instant in that of their ids. Presented twice, they count once."""
    return sorted({tap.id: tap for tap in taps}.values(), key=lambda tap: (tap.at, tap.id))


def legs_of(tariffs: tuple[FareTariff, ...], taps: Iterable[Tap], as_of: datetime) -> list[Leg]:
    """All legs of one card by the instant of the tap that pays; entries count as open up to `as_of`."""
    waiting: dict[str, Tap] = {}
    found: list[Leg] = []
    for tap in in_order(taps):
        if tap.kind is TapKind.RIDE:
            found.append(Leg(LegKind.RIDE, tap, tap, tariff_at(tariffs, tap.at)))
            continue
        entry = waiting.pop(tap.mode, None)
        if tap.kind is TapKind.ENTRY:
            waiting[tap.mode] = tap
        elif entry is not None and _together(tariffs, entry, tap.at):
            found.append(Leg(LegKind.JOURNEY, tap, entry, tariff_at(tariffs, entry.at)))
            entry = None
        else:
            found.append(Leg(LegKind.MISSING_ENTRY, tap, tap, tariff_at(tariffs, tap.at)))
        if entry is not None:
            found.append(Leg(LegKind.MISSING_EXIT, entry, entry, tariff_at(tariffs, entry.at)))
    for entry in waiting.values():
        kind = LegKind.OPEN if _together(tariffs, entry, as_of) else LegKind.MISSING_EXIT
        found.append(Leg(kind, entry, entry, tariff_at(tariffs, entry.at)))
    return sorted(found, key=lambda leg: (leg.pays.at, leg.pays.id))


def _together(tariffs: tuple[FareTariff, ...], entry: Tap, at: datetime) -> bool:
    """Whether an exit at this instant would still be that of the entry. Without a tariff they stay apart."""
    tariff = tariff_at(tariffs, entry.at)
    mode = tariff.modes.get(entry.mode) if tariff else None
    return isinstance(mode, EntryExit) and at - entry.at <= timedelta(minutes=mode.forget_min)

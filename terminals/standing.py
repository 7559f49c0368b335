"""Where a terminal stands when a card comes: what it knows by itself, and what speaks against a ride."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from card.chip.files import PublicData
from clearing.wire.batch import Ride
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.tariff import Tariff, fare_fen
from terminals.holdings import Holdings
from terminals.hotlist import Hotlist
from terminals.outcome import Refusal
from terminals.settings import Settings
from terminals.shelf import BatchShelf
from terminals.trip import Identity


@dataclass(frozen=True, slots=True)
class RideFacts:
    """What the terminal knows of the ride before it sees the card; the list fare is 0 for a metro entry.

    `fares_fen`, list fares by station of entry with None for the flat one, is for tariffs whose terminals
    make journeys of taps; without it, list fare and link were found by others.
    """

    ride: Ride
    list_fare_fen: int
    linked: bool = False
    full_fare: bool = False
    line: int = 0
    station: int = 0
    fares_fen: Mapping[tuple[int, int] | None, int] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Clock:
    """What the terminal's clock is held against: no right one is before `not_before`, or after `not_after`."""

    not_before: datetime | None = None
    not_after: datetime | None = None

    def is_wrong(self, at: datetime) -> bool:
        """Whether the terminal knows for certain that it is not this time."""
        if self.not_before is not None and at < self.not_before:
            return True
        return self.not_after is not None and at > self.not_after


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment's facts of a terminal: a value, so that a tap is decided by what was in force when it began."""

    identity: Identity
    tariff: Tariff
    hotlist: Hotlist
    full: bool = False
    clock: Clock = Clock()
    holder_classes: frozenset[int] | None = None
    issuers: frozenset[str] | None = None

    def objection(self, public: PublicData, at: datetime) -> Refusal | None:
        """What speaks against any ride of this card, in the order of `Refusal`."""
        day: date = at.astimezone(CITY_ZONE).date()
        if self.full:
            return Refusal.OUTBOX_FULL
        if self.clock.is_wrong(at):
            return Refusal.CLOCK_WRONG
        if not self.tariff.in_force(day):
            return Refusal.TARIFF_NOT_IN_FORCE
        if public.card_no in self.hotlist.cards:
            return Refusal.HOTLISTED
        if not public.starts <= day <= public.expires:
            return Refusal.NOT_VALID
        if self.issuers is not None and public.issuer not in self.issuers:
            return Refusal.ISSUER_UNKNOWN
        return None if self.takes_class(public.holder_class) else Refusal.CLASS_UNKNOWN

    def takes_class(self, holder_class: int) -> bool:
        """Whether the tariff prices rides of such holders, and they are taken here."""
        here = self.holder_classes is None or holder_class in self.holder_classes
        return here and holder_class in self.tariff.class_pay_bp

    def fare_objection(self, ride: RideFacts) -> Refusal | None:
        """What speaks against the list fare."""
        limit_fen = self.tariff.max_fare_fen.get(ride.ride, -1)
        return None if 0 <= ride.list_fare_fen <= limit_fen else Refusal.FARE_OUT_OF_BOUNDS

    def fare_fen(self, holder_class: int, ride: RideFacts) -> int:
        """What a holder of this class pays for the ride, in fen."""
        return fare_fen(
            self.tariff, ride=ride.ride, list_fare_fen=ride.list_fare_fen, holder_class=holder_class,
            linked=ride.linked, full_fare=ride.full_fare,
        )  # fmt: skip


def standing_at(
    at: datetime, identity: Identity, outbox: BatchShelf, tariff: Tariff, hotlist: Hotlist,
    held: Holdings | None, newest_ride: datetime | None = None,
) -> Standing:  # fmt: skip
    """What is in force at an instant: what the files held say, and where they say nothing what was installed."""
    if held is None:
        return Standing(identity, tariff, hotlist, outbox.is_full())
    settings, listed = held.settings, held.hotlist
    return Standing(
        identity,
        held.tariff(at.astimezone(CITY_ZONE).date()) or tariff,
        listed if listed.version else hotlist,
        outbox.is_full(None if settings is None else settings.capacity),
        clock_of(settings, newest_file=held.newest_made_at, newest_ride=newest_ride),
        None if settings is None else settings.holder_classes,
        None if settings is None else settings.issuers,
    )


def facts_of(settings: Settings) -> RideFacts:
    """The ride that a terminal with these settings stands for."""
    flat_fen = settings.fares_fen.get(None, 0)
    return RideFacts(
        settings.ride, 0 if settings.ride is Ride.METRO_ENTRY else flat_fen, line=settings.line,
        station=settings.station, fares_fen=settings.fares_fen,
    )  # fmt: skip


def clock_of(
    settings: Settings | None, *, newest_file: datetime | None, newest_ride: datetime | None
) -> Clock:
    """Bounds of the clock: after all that was signed or ridden, and not longer without news than allowed.

    Without settings nothing was said of the clock, and it is believed.
    """
    if settings is None or newest_file is None:
        return Clock()
    newest = newest_file if newest_ride is None else max(newest_file, newest_ride)
    return Clock(newest - settings.clock_behind, newest_file + settings.offline)

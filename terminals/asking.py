"""The steps that dialogues are made of: one action out, one event in; and the loop that lets the world perform them."""

from collections.abc import Callable, Generator
from typing import TypeVar

from card.chip import commands
from card.chip.records import PAID_AREA_SFI, TRIP_SFI, PaidArea, RecordError, TripKind, TripRecord
from clearing.wire.batch import Ride
from clearing.wire.journey import CardSays
from terminals.actions import (
    ANSWERS,
    Action,
    Answered,
    AskCard,
    AskSam,
    CardLeft,
    Event,
    MemoryFull,
    SamSilent,
)
from terminals.outcome import Outcome, Refusal

T = TypeVar("T")
Card = TypeVar("Card", PaidArea, TripRecord)
Steps = Generator[Action, Event, T]


class Refused(Exception):
    """Ends a dialogue; it leaves as a value, in the Outcome."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Torn(Exception):
    """The card is gone, or what it answers cannot be relied on."""


class NoSam(Exception):
    """The SAM is silent."""


def run(machine: Steps[Outcome], perform: Callable[[Action], Event]) -> Outcome:
    """Let the world perform what the machine asks, until it ends."""
    try:
        action = next(machine)
        while True:
            action = machine.send(perform(action))
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def ask_card(apdu: bytes) -> Steps[bytes]:
    """The card's answer. Raises Torn."""
    event = yield from ask(AskCard(apdu))
    if isinstance(event, CardLeft):
        raise Torn
    assert isinstance(event, Answered)
    return event.data


def ask_sam(apdu: bytes) -> Steps[bytes]:
    """The SAM's answer. Raises NoSam, and Refused where it could not keep its number."""
    event = yield from ask(AskSam(apdu))
    if isinstance(event, SamSilent):
        raise NoSam
    if isinstance(event, MemoryFull):
        raise Refused(Refusal.OUTBOX_FULL)
    assert isinstance(event, Answered)
    return event.data


def ask(action: Action) -> Steps[Event]:
    """One action, and the event that answers it. Raises TypeError for one that cannot."""
    event = yield action
    if not isinstance(event, ANSWERS[type(action)]):
        raise TypeError(f"{event!r} does not answer {type(action).__name__}: see ANSWERS")
    return event


def keep(action: Action) -> Steps[None]:
    """Have something kept. Raises Refused where there is no room."""
    if isinstance((yield from ask(action)), MemoryFull):
        raise Refused(Refusal.OUTBOX_FULL)


def read_journey(ride: Ride) -> Steps[CardSays]:
    """The paid area, for the metro, and the newest trips; what cannot be read says nothing."""
    area = None
    if ride in (Ride.METRO_ENTRY, Ride.METRO_EXIT):
        raw = commands.parse_read((yield from ask_card(commands.read_record(1, PAID_AREA_SFI))))
        area = _readable(PaidArea, raw)
    trips: list[TripRecord] = []
    while ride is not Ride.METRO_ENTRY and len(trips) < 2:
        raw = commands.parse_read((yield from ask_card(commands.read_record(len(trips) + 1, TRIP_SFI))))
        if (trip := _readable(TripRecord, raw)) is None:
            break
        trips.append(trip)
        # The newest but one matters only behind the entry that this exit ends.
        if trip.kind != TripKind.ENTRY:
            break
    return CardSays(area, tuple(trips))


def _readable(kind: type[Card], raw: bytes | commands.Refusal) -> Card | None:
    try:
        return None if isinstance(raw, commands.Refusal) else kind.unpack(raw)
    except RecordError:
        return None

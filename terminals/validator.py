"""The validator at a gate or in a bus: the hands of `dialogue` on card, SAM, outbox and gate."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from clearing.wire.batch import TapRecord
from clearing.wire.tariff import Tariff
from terminals.actions import (
    Action,
    Answered,
    AskCard,
    AskSam,
    CardLeft,
    Done,
    Event,
    Forget,
    GiveUp,
    MemoryFull,
    OpenGate,
    Recall,
    Recalled,
    Remember,
    Resumed,
    ResumeSam,
    SamSilent,
    Settle,
    Take,
)
from terminals.asking import Steps, run
from terminals.dialogue import RETURN_WINDOW, dialogue
from terminals.holdings import Holdings
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Outcome
from terminals.reader import CardGone, Sam, SamGone, Transmits
from terminals.shelf import NoRoom
from terminals.standing import RideFacts, Standing, standing_at
from terminals.trip import Identity

__all__ = ["RETURN_WINDOW", "Gate", "RideFacts", "Validator", "no_barrier"]

OPENED = "opened"
Gate = Callable[[TapRecord], None]
"""What lets the rider pass, called once the ride is durable."""


def no_barrier(record: TapRecord) -> None:
    """A bus without a barrier: the light and the tone of the Outcome are all there is."""


class Validator:
    """A terminal with its SAM, the depot's outbox, its gate, and the tariff and hotlist in force on it.

    With `holdings` it obeys the signed files in them, at each tap those of that moment; `tariff` and `hotlist`
    are what it was installed with, and hold where no file does. `outcomes` counts what came of taps.
    """

    def __init__(
        self, identity: Identity, sam: Sam, outbox: Outbox, tariff: Tariff, hotlist: Hotlist, *,
        gate: Gate = no_barrier, holdings: Holdings | None = None,
    ) -> None:  # fmt: skip
        self.identity = identity
        self.tariff = tariff
        self.hotlist = hotlist
        self.outcomes: Counter[str] = Counter()
        self._sam = sam
        self._outbox = outbox
        self._gate = gate
        self._holdings = holdings

    def tap(self, card: Transmits, ride: RideFacts, *, at: datetime) -> Outcome:
        """Take a ride from the card, at an aware instant; the gate has opened where the Outcome says so.

        No card, and no full memory, makes this raise; a broken disk does (sqlite3.Error), and then the gate
        stays shut.
        """
        outcome = run(self.begin(ride, at=at), lambda action: self.perform(action, card))
        self.outcomes[OPENED if outcome.refusal is None else outcome.refusal.value] += 1
        return outcome

    def begin(self, ride: RideFacts, *, at: datetime) -> Steps[Outcome]:
        """The dialogue of one tap by what is in force now; whoever runs it performs what it asks."""
        return dialogue(self.standing(at), ride, at)

    def standing(self, at: datetime) -> Standing:
        """What is in force on this terminal at an instant."""
        newest_ride = None if self._holdings is None else self._outbox.newest_moment()
        return standing_at(
            at, self.identity, self._outbox, self.tariff, self.hotlist, self._holdings, newest_ride
        )

    def perform(self, action: Action, card: Transmits) -> Event:
        """Do one thing in the world, and say what came of it."""
        try:
            return self._perform(action, card)
        except CardGone:
            return CardLeft()
        except SamGone:
            return SamSilent()
        except NoRoom:
            return MemoryFull()

    def _perform(self, action: Action, card: Transmits) -> Event:
        match action:
            case AskCard(apdu):
                return Answered(card.transmit(apdu))
            case AskSam(apdu):
                return Answered(self._sam.transmit(apdu))
            case ResumeSam(purchase, terminal_sequence):
                return Resumed(self._sam.resume(purchase, terminal_sequence))
            case Recall(card_no):
                return Recalled(
                    self._outbox.pending_of(card_no), self._outbox.owed_to(card_no),
                    self._outbox.last_counter(self.identity.terminal, card_no),
                )  # fmt: skip
            case OpenGate(record):
                self._gate(record)
            case Remember() | Take() | Forget() | GiveUp() | Settle():
                self._write(action)
        return Done()

    def _write(self, action: Remember | Take | Forget | GiveUp | Settle) -> None:
        match action:
            case Remember(pending):
                self._outbox.remember(pending)
            case Take(record, passage):
                self._outbox.take(record, passage=passage)
            case Forget(pending):
                self._outbox.forget(pending)
            case GiveUp(pending, counter_found):
                self._outbox.give_up(pending, counter_found=counter_found)
            case Settle(card_no):
                self._outbox.settle(card_no)

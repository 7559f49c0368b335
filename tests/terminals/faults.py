"""What can go wrong at one step of a tap, and what must agree when everything has come home."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from card.chip.applet import VirtualCard
from clearing.wire.batch import TapRecord
from terminals.actions import Action, Answered, AskCard, CardLeft, Event, OpenGate, Settle
from terminals.outbox import Outbox
from terminals.reader import Transmits
from terminals.validator import Validator
from tests.terminals.depot import Depot, PowerLoss

TORN_BEFORE, TORN_AFTER, CUT_SHORT = "torn before", "torn after", "cut short"
DARK_BEFORE, DARK_AFTER = "dark before", "dark after"
TEARS = (TORN_BEFORE, TORN_AFTER, CUT_SHORT)
POWER = (DARK_BEFORE, DARK_AFTER)
Perform = Callable[[Action], Event]


@dataclass(frozen=True, slots=True)
class Fault:
    """At the step with this number, from 0, of one tap."""

    at: int
    kind: str


@dataclass(slots=True)
class FaultyHands:
    """A validator's hands on one card, which slip once: the card is gone, half an answer came, the power fails."""

    validator: Validator
    card: Transmits
    fault: Fault | None = None
    power_loss: Callable[[], None] | None = None
    done: list[Action] = field(default_factory=list)
    gone: bool = False

    def perform(self, action: Action) -> Event:
        slips = self.fault is not None and len(self.done) == self.fault.at
        kind = self.fault.kind if self.fault is not None and slips else ""
        self.done.append(action)
        if kind == DARK_BEFORE:
            self._go_dark()
        if isinstance(action, AskCard) and (self.gone or kind == TORN_BEFORE):
            self.gone = True
            return CardLeft()
        event = self.validator.perform(action, self.card)
        if kind == DARK_AFTER:
            self._go_dark()
        if isinstance(action, AskCard) and isinstance(event, Answered) and kind in (TORN_AFTER, CUT_SHORT):
            self.gone = True
            return CardLeft() if kind == TORN_AFTER else Answered(event.data[: len(event.data) // 2])
        return event

    def _go_dark(self) -> None:
        if self.power_loss is not None:
            self.power_loss()
        raise PowerLoss

    @property
    def passed_unnoted(self) -> bool:
        """Whether the gate opened for this tap and the power failed before that was noted."""
        return any(isinstance(action, OpenGate) for action in self.done) and not any(
            isinstance(action, Settle) for action in self.done[:-1]
        )


def faults_of(actions: Sequence[Action]) -> list[Fault]:
    """Everything that can go wrong at each step of a tap that went well."""
    return [
        Fault(at, kind)
        for at, action in enumerate(actions)
        for kind in (*POWER, *(TEARS if isinstance(action, AskCard) else ()))
    ]


def kill_this_process() -> None:
    """What a power failure is to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def assert_agreement(
    depot: Depot, outbox: Outbox, card: VirtualCard, opened: Sequence[TapRecord], *, twice: int = 0,
    first_counter: int = 0x36, first_balance_fen: int = 10000,
) -> None:  # fmt: skip
    """Purse, records and gate agree: a record a debit, in order, each with its TAC, and the gate open for each.

    `twice` is for how many records it may have opened once more, because the power failed right after it did.
    """
    records = outbox.records()
    assert (outbox.pendings(), outbox.unresolved()) == ([], [])
    assert outbox.owed_to(records[-1].card_no) is None
    assert [record.counter for record in records] == list(
        range(first_counter, card.state.purse.purchase_sequence)
    )
    assert sum(record.amount_fen for record in records) == first_balance_fen - card.state.purse.balance_fen
    assert all(depot.tac_holds(record) for record in records)
    openings = Counter(record.counter for record in opened)
    assert set(openings) == {record.counter for record in records}
    assert sum(openings.values()) - len(records) <= twice

"""What a tap asks of the world, and what the world tells it: the two sides of its dialogue, as values.

Every action is answered by exactly one event. What can happen to each stands in `ANSWERS`; a card may leave,
a SAM fall silent and a memory be full at any of them, and the terminal may go dark between any two.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from card.chip.sam import SamPurchase
from clearing.wire.batch import TapRecord
from terminals.outbox import Pending


@dataclass(frozen=True, slots=True)
class AskCard:
    """Send a command to the card in the field."""

    apdu: bytes


@dataclass(frozen=True, slots=True)
class AskSam:
    """Send a command to the terminal's SAM."""

    apdu: bytes


@dataclass(frozen=True, slots=True)
class ResumeSam:
    """Have the SAM await the MAC2 of an earlier purchase."""

    purchase: SamPurchase
    terminal_sequence: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Tell what is remembered of a card: a debit never answered, a ride whose gate never opened, its counter."""

    card_no: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep a debit about to be asked for."""

    pending: Pending


@dataclass(frozen=True, slots=True)
class Take:
    """Keep a paid ride and close its pending debit; `passage`: the gate is owed to the rider for it."""

    record: TapRecord
    passage: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """Close a pending debit that certainly did not happen."""

    pending: Pending


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Close a pending debit that the card, at another counter by now, cannot prove."""

    pending: Pending
    counter_found: int


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Let the rider pass: the record is durable."""

    record: TapRecord


@dataclass(frozen=True, slots=True)
class Settle:
    """Owe the card no passage any more: the gate has opened, or the card has gone on without it."""

    card_no: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What card or SAM answered, data and status word."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CardLeft:
    """The card was gone before it answered; whether it did what it was asked is not known."""


@dataclass(frozen=True, slots=True)
class SamSilent:
    """The SAM does not answer."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Whether the SAM can check that earlier purchase."""

    able: bool


@dataclass(frozen=True, slots=True)
class Recalled:
    """The debit that was never answered, and the paid ride whose gate never opened, where there are such.

    `last_counter` is that of the card's newest ride on this terminal, None before the first.
    """

    pending: Pending | None
    owed: TapRecord | None
    last_counter: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It is done, and on the disk where it has to be."""


@dataclass(frozen=True, slots=True)
class MemoryFull:
    """Nothing was kept: the terminal's memory has no room."""


Action = AskCard | AskSam | ResumeSam | Recall | Remember | Take | Forget | GiveUp | OpenGate | Settle
Event = Answered | CardLeft | SamSilent | Resumed | Recalled | Done | MemoryFull

_KEPT = (Done, MemoryFull)
ANSWERS: Mapping[type[Action], tuple[type[Event], ...]] = {
    AskCard: (Answered, CardLeft),
    AskSam: (Answered, SamSilent, MemoryFull),
    ResumeSam: (Resumed,),
    Recall: (Recalled,),
    Remember: _KEPT,
    Take: _KEPT,
    Forget: _KEPT,
    GiveUp: _KEPT,
    OpenGate: (Done,),
    Settle: _KEPT,
}
"""The table of what is legal: anything else is a bug of the edge, and the dialogue says so (TypeError)."""

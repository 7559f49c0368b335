"""The states of a bill's payment, and everything that may happen to it, as one table.

Money goes back only when the biller has said that the bill is not, and will not become, written off by
this payment: no answer is never taken for a "no".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a payment stands between the holder's wallet and the biller's register."""

    PAID = "paid"
    """The wallet has paid; the biller has not confirmed the write-off yet."""
    WRITTEN_OFF = "written_off"
    """The biller has written the bill off."""
    REVERSING = "reversing"
    """The holder takes the payment back; the biller has not confirmed yet, and the money has not moved."""
    REVERSED = "reversed"
    """The biller has let the payment go and the wallet has its money back."""
    RETURNED = "returned"
    """The biller refused to write off and the wallet has its money back."""


LIVE = (State.PAID, State.WRITTEN_OFF)
"""The states in which the biller should have the payment in its file."""


class Act(StrEnum):
    """What a biller is told."""

    WRITE_OFF = "write_off"
    REVERSE = "reverse"


class Happening(StrEnum):
    """What can happen to a payment after it is made."""

    WRITE_OFF_TAKEN = "write_off_taken"
    WRITE_OFF_REFUSED = "write_off_refused"
    REVERSAL_ASKED = "reversal_asked"
    REVERSAL_TAKEN = "reversal_taken"
    REVERSAL_REFUSED = "reversal_refused"


@dataclass(frozen=True, slots=True)
class Move:
    """What follows from a happening: the next state, whether the money goes back, whom to tell what."""

    state: State
    money_back: bool = False
    notify: Act | None = None


MOVES: Mapping[tuple[State, Happening], Move] = MappingProxyType(
    {
        (State.PAID, Happening.WRITE_OFF_TAKEN): Move(State.WRITTEN_OFF),
        (State.PAID, Happening.WRITE_OFF_REFUSED): Move(State.RETURNED, money_back=True),
        (State.PAID, Happening.REVERSAL_ASKED): Move(State.REVERSING, notify=Act.REVERSE),
        # A payment missing in the daily file is notified again, and may be refused then.
        (State.WRITTEN_OFF, Happening.WRITE_OFF_REFUSED): Move(State.RETURNED, money_back=True),
        (State.WRITTEN_OFF, Happening.REVERSAL_ASKED): Move(State.REVERSING, notify=Act.REVERSE),
        # Refused at first and asked for again: the biller's last word counts, whichever answer came last.
        (State.WRITTEN_OFF, Happening.REVERSAL_TAKEN): Move(State.REVERSED, money_back=True),
        (State.REVERSING, Happening.REVERSAL_TAKEN): Move(State.REVERSED, money_back=True),
        # A biller refuses to reverse only what it has written off.
        (State.REVERSING, Happening.REVERSAL_REFUSED): Move(State.WRITTEN_OFF),
    }
)
"""Whatever is not in the table changes nothing: an answer that came late, twice, or after the money went back."""


def move(state: State, happening: Happening) -> Move | None:
    """What follows, or None where nothing does."""
    return MOVES.get((state, happening))


def heard(act: Act, *, taken: bool) -> Happening:
    """What a biller's answer to a notice means."""
    if act is Act.WRITE_OFF:
        return Happening.WRITE_OFF_TAKEN if taken else Happening.WRITE_OFF_REFUSED
    return Happening.REVERSAL_TAKEN if taken else Happening.REVERSAL_REFUSED

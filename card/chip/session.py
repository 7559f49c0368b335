"""What a card is in the middle of while it lies in the field; all but its state is gone without power."""

from collections.abc import Callable
from dataclasses import dataclass

from card.chip.apdu import Answer, Apdu
from card.chip.keys import CardKeys, Order
from card.chip.phases import PHASE_OF_KIND, Phase
from card.chip.state import CardState, Lock, Update
from card.chip.status import StatusWord


@dataclass(frozen=True, slots=True)
class Pending:
    """A transaction that INITIALIZE began: the order, the card's random number, records to write with it."""

    order: Order
    rnd: bytes
    updates: tuple[Update, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """The card's state, whether the transit application is selected, and the transaction begun.

    `challenge` is the random number given last, `authenticated` whether it was answered by who may maintain
    the card, `verified` whether the holder's PIN was given.
    """

    state: CardState
    selected: bool = False
    pending: Pending | None = None
    challenge: bytes = b""
    authenticated: bool = False
    verified: bool = False

    @property
    def phase(self) -> Phase:
        """Where in the state table the card stands."""
        if self.state.lock is Lock.FOR_GOOD:
            return Phase.LOCKED
        if self.selected and self.state.lock is Lock.BLOCKED:
            return Phase.BLOCKED
        if self.pending is not None:
            return PHASE_OF_KIND[self.pending.order.kind]
        return Phase.SELECTED if self.selected else Phase.UNSELECTED

    def settled(self, state: CardState) -> "Session":
        """The session after its transaction has ended, one way or the other."""
        return Session(state, self.selected, None, self.challenge, self.authenticated, self.verified)

    def begun(self, pending: Pending | None) -> "Session":
        """The session with another transaction begun, or with none."""
        return Session(self.state, self.selected, pending, self.challenge, self.authenticated, self.verified)


@dataclass(frozen=True, slots=True)
class Chip:
    """What the card computes with: its keys and its source of random bytes."""

    keys: CardKeys
    random: Callable[[int], bytes]


Outcome = tuple[Session, Answer]
Handler = Callable[[Session, Chip, Apdu], Outcome]
"""One command as a function: the session before, the session after and the answer."""


def refused(session: Session, word: int) -> Outcome:
    """Nothing but a status word."""
    return session, Answer(b"", word)


def answered(session: Session, data: bytes = b"") -> Outcome:
    """Done, with data."""
    return session, Answer(data, StatusWord.DONE)

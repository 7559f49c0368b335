"""The life of a bill between us and the insurer: one table of states and events says what is legal."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a bill stands.

    CLAIMING: the insurer is being asked. UNKNOWN: it did not answer, and is asked what became of it, never
    asked to pay again. PAID: approved, and our own entry is booked. REFUSED: the insurer does not pay.
    CANCELLING: being taken back at the insurer, then in our books. CANCELLED: taken back on both sides.
    """

    CLAIMING = "claiming"
    UNKNOWN = "unknown"
    PAID = "paid"
    REFUSED = "refused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What can be heard or wished.

    APPROVED: the insurer pays what was claimed. DECLINED: it would, but the holder's pockets do not cover
    the rest. CONTRADICTED: it would pay another amount than the patient agreed to. REFUSED: it does not
    pay. WITHDRAWN: it holds nothing of this claim any more. NOT_SENT: the claim could not be sent, so that
    it knows nothing of it. NO_ANSWER: nothing that can be read, or it does not know the claim, which may still be
    on its way. CANCEL_ASKED: the hospital takes the bill back.
    """

    APPROVED = "approved"
    DECLINED = "declined"
    CONTRADICTED = "contradicted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    NOT_SENT = "not_sent"
    NO_ANSWER = "no_answer"
    CANCEL_ASKED = "cancel_asked"


OPEN: Final = (State.CLAIMING, State.UNKNOWN, State.CANCELLING)
"""States that wait for the insurer."""

COUNTED: Final = (State.CLAIMING, State.UNKNOWN, State.PAID, State.CANCELLING)
"""States whose bills count towards the deductible and the ceiling of the year."""

_UNANSWERED: Final = {
    Event.APPROVED: State.PAID,
    # What the patient did not agree to, or cannot pay, is taken back at the insurer.
    Event.DECLINED: State.CANCELLING,
    Event.CONTRADICTED: State.CANCELLING,
    Event.REFUSED: State.REFUSED,
    Event.WITHDRAWN: State.CANCELLED,
    Event.NOT_SENT: State.CANCELLED,
    Event.NO_ANSWER: State.UNKNOWN,
    Event.CANCEL_ASKED: State.CANCELLING,
}

TABLE: Final[Mapping[State, Mapping[Event, State]]] = {
    State.CLAIMING: _UNANSWERED,
    State.UNKNOWN: _UNANSWERED,
    # The first answer may come in after a question has brought it: it changes nothing.
    State.PAID: {
        Event.APPROVED: State.PAID,
        Event.NO_ANSWER: State.PAID,
        Event.CANCEL_ASKED: State.CANCELLING,
    },
    State.REFUSED: {Event.REFUSED: State.REFUSED, Event.NO_ANSWER: State.REFUSED},
    # Only its own answer ends a cancellation, whatever was under way when it began.
    State.CANCELLING: dict.fromkeys(Event, State.CANCELLING) | {Event.WITHDRAWN: State.CANCELLED},
    State.CANCELLED: dict.fromkeys(Event, State.CANCELLED),
}
"""The state after an event; an event that is not there is illegal: nothing changes, and it is listed."""


def advance(state: State, event: Event) -> State | None:
    """The state that an event leads to, or None where it is not legal."""
    return TABLE[state].get(event)

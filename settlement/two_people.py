"""What one person proposes another decides: who may say what to a proposal, in whatever room it was made.

Until it is decided, whoever proposed may withdraw it; nobody approves or turns down what they proposed themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from clearing.proposals import State

MAX_WHY: Final = 500


class DecisionRefusal(StrEnum):
    """Why a proposal is not decided, in order of precedence: the first that applies is told."""

    PROPOSAL_UNKNOWN = "proposal_unknown"
    SAME_PERSON = "same_person"
    NOT_THE_PROPOSER = "not_the_proposer"
    REASON_UNFIT = "reason_unfit"
    ALREADY_DECIDED = "already_decided"
    NIGHT_UNFINISHED = "night_unfinished"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class DecisionRefused:
    """A proposal that is not decided as asked, and what to do. One that is void is kept as that from now on."""

    refusal: DecisionRefusal
    message: str
    remedy: str


class Proposed(Protocol):
    """A proposal as far as it matters who may decide it."""

    @property
    def state(self) -> State: ...
    @property
    def proposed_by(self) -> str: ...
    @property
    def decided_by(self) -> str | None: ...
    @property
    def decided_why(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Word:
    """Who says yes or no to the proposal of a number, or withdraws it, and when; `why` is of a no."""

    number: int
    by: str
    at: datetime
    why: str = ""


def refusal_of_word(found: Proposed | None, word: Word, wanted: State, room: str) -> DecisionRefused | None:
    """The first reason why this person cannot say this to a proposal, or None; `room` is the command they say it by."""
    if found is None:
        remedy = f"`onecard {room} proposals` names them"
        return DecisionRefused(
            DecisionRefusal.PROPOSAL_UNKNOWN, f"no proposal has number {word.number}", remedy
        )
    own = word.by.strip().casefold() == found.proposed_by.strip().casefold()
    if own and wanted is not State.WITHDRAWN:
        message = f"proposal {word.number} is {found.proposed_by}'s own"
        remedy = "let another person decide it, or withdraw it"
        return DecisionRefused(DecisionRefusal.SAME_PERSON, message, remedy)
    if not own and wanted is State.WITHDRAWN:
        message = f"proposal {word.number} is {found.proposed_by}'s to withdraw, and not {word.by}'s"
        remedy = f"say no to it: `onecard {room} refuse {word.number}`"
        return DecisionRefused(DecisionRefusal.NOT_THE_PROPOSER, message, remedy)
    if wanted is State.TURNED_DOWN and not 1 <= len(word.why.strip()) <= MAX_WHY:
        message = f"a reason of {len(word.why.strip())} characters does not explain"
        return DecisionRefused(DecisionRefusal.REASON_UNFIT, message, f"give 1 to {MAX_WHY}")
    said = (found.decided_by, found.decided_why) == (word.by, word.why.strip())
    again = found.state is wanted and (said or own)
    if found.state is State.PROPOSED or again:
        return None
    stands = found.state.replace("_", " ")
    message = f"proposal {word.number} is {stands} by {found.decided_by}; that stands"
    return DecisionRefused(DecisionRefusal.ALREADY_DECIDED, message, "propose anew what is still open")


def end_proposal(
    found: Proposed | None, word: Word, state: State, room: str, keep: Callable[[Word, State, str], None]
) -> DecisionRefused | None:
    """End a proposal without carrying it out, or say why this person cannot; `keep` writes who said what."""
    refused = refusal_of_word(found, word, state, room)
    if refused is None and found is not None and found.state is State.PROPOSED:
        # Withdrawn by the name that it was proposed under, which the database compares letter by letter.
        by = found.proposed_by if state is State.WITHDRAWN else word.by
        keep(replace(word, by=by), state, word.why.strip())
    return refused

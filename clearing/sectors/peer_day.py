"""A business day held against a peer's: how it ended, the totals of both sides, and the lines that differ."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sqlalchemy import Connection

from ledger.db import nothing_to_write


class Outcome(StrEnum):
    """How a day with a peer ended, in order of precedence; whatever did not agree is tried again next night."""

    NOT_CONNECTED = "not_connected"
    """Nobody told the night how the peer is reached."""
    NOT_TRIED = "not_tried"
    """The peer was silent on other days tonight."""
    NO_ANSWER = "no_answer"
    """Nothing came that can be understood."""
    REFUSED = "refused"
    """What came cannot be taken."""
    DIFFERS = "differs"
    AGREES = "agrees"


@dataclass(frozen=True, slots=True)
class Totals:
    """One side of a day: how many payments, and what they come to in fen."""

    count: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class LineDifference:
    """A line that differs; amounts in fen, None for the side that does not have it."""

    reference: str
    kind: str
    ours_fen: int | None
    theirs_fen: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A business day from both sides; `differences` by reference."""

    business_date: date
    ours: Totals
    theirs: Totals
    differences: tuple[LineDifference, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, in total and line by line."""
        return self.ours == self.theirs and not self.differences


@dataclass(frozen=True, slots=True)
class PeerDay:
    """A peer's business day; the totals are None where it could not be compared."""

    peer: str
    business_date: date
    outcome: Outcome
    message: str = ""
    ours: Totals | None = None
    theirs: Totals | None = None
    differences: tuple[LineDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerDays:
    """The days of a night, found outside any transaction; `write` takes them into the books in the runner's."""

    days: tuple[PeerDay, ...] = ()
    write: Callable[[Connection], None] = nothing_to_write

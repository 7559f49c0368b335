"""What a centre can be asked and sent, whichever way it is reached (docs/formats/interop.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Protocol

from clearing.sectors.utilities.peer import shortened

__all__ = ["CentreClient", "CentreDay", "NoAnswer", "Offered", "Place", "Sent", "shortened"]

LONGEST_NAME: Final = 64


class NoAnswer(Exception):
    """The centre did not answer, or not understandably: it is asked, or told, again."""


class Offered(StrEnum):
    """The files that a centre has for us: taps of our cards there, and results on taps of its cards here."""

    PRESENTMENTS = "presentments"
    RESULTS = "results"


@dataclass(frozen=True, slots=True)
class Sent:
    """A centre's answer to a file of ours: `taken`, also where it has it already, or refused with its own words."""

    taken: bool
    message: str = ""


Place = tuple[int, int]
"""A tap as files know it: the number of the file that presented it, and its place there."""


@dataclass(frozen=True, slots=True)
class CentreDay:
    """A centre's day file: which taps were accepted by result files of that date, in fen by place.

    `theirs` are of its cards here, which we presented; `ours` of our cards there, which it presented.
    """

    business_date: date
    theirs: Mapping[Place, int]
    ours: Mapping[Place, int]


class CentreClient(Protocol):
    """The door to one centre. Every call may raise NoAnswer; none is made inside a transaction."""

    def file(self, kind: Offered, number: int) -> bytes | None:
        """The file of a kind and number that the centre has for us; None where there is none yet."""

    def send(self, name: str, content: bytes) -> Sent:
        """Send a file of ours; the same file again gets the same answer."""

    def day(self, business_date: date) -> CentreDay:
        """The centre's own account of a day."""

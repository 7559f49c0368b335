"""The list of cards that must not ride, as a terminal holds it."""

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hotlist:
    """One version of the whole list; the version travels in every record."""

    version: int
    cards: Container[str] = frozenset()

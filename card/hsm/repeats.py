"""What becomes of a request whose answer was lost, by command: what is safe to ask again, and why."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Repeat(StrEnum):
    """What a command gives that is asked a second time, of the same HSM or of another with the same keys."""

    SAME = "same"
    """The same answer: it follows from the fields and the keys alone."""
    ANOTHER = "another"
    """Another value, as good as the first: the HSM keeps neither, and nobody has the one that was lost."""


REPEATS: Mapping[str, Repeat] = MappingProxyType(
    {
        "NC": Repeat.SAME,
        "B2": Repeat.SAME,
        "N0": Repeat.ANOTHER,
        "E0": Repeat.SAME,
        "E2": Repeat.SAME,
        "E4": Repeat.SAME,
        "E6": Repeat.SAME,
        "E8": Repeat.SAME,
        "EA": Repeat.SAME,
        "F0": Repeat.SAME,
        "F2": Repeat.SAME,
        "F4": Repeat.SAME,
        "G0": Repeat.SAME,
        "G2": Repeat.SAME,
        "G4": Repeat.SAME,
        "G6": Repeat.SAME,
        "G8": Repeat.SAME,
        "GA": Repeat.SAME,
        "GC": Repeat.ANOTHER,
        "GE": Repeat.SAME,
        "H0": Repeat.ANOTHER,
        "H2": Repeat.SAME,
        "I0": Repeat.ANOTHER,
        "I2": Repeat.SAME,
        "I4": Repeat.SAME,
        "I6": Repeat.SAME,
    }
)
"""The commands that are asked again. One that is not here is not: its answer is lost, and the asker is told."""

"""What may befall a night, drawn from a seed: on which database, who is struck, and when."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

MOST_BLOWS: Final = 3
LATEST: Final = 0.9
"""By this part of the undisturbed night's work the last blow falls; later, a fast night might be over before."""
LULL_MS: Final = 4.0
"""So much later it may fall: a night waits for a peer or a disk without working, and is struck then too."""
ROOM_BYTES: Final = 96 * 1024
"""At most so much is left on a disk that fills up, and a sixteenth of it to a file: some still fit."""


class Victim(StrEnum):
    """Who is struck, or what runs out."""

    NIGHT = "night"
    OPERATOR = "operator"  # presses Ctrl-C
    HSM = "hsm"
    DATABASE = "database"  # every process of it
    DATABASE_STOPPED = "database stopped"  # as an operator does who cannot wait
    DISK = "disk"  # full
    FILE_LIMIT = "file limit"  # no file may grow


@dataclass(frozen=True, slots=True)
class Blow:
    """`after` is the part of the undisturbed night's work that the night does from its start until it is struck.

    `room_bytes` are left where something is full; an HSM comes back `at_once` or when the night has ended.
    """

    victim: Victim
    after: float
    lull_ms: float
    room_bytes: int
    at_once: bool


@dataclass(frozen=True, slots=True)
class Fate:
    """A night's database, and the blows to its starts: one to each of the first, in order."""

    database: str
    blows: tuple[Blow, ...]


ON_SQLITE: Final = (Victim.NIGHT, Victim.OPERATOR, Victim.HSM, Victim.DISK, Victim.FILE_LIMIT)
ON_POSTGRESQL: Final = (*ON_SQLITE, Victim.DATABASE, Victim.DATABASE, Victim.DATABASE_STOPPED)


def fate(seed: int) -> Fate:
    """What befalls the night of a seed; the same seed, the same blows. Odd seeds are played on PostgreSQL.

    The instants are uniform in the night's work. A start that is struck has done at least what lies between two
    of them, so that every later one has still more to do than is waited for.
    """
    random = Random(f"night:{seed}")
    database, victims = ("postgresql", ON_POSTGRESQL) if seed % 2 else ("sqlite", ON_SQLITE)
    # Who comes first goes round, so that any few seeds in a row see all.
    order = [victims[seed // 2 % len(victims)], *random.choices(victims, k=random.randint(1, MOST_BLOWS) - 1)]
    instants = sorted(random.uniform(0, LATEST) for _ in order)
    waits = [after - before for before, after in zip([0.0, *instants], instants, strict=False)]
    return Fate(database, tuple(_blow(random, *one) for one in zip(order, waits, strict=True)))


def _blow(random: Random, victim: Victim, after: float) -> Blow:
    lull_ms, room_bytes = random.uniform(0, LULL_MS), random.randrange(ROOM_BYTES)
    return Blow(victim, after, lull_ms, room_bytes, at_once=random.random() < 0.5)

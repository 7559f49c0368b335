"""The institutions that a night talks to, as it is given them: who can be reached, and by which client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from clearing.interop.peer import CentreClient
from clearing.sectors.healthcare.insurer import Insurer
from clearing.sectors.utilities.peer import BillerClient


@dataclass(frozen=True, slots=True)
class Peers:
    """Billers by their id, the insurer, and other cities' centres by their code.

    Who is not here is not connected, and what it has to hear waits.
    """

    billers: Mapping[str, BillerClient] = field(default_factory=dict)
    insurer: Insurer | None = None
    centres: Mapping[str, CentreClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "billers", MappingProxyType(dict(self.billers)))
        object.__setattr__(self, "centres", MappingProxyType(dict(self.centres)))


NOBODY: Final = Peers()
"""A night without institutions."""

SILENT_IN_A_ROW: Final = 3
"""After so many questions without an answer, the rest of a peer's questions waits for the next round."""

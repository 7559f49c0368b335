"""A key entered in components by several custodians: what each brings, how it is checked, and the whole.

The key is the exclusive or of its components, all as long as it is. Of a key whose components are random, whoever
lacks one of them knows nothing. Pure: who asks and who writes is elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

from hsm_sim.epurse import exclusive_or
from hsm_sim.keys import aes_check_value

FEWEST_CUSTODIANS = 2


class CeremonyError(Exception):
    """What a custodian gave is not accepted; the message says why and what to do, and repeats no component."""


@dataclass(frozen=True, slots=True)
class Component:
    """One custodian's part of a key."""

    custodian: str
    value: bytes = field(repr=False)

    @property
    def check_value(self) -> str:
        """Six hex digits that tell it from others."""
        return check_value(self.value)


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A key of so many bytes, of which so many custodians bring a component each."""

    key_bytes: int
    custodians: int
    given: tuple[Component, ...] = ()

    def __post_init__(self) -> None:
        if self.custodians < FEWEST_CUSTODIANS:
            raise CeremonyError(
                f"{self.custodians} custodians are too few, as one would know the key; give {FEWEST_CUSTODIANS} or more"
            )

    @property
    def complete(self) -> bool:
        """Whether every component has been given."""
        return len(self.given) == self.custodians

    def check_custodian(self, name: str) -> None:
        """Raises CeremonyError where that one has given a component already."""
        if name in (component.custodian for component in self.given):
            raise CeremonyError(f"{name} has given a component already; the next one is another custodian's")

    def accepting(self, custodian: str, text: str, typed_check: str) -> "Ceremony":
        """The ceremony with one more component, read from hex in any groups, and its check value.

        Raises CeremonyError where the component, its check value or its custodian is not right.
        """
        self.check_custodian(custodian)
        component = Component(custodian, self._parsed(text))
        if "".join(typed_check.split()).upper() != component.check_value:
            raise CeremonyError(
                f"the component has check value {component.check_value} and not {typed_check.strip() or 'nothing'}; "
                "read both again from the sheet"
            )
        if component.value in (other.value for other in self.given):
            # It would cancel the other out, and leave less of the key than there are custodians.
            raise CeremonyError(
                "another custodian has given the same component; it must be one's own, made at random"
            )
        return Ceremony(self.key_bytes, self.custodians, (*self.given, component))

    def whole(self) -> bytes:
        """The key. Raises CeremonyError where components are missing, or cancel one another out."""
        if not self.complete:
            raise CeremonyError(
                f"{len(self.given)} of {self.custodians} components are given; give the others too"
            )
        key = reduce(exclusive_or, (component.value for component in self.given))
        if not any(key):
            raise CeremonyError("the components cancel one another out; make new ones at random")
        return key

    def _parsed(self, text: str) -> bytes:
        try:
            value = bytes.fromhex("".join(text.split()))
        except ValueError:
            value = b""
        if len(value) != self.key_bytes:
            raise CeremonyError(
                f"a component is {2 * self.key_bytes} hex digits; read it again from the sheet"
            )
        if not any(value):
            raise CeremonyError("a component of zeros adds nothing; make one at random")
        return value


def new_component(key_bytes: int, random: Callable[[int], bytes]) -> str:
    """A random component, in groups of four hex digits."""
    text = random(key_bytes).hex().upper()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def check_value(component: bytes) -> str:
    """Six hex digits: the left of AES-CMAC under the component over sixteen zero bytes."""
    return aes_check_value(component).hex().upper()


def sheet(*, key: str, place: int, custodians: int, custodian: str, component: str) -> str:
    """What is printed for one custodian. It is the only place where a component stands."""
    check = check_value(bytes.fromhex(component.replace(" ", "")))
    return (
        f"KEY COMPONENT {place} OF {custodians}\n\n"
        f"key          {key}\n"
        f"custodian    {custodian}\n"
        f"component    {component}\n"
        f"check value  {check}\n\n"
        "For this custodian's eyes only. Print it, destroy the file, keep the paper sealed in a safe of your own.\n"
        "No custodian may see another's. Together, and only together, the components are the key.\n"
    )

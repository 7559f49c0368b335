"""Who somebody is: checked, sealed for the disk, and masked for answers."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from datetime import date

from card.identity import identity_flaw, mask_identity, mask_name, mask_phone, normal_identity
from card.vault import Vault

LONGEST_NAME = 60
FIELDS = ("identity", "name", "phone")
_PHONE = re.compile(r"\+?[0-9]{7,15}")


@dataclass(frozen=True, slots=True)
class Person:
    """Identity number (GB 11643), name, telephone (empty where there is none or it is not asked)."""

    identity_no: str = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MaskedPerson:
    """As much of a person as an answer may show: `530102********1234`, `张*`, `138****1234`."""

    identity: str
    name: str
    phone: str


@dataclass(frozen=True, slots=True)
class PersonFlaw:
    """What is wrong with a person's data: the field and the remedy, never what stands in the field."""

    field: str
    message: str


def normal_person(person: Person) -> Person:
    """The person as records have it: without separators and blanks around, characters composed."""
    return Person(
        normal_identity(person.identity_no),
        unicodedata.normalize("NFC", person.name).strip(),
        person.phone.strip(),
    )


def person_flaw(person: Person, today: date) -> PersonFlaw | None:
    """The first thing that is wrong with a person in normal form, or None."""
    flaw = identity_flaw(person.identity_no, today)
    if flaw is not None:
        message = f"identity_no is no number of GB 11643: {flaw}; read it from the document again"
        return PersonFlaw("identity", message)
    if not 1 <= len(person.name) <= LONGEST_NAME or not person.name.isprintable():
        message = f"name is not 1 to {LONGEST_NAME} printable characters; write it as in the document"
        return PersonFlaw("name", message)
    if person.phone and not _PHONE.fullmatch(person.phone):
        message = "phone is not 7 to 15 digits, after a + where it has a country code; or leave it empty"
        return PersonFlaw("phone", message)
    return None


def differing_fields(ours: Person, theirs: Person) -> list[str]:
    """Which fields are recorded otherwise than they are given; a telephone not given does not differ."""
    fields = ["name"] if ours.name != theirs.name else []
    return [*fields, "phone"] if theirs.phone not in ("", ours.phone) else fields


def mask_person(person: Person) -> MaskedPerson:
    """The person as far as an answer may show it."""
    return MaskedPerson(mask_identity(person.identity_no), mask_name(person.name), mask_phone(person.phone))


def seal_person(vault: Vault, owner: str, person: Person) -> list[bytes]:
    """Identity, name and telephone, each bound to its field and its holder."""
    return [
        vault.seal(plain, f"{name} of {owner}") for name, plain in zip(FIELDS, astuple(person), strict=True)
    ]


def open_person(vault: Vault, owner: str, sealed: Iterable[bytes]) -> Person:
    """What `seal_person` sealed for that holder. Raises SealBroken."""
    plain = (vault.open(one, f"{name} of {owner}") for name, one in zip(FIELDS, sealed, strict=True))
    return Person(*plain)

"""Operators, who authorise, and custodians, who bring components: known by name and passphrase.

Kept as scrypt hashes, under a seal that only the LMK makes, so that nobody can be put in from outside.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hsm_sim.key_file import seal_of

SHORTEST_PASSPHRASE = 8

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,31}")
_SALT_BYTES = 16
_SCRYPT_COST, _SCRYPT_BLOCK = 2**14, 8


class Role(StrEnum):
    """What somebody may do. Nobody is both."""

    OPERATOR = "operator"
    CUSTODIAN = "custodian"


class PeopleError(Exception):
    """Somebody is not who they must be; the message says who and what to do."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody's role, and what tells whether a passphrase is theirs."""

    role: Role
    salt: bytes = field(repr=False)
    hashed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class People:
    """Everybody whom one HSM knows, by name."""

    known: Mapping[str, Person] = field(default_factory=dict)

    def names(self, role: Role) -> list[str]:
        """Who has that role, in order of their names."""
        return sorted(name for name, person in self.known.items() if person.role is role)

    def admitting(self, name: str, role: Role, passphrase: str, random: Callable[[int], bytes]) -> "People":
        """These and one more. Raises PeopleError for a name or passphrase that will not do, or that is known."""
        if not _NAME.fullmatch(name):
            raise PeopleError(
                f"the name {name!r} will not do; give 1 to 32 of a-z, 0-9, '.', '_' and '-', a letter first"
            )
        if name in self.known:
            raise PeopleError(f"{name} is known already, as {self.known[name].role}; choose another name")
        if len(passphrase) < SHORTEST_PASSPHRASE:
            raise PeopleError(
                f"the passphrase of {name} is too short; give {SHORTEST_PASSPHRASE} characters or more"
            )
        salt = random(_SALT_BYTES)
        return People({**self.known, name: Person(role, salt, _hashed(passphrase, salt))})

    def check(self, name: str, role: Role, passphrase: str) -> None:
        """Raises PeopleError where that is not somebody of that role with their own passphrase."""
        person = self.known.get(name)
        if person is None or person.role is not role:
            raise PeopleError(f"no {role} {name!r} is known here; add them with `hsm-sim {role}`")
        if not hmac.compare_digest(_hashed(passphrase, person.salt), person.hashed):
            raise PeopleError(f"that is not the passphrase of {name}; try again")

    def check_pair(self, pair: Sequence[tuple[str, str]]) -> tuple[str, str]:
        """The names of two different operators, given with their passphrases. Raises PeopleError otherwise."""
        if len(pair) != 2:
            raise PeopleError(f"{len(pair)} operators are named; two are needed")
        (first, first_phrase), (second, second_phrase) = pair
        if first == second:
            raise PeopleError(f"{first} cannot stand for two; another operator is needed")
        self.check(first, Role.OPERATOR, first_phrase)
        self.check(second, Role.OPERATOR, second_phrase)
        return first, second


def format_people(people: People, lmk: bytes) -> str:
    """Everybody as JSON, under the LMK's seal."""
    rows = _rows(people)
    return json.dumps({"people": rows, "seal": seal_of(lmk, _canonical(rows))}, indent=1) + "\n"


def parse_people(text: str, lmk: bytes) -> People:
    """Read what `format_people` wrote. Raises PeopleError where it was changed, or is under another LMK."""
    try:
        document: Any = json.loads(text)
        rows = document["people"]
        known = {
            row["name"]: Person(Role(row["role"]), bytes.fromhex(row["salt"]), bytes.fromhex(row["scrypt"]))
            for row in rows
        }
        seal = str(document["seal"]).encode("utf-8")
    except (ValueError, KeyError, TypeError) as error:
        raise PeopleError(f"the file of people cannot be read ({error}); restore it from a backup") from error
    if not hmac.compare_digest(seal, seal_of(lmk, _canonical(rows)).encode("ascii")):
        raise PeopleError("the file of people was changed, or is under another LMK; restore it from a backup")
    return People(known)


def _rows(people: People) -> list[dict[str, str]]:
    return [
        {"name": name, "role": one.role, "salt": one.salt.hex(), "scrypt": one.hashed.hex()}
        for name, one in sorted(people.known.items())
    ]


def _canonical(rows: Any) -> str:
    return json.dumps(rows, sort_keys=True)


def _hashed(passphrase: str, salt: bytes) -> bytes:
    secret = passphrase.encode("utf-8", errors="surrogateescape")
    return hashlib.scrypt(secret, salt=salt, n=_SCRYPT_COST, r=_SCRYPT_BLOCK, p=1, dklen=32)

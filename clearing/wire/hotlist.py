"""The hotlist file: the card numbers that no device may take, whole or as a change (docs/formats/terminal-files.md).

What is signed is a statement: version, moment, how many cards, and the SHA-256 of the whole list. A change
carries the statement of the list that it leads to, so that whatever is applied to whatever, nothing but the
list that the office signed comes out. Numbers are 8 bytes, ascending, little-endian: a million are 8,000,000
bytes, looked up where they lie.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from clearing.wire.bcd import MOMENT_BYTES
from clearing.wire.signed import (
    SIGNATURE_BYTES,
    Keys,
    SignedError,
    Signer,
    check_moment,
    check_signature,
    check_version,
    signature_of,
)

MAGIC = b"OHL2"
NUMBERS = np.dtype("<u8")
HEAD_BYTES = 128
_STATEMENT = struct.Struct(f">4sH{MOMENT_BYTES}sI32s")
_FORM = struct.Struct(">HII")
Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Statement:
    """What the office says of one version of the list."""

    version: int
    made_at: bytes
    count: int
    digest: bytes


class CardNumbers:
    """The cards on a list, to be asked `card_no in cards`: exact, without a copy of the numbers."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def __contains__(self, card_no: object) -> bool:
        """Whether the card is on the list; what is no number of 8 bytes never is."""
        if (
            not isinstance(card_no, str)
            or len(card_no) != 20
            or not card_no.isascii()
            or not card_no.isdecimal()
        ):
            return False
        wanted = int(card_no)
        if wanted >> 64:
            return False
        place = bisect_left(self.numbers, wanted, key=int)
        return place < len(self.numbers) and int(self.numbers[place]) == wanted

    def __len__(self) -> int:
        """How many cards are on the list."""
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class HotlistFile:
    """One file. `follows` is None for a whole list, whose cards are `added`; else the version it changes."""

    statement: Statement
    head: bytes
    follows: int | None
    removed: Numbers
    added: Numbers


def numbers_of(cards: Iterable[str]) -> Numbers:
    """Card numbers as a file holds them. Raises SignedError for one that has no place in it."""
    return np.array(sorted({_number(card_no) for card_no in cards}), NUMBERS)


def write_hotlist(version: int, made_at: bytes, numbers: Numbers, signer: Signer) -> bytes:
    """The whole list of a version. Raises SignedError for a version or moment that cannot be."""
    return (
        _head(version, made_at, numbers, signer) + _FORM.pack(0, 0, len(numbers)) + _PAD + numbers.tobytes()
    )


def write_change(whole: bytes, version: int, made_at: bytes, numbers: Numbers, signer: Signer) -> bytes:
    """The change from the list in the file `whole`, which the caller trusts, to another of `version`."""
    before, held = parse_hotlist(whole).statement, _held(whole)
    if version <= before.version:
        raise SignedError("version", version, f"it must be above {before.version}, which it follows")
    removed, added = np.setdiff1d(held, numbers, True), np.setdiff1d(numbers, held, True)
    form = _FORM.pack(before.version, len(removed), len(added))
    body = removed.astype(NUMBERS).tobytes() + added.astype(NUMBERS).tobytes()
    return _head(version, made_at, numbers, signer) + form + _PAD + body


def read_hotlist(data: bytes | memoryview, keys: Keys) -> HotlistFile:
    """Read a file signed by one of `keys`. Raises SignedError, and ForgedError where the signature is wrong.

    A whole list is checked against its statement; a change, when it is applied.
    """
    file = parse_hotlist(data)
    check_signature(file.head[: _STATEMENT.size], file.head[_STATEMENT.size :], keys)
    check_version(file.statement.version)
    check_moment(file.statement.made_at)
    if file.follows is None:
        _check_list(file.statement, file.added)
    return file


def applied(change: HotlistFile, held: Numbers) -> bytes:
    """The whole file that the change makes of the list it follows. Raises SignedError where it does not fit."""
    kept = np.setdiff1d(held, change.removed, True)
    numbers = np.union1d(kept, change.added).astype(NUMBERS)
    _check_list(change.statement, numbers)
    return change.head + _FORM.pack(0, 0, len(numbers)) + _PAD + numbers.tobytes()


def parse_hotlist(data: bytes | memoryview) -> HotlistFile:
    """The form of a file, its signature not looked at; arrays point into `data`. Raises SignedError."""
    if len(data) < HEAD_BYTES or bytes(data[:4]) != MAGIC:
        raise SignedError(
            "file", f"{len(data)} bytes", f"it must begin with {MAGIC.decode()}; ask for it again"
        )
    head = bytes(data[: _STATEMENT.size + SIGNATURE_BYTES])
    _, version, made_at, count, digest = _STATEMENT.unpack_from(head)
    follows, removed, added = _FORM.unpack_from(data, len(head))
    if len(data) != HEAD_BYTES + NUMBERS.itemsize * (removed + added):
        raise SignedError(
            "length", len(data), f"{removed} + {added} numbers do not end there; ask for it again"
        )
    numbers = np.frombuffer(data, NUMBERS, offset=HEAD_BYTES)
    return HotlistFile(
        Statement(version, made_at, count, digest),
        head,
        follows or None,
        numbers[:removed],
        numbers[removed:],
    )


_PAD = bytes(HEAD_BYTES - _STATEMENT.size - SIGNATURE_BYTES - _FORM.size)


def _held(whole: bytes) -> Numbers:
    file = parse_hotlist(whole)
    if file.follows is not None:
        raise SignedError("form", f"a change of {file.follows}", "give the whole list that it changes")
    return file.added


def _head(version: int, made_at: bytes, numbers: Numbers, signer: Signer) -> bytes:
    check_version(version)
    check_moment(made_at)
    statement = _STATEMENT.pack(MAGIC, version, made_at, len(numbers), sha256(numbers.tobytes()).digest())
    return statement + signature_of(statement, signer)


def _check_list(statement: Statement, numbers: Numbers) -> None:
    if len(numbers) != statement.count or sha256(numbers.data).digest() != statement.digest:
        raise SignedError(
            "cards", len(numbers), f"they are not the {statement.count} signed; ask for the whole list"
        )
    if not bool((numbers[1:] > numbers[:-1]).all()):
        raise SignedError("cards", "out of order", "the office must write them ascending, each once")


def _number(card_no: str) -> int:
    if len(card_no) != 20 or not card_no.isascii() or not card_no.isdecimal() or int(card_no) >> 64:
        raise SignedError("card_no", repr(card_no), f"it must be 20 decimal digits, at most {(1 << 64) - 1}")
    return int(card_no)

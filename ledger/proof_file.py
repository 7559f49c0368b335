"""The proof of one entry as a file: JSON that anyone can check offline, as docs/formats/proof.md lays it down."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

from ledger.entry import Entry, Line, canonical_bytes, digest, flaw
from ledger.merkle import root_from_path
from ledger.seal import Proof, sealed_root, signed_by

FORMAT: Final = "onecard/proof/v1"
CONTENT: Final = "onecard/entry/v2"
MAX_ENTRIES: Final = 10**10
MAX_PATH: Final = 34
"""Hashes from a leaf to the root of a day that is full."""

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class ProofFileError(Exception):
    """A proof file is not one: `field` is at fault, and `value` is what it holds, cut short."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        shown = repr(value)
        self.field = field
        self.value = shown if len(shown) <= 80 else shown[:77] + "..."
        super().__init__(f"{field} of the proof is {self.value}; {remedy}")


class Wrong(StrEnum):
    """Why a proof does not hold, in order of precedence: the first that applies is given."""

    OTHER_KEY = "other_key"
    PLACE_IMPOSSIBLE = "place_impossible"
    NOT_SIGNED = "not_signed"


@dataclass(frozen=True, slots=True)
class ProofFile:
    """An entry's content, its place among its day's, the hashes to the tree's root, what else the day's root covers.

    There is nothing in it that does not go into the check, so that no bit of it can be changed unnoticed.
    """

    content: bytes
    business_date: date
    index: int
    entries: int
    path: tuple[bytes, ...]
    chain: bytes
    registers_root: bytes
    previous_root: bytes
    public_key: bytes
    signature: bytes


def proof_file(proof: Proof, public_key: bytes) -> ProofFile:
    """A proof made fit to be handed out; `public_key` (32 bytes) is that of the seal's key version."""
    contents = proof.seal.contents
    return ProofFile(
        proof.content,
        contents.business_date,
        proof.index,
        contents.entries,
        proof.path,
        contents.chain,
        contents.registers_root,
        contents.previous_root,
        public_key,
        proof.seal.signature,
    )


def encode(proof: ProofFile) -> bytes:
    """Write a proof as JSON in ASCII, a member a line; bytes are lower-case hex."""
    members: dict[str, object] = {
        "format": FORMAT,
        "content": proof.content.hex(),
        "business_date": proof.business_date.isoformat(),
        "index": proof.index,
        "entries": proof.entries,
        "path": [step.hex() for step in proof.path],
        "chain": proof.chain.hex(),
        "registers_root": proof.registers_root.hex(),
        "previous_root": proof.previous_root.hex(),
        "public_key": proof.public_key.hex(),
        "signature": proof.signature.hex(),
    }
    return json.dumps(members, indent=1).encode("ascii") + b"\n"


def decode(data: bytes) -> ProofFile:
    """Read a proof. Raises ProofFileError, naming the field, for anything that is not one."""
    members = _members(data)
    proof = ProofFile(
        content=_bytes(members, "content"),
        business_date=_date(members),
        index=_number(members, "index"),
        entries=_number(members, "entries"),
        path=_path(members),
        chain=_bytes(members, "chain", 32),
        registers_root=_bytes(members, "registers_root", 32),
        previous_root=_bytes(members, "previous_root", 32),
        public_key=_bytes(members, "public_key", 32),
        signature=_bytes(members, "signature", 64),
    )
    entry_of(proof)
    return proof


def check(proof: ProofFile, public_key: bytes) -> Wrong | None:
    """Why a proof does not hold by a public key that is known from elsewhere (Ed25519, 32 bytes), or None."""
    if proof.public_key != public_key:
        return Wrong.OTHER_KEY
    merkle_root = root_from_path(digest(proof.content), proof.index, proof.entries, proof.path)
    if merkle_root is None:
        return Wrong.PLACE_IMPOSSIBLE
    parts = (merkle_root, proof.chain, proof.registers_root, proof.previous_root)
    root = sealed_root(proof.business_date, proof.entries, *parts)
    return None if signed_by(public_key, proof.signature, root) else Wrong.NOT_SIGNED


def entry_of(proof: ProofFile) -> Entry:
    """The entry that a proof is about. Raises ProofFileError when its content is no entry's."""
    try:
        label, reference, kind, event_at, narrative, reverses, settles, lines = json.loads(proof.content)
        entry = Entry(
            reference,
            kind,
            proof.business_date,
            datetime.fromisoformat(event_at).astimezone(UTC),
            tuple(Line(*line) for line in lines),
            narrative,
            reverses,
            settles,
        )
        good = label == CONTENT and flaw(entry) is None and canonical_bytes(entry) == proof.content
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        good = False
    if not good:
        remedy = f"give the content of an entry as the ledger hashes it, {CONTENT}"
        raise ProofFileError("content", proof.content, remedy)
    return entry


def _members(data: bytes) -> dict[str, Any]:
    try:
        members = json.loads(data.decode("ascii"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ProofFileError(
            "file", data[:40], f"give JSON in ASCII as it was handed out ({error})"
        ) from error
    if not isinstance(members, dict):
        raise ProofFileError("file", members, "give a JSON object")
    if members.get("format") != FORMAT:
        raise ProofFileError("format", members.get("format"), f"give a proof of format {FORMAT}")
    wanted = {"format", *ProofFile.__dataclass_fields__}
    for name in sorted(wanted - members.keys()):
        raise ProofFileError(name, None, "ask for the whole proof again")
    for name in sorted(members.keys() - wanted):
        raise ProofFileError(name, members[name], "take it out; the format has no such member")
    return members


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is there twice")
    return members


def _bytes(members: dict[str, Any], name: str, length: int | None = None) -> bytes:
    return _hex(name, members[name], length)


def _hex(name: str, value: object, length: int | None = None) -> bytes:
    if isinstance(value, str) and _HEX.fullmatch(value) and length in (None, len(value) // 2):
        return bytes.fromhex(value)
    what = "bytes" if length is None else f"{length} bytes"
    raise ProofFileError(name, value, f"give {what} in lower-case hex")


def _path(members: dict[str, Any]) -> tuple[bytes, ...]:
    steps = members["path"]
    if not isinstance(steps, list) or len(steps) > MAX_PATH:
        raise ProofFileError("path", steps, f"give a list of at most {MAX_PATH} hashes")
    return tuple(_hex(f"path[{place}]", step, 32) for place, step in enumerate(steps))


def _number(members: dict[str, Any], name: str) -> int:
    value = members[name]
    if type(value) is int and 0 <= value < MAX_ENTRIES:
        return value
    raise ProofFileError(name, value, f"give a whole number from 0, below {MAX_ENTRIES}")


def _date(members: dict[str, Any]) -> date:
    value = members["business_date"]
    remedy = "give a day as YYYY-MM-DD"
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ProofFileError("business_date", value, remedy)
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ProofFileError("business_date", value, remedy) from error

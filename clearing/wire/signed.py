"""Documents that terminals obey: kind, version and payload, signed by the HSM (docs/formats/terminal-files.md)."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from hashlib import sha256

from card.signatures import Algorithm, verify
from clearing.wire.bcd import MOMENT_BYTES, moment_of

MAGIC = b"OCD1"
MAX_PAYLOAD_BYTES = 1 << 20
MAX_VERSION = 0xFFFF
"""A record has two bytes for the version of the tariff and of the hotlist that it was made under."""
SIGNATURE_BYTES = 65
_HEAD = struct.Struct(f">4sBH{MOMENT_BYTES}sI")

Sign = Callable[[bytes], tuple[int, bytes]]
"""Signs a digest of 32 bytes: the key's version, and an Ed25519 signature, as `Hsm.sign` does."""


class Kind(IntEnum):
    """What a document is."""

    TARIFF = 1
    SETTINGS = 2


class SignedError(Exception):
    """A file that no terminal may obey: `field` holds `value`; `remedy` says what to do."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field} is {value}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


class ForgedError(SignedError):
    """A file whose signature does not hold under the key that it names."""


@dataclass(frozen=True, slots=True)
class Document:
    """A signed payload. `made_at` is 7 bytes BCD in city time: the file's own proof that it is no earlier."""

    kind: Kind
    version: int
    made_at: bytes
    payload: bytes


def write_document(document: Document, sign: Sign) -> bytes:
    """The signed file. Raises SignedError for a version, moment or payload that has no place in it."""
    check_version(document.version)
    check_moment(document.made_at)
    if len(document.payload) > MAX_PAYLOAD_BYTES:
        raise SignedError("payload", f"{len(document.payload)} bytes", f"write at most {MAX_PAYLOAD_BYTES}")
    head = _HEAD.pack(MAGIC, document.kind, document.version, document.made_at, len(document.payload))
    return with_signature(head + document.payload, sign)


def read_document(data: bytes, keys: Mapping[int, bytes]) -> Document:
    """Read a file signed by one of `keys` (public keys by version). Raises SignedError, ForgedError."""
    if len(data) < _HEAD.size + SIGNATURE_BYTES or data[:4] != MAGIC:
        raise SignedError(
            "file", f"{len(data)} bytes", f"it must begin with {MAGIC.decode()}; ask for it again"
        )
    _, kind, version, made_at, length = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + length + SIGNATURE_BYTES:
        raise SignedError("length", length, f"the file has {len(data)} bytes; ask for it again")
    signed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    check_signature(signed, signature, keys)
    if kind not in list(Kind):
        raise SignedError("kind", kind, "this terminal knows 1 tariff and 2 settings; renew its program")
    check_version(version)
    check_moment(made_at)
    return Document(Kind(kind), version, made_at, signed[_HEAD.size :])


def with_signature(signed: bytes, sign: Sign) -> bytes:
    """The bytes, then the key's version and the signature over their SHA-256."""
    return signed + signature_of(signed, sign)


def signature_of(signed: bytes, sign: Sign) -> bytes:
    """Key version 1, signature 64."""
    key_version, signature = sign(sha256(signed).digest())
    return bytes((key_version,)) + signature


def check_signature(signed: bytes, signature: bytes, keys: Mapping[int, bytes]) -> None:
    """Raises ForgedError where the signature does not hold, or its key is not one of `keys`."""
    key = keys.get(signature[0])
    if key is None:
        raise ForgedError("key version", signature[0], f"this terminal trusts {sorted(keys)}; renew its keys")
    if not verify(Algorithm.ED25519, key, sha256(signed).digest(), signature[1:]):
        raise ForgedError("signature", signature[1:9].hex(), "it does not hold; ask for the file again")


def check_version(version: int) -> None:
    """Raises SignedError for a version that no record could name."""
    if not 1 <= version <= MAX_VERSION:
        raise SignedError("version", version, f"it must be 1 to {MAX_VERSION}")


def check_moment(made_at: bytes) -> datetime:
    """The instant that a file was made at. Raises SignedError where it is none."""
    try:
        return moment_of(made_at)
    except ValueError as error:
        raise SignedError("made_at", made_at.hex(), "it must be a date and time YYYYMMDDHHMMSS") from error

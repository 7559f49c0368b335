"""Documents that terminals obey: kind, version and payload, signed by the HSM (docs/formats/terminal-files.md)."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from cryptography.hazmat.primitives.hashes import SHA256, SM3, Hash

from card.algorithms import Algorithm
from card.signatures import verify
from clearing.wire.bcd import MOMENT_BYTES, moment_of

MAGIC = b"OCD2"
MAX_PAYLOAD_BYTES = 1 << 20
MAX_VERSION = 0xFFFF
"""A record has two bytes for the version of the tariff and of the hotlist that it was made under."""
SIGNATURE_BYTES = 66
_HEAD = struct.Struct(f">4sBH{MOMENT_BYTES}sI")

Keys = Mapping[tuple[Algorithm, int], bytes]
"""Public keys that a terminal trusts, by their algorithm and version."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, and how: `sign` makes of a digest of 32 bytes the key's version and a signature of 64."""

    algorithm: Algorithm
    sign: Callable[[bytes], tuple[int, bytes]]


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


def write_document(document: Document, signer: Signer) -> bytes:
    """The signed file. Raises SignedError for a version, moment or payload that has no place in it."""
    check_version(document.version)
    check_moment(document.made_at)
    if len(document.payload) > MAX_PAYLOAD_BYTES:
        raise SignedError("payload", f"{len(document.payload)} bytes", f"write at most {MAX_PAYLOAD_BYTES}")
    head = _HEAD.pack(MAGIC, document.kind, document.version, document.made_at, len(document.payload))
    return with_signature(head + document.payload, signer)


def read_document(data: bytes, keys: Keys) -> Document:
    """Read a file signed by one of `keys`. Raises SignedError, ForgedError."""
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


def with_signature(signed: bytes, signer: Signer) -> bytes:
    """The bytes, then what `signature_of` makes of them."""
    return signed + signature_of(signed, signer)


def signature_of(signed: bytes, signer: Signer) -> bytes:
    """Algorithm 1, key version 1, and the signature over the digest, 64."""
    key_version, signature = signer.sign(_digest(signer.algorithm, signed))
    return bytes((signer.algorithm, key_version)) + signature


def check_signature(signed: bytes, signature: bytes, keys: Keys) -> None:
    """Raises ForgedError where the signature does not hold, or its key is not one of `keys`.

    The algorithm is the key's own: a key of one serves no other, whatever the file says.
    """
    named = next((key for key in keys if bytes(key) == signature[:2]), None)
    if named is None:
        trusted = ", ".join(f"{algorithm.name} {version}" for algorithm, version in sorted(keys)) or "none"
        raise ForgedError("key", signature[:2].hex(), f"this terminal trusts {trusted}; renew its keys")
    if not verify(named[0], keys[named], _digest(named[0], signed), signature[2:]):
        raise ForgedError("signature", signature[2:10].hex(), "it does not hold; ask for the file again")


def _digest(algorithm: Algorithm, signed: bytes) -> bytes:
    """What is signed: SHA-256 of the bytes, or SM3 in the national suite."""
    digest = Hash(SM3() if algorithm is Algorithm.SM2 else SHA256())
    digest.update(signed)
    return digest.finalize()


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

"""COSE_Sign1 with Ed25519 (RFC 9052, section 4.2; RFC 9053, section 2.2), in deterministic CBOR (RFC 8949).

What is read must be encoded deterministically: nothing can then be said in two ways, and what follows a
value cannot hide behind it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ALG, KID, KCWT = 1, 4, 13
"""Header parameters: algorithm and key id (RFC 9052), a CWT that carries the signer's key (RFC 9528)."""
EDDSA = -8
SIGN1_TAG = 18
SIGNATURE_BYTES = 64
MOST_DEEP = 8
"""A code nests five levels; more is an attack on whoever reads it."""


class CoseError(Exception):
    """Bytes that are not a COSE_Sign1 message as it is written here; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Sign1:
    """A signed message; the headers are maps by label, `signed` are the bytes that the signature is over."""

    protected: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes
    signature: bytes
    signed: bytes


def encode(value: object) -> bytes:
    """Write a value as deterministic CBOR."""
    return cbor2.dumps(value, canonical=True)


def decode(raw: bytes) -> Any:
    """Read one value of deterministic CBOR; raises CoseError for anything else."""
    try:
        value = cbor2.loads(raw, max_depth=MOST_DEEP, allow_indefinite=False, allow_duplicate_keys=False)
        again = encode(value)
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError) as error:
        raise CoseError(f"{len(raw)} bytes are not CBOR: {error}") from error
    if again != raw:
        raise CoseError(f"{len(raw)} bytes are not deterministic CBOR: written anew they are {len(again)}")
    return value


def to_be_signed(protected: Mapping[Any, Any], payload: bytes, external: bytes = b"") -> bytes:
    """Write the Sig_structure that a signature is over (RFC 9052, section 4.4)."""
    return _sig_structure(encode(dict(protected)), payload, external)


def write_sign1(
    protected: Mapping[Any, Any], unprotected: Mapping[Any, Any], payload: bytes, signature: bytes
) -> bytes:
    """Write a COSE_Sign1 without its tag: the place where it stands says what it is."""
    return encode([encode(dict(protected)), dict(unprotected), payload, signature])


def read_sign1(raw: bytes) -> Sign1:
    """Read a COSE_Sign1, tagged or not, with its payload; raises CoseError. Its signature is not checked."""
    value = decode(raw)
    if isinstance(value, cbor2.CBORTag):
        if value.tag != SIGN1_TAG:
            raise CoseError(f"tag is {value.tag}; a COSE_Sign1 has {SIGN1_TAG} or none")
        value = value.value
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise CoseError("a COSE_Sign1 is an array of four")
    head, unprotected, payload, signature = value
    if not (isinstance(head, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise CoseError("protected header, payload and signature must be byte strings")
    if len(signature) != SIGNATURE_BYTES:
        raise CoseError(f"the signature has {len(signature)} bytes; Ed25519 makes {SIGNATURE_BYTES}")
    protected = decode(head)
    if not isinstance(protected, Mapping) or not isinstance(unprotected, Mapping):
        raise CoseError("both headers must be maps")
    # Compared by type as well: CBOR's true and 1.0 are 1 to Python.
    if type(protected.get(ALG)) is not int or protected[ALG] != EDDSA:
        raise CoseError(f"the algorithm is {protected.get(ALG)!r}; only EdDSA, {EDDSA}, is known")
    return Sign1(protected, unprotected, payload, signature, _sig_structure(head, payload, b""))


def holds(key: bytes, signed: bytes, signature: bytes) -> bool:
    """Whether the Ed25519 signature over `signed` is by the key of 32 bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _sig_structure(head: bytes, payload: bytes, external: bytes) -> bytes:
    return encode(["Signature1", head, external, payload])

"""Hash-and-sign by algorithm: Ed25519 (RFC 8032), P-256 with SHA-256 (FIPS 186-5, RFC 6979), SM2 with SM3.

Messages have 1 to 4096 bytes, signatures 64; public keys have 32 bytes (Ed25519) or 33 (SEC 1, compressed).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hsm_sim import p256, sm2
from hsm_sim.box import Answer, Box, is_message
from hsm_sim.keys import Usage
from hsm_sim.wire import ErrorCode


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to sign: the usage of its keys, `sign(key, message)`, and the public key of a key of 32 bytes."""

    usage: Usage
    sign: Callable[[bytes, bytes], bytes]
    public_key: Callable[[bytes], bytes]


def sign(box: Box, *, algorithm: bytes, version: bytes, message: bytes) -> Answer:
    """GC: the key's version, and a signature over the message by that algorithm."""
    if not is_message(message):
        return ErrorCode.LENGTH_WRONG
    return _with_key(box, algorithm, version, lambda scheme, key: scheme.sign(key, message))


def public_key(box: Box, *, algorithm: bytes, version: bytes) -> Answer:
    """GE: the key's version, and the key by which anybody verifies what GC signs."""
    return _with_key(box, algorithm, version, lambda scheme, key: scheme.public_key(key))


def _with_key(box: Box, algorithm: bytes, version: bytes, made: Callable[[Scheme, bytes], bytes]) -> Answer:
    scheme = SCHEMES.get(algorithm)
    if scheme is None:
        return ErrorCode.ALGORITHM_UNSUPPORTED
    number = version[0] or box.keys.newest(scheme.usage)
    key = box.keys.find(scheme.usage, number)
    if key is None:
        return ErrorCode.KEY_UNKNOWN
    try:
        return bytes((number,)) + made(scheme, key)
    except sm2.Sm2Unavailable:
        return ErrorCode.ALGORITHM_UNSUPPORTED


def _sign_ed25519(key: bytes, message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(key).sign(message)


def _ed25519_public_key(key: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()


SCHEMES: Mapping[bytes, Scheme] = MappingProxyType(
    {
        b"\x00": Scheme(Usage.SIGNATURE, _sign_ed25519, _ed25519_public_key),
        b"\x01": Scheme(Usage.P256_SIGNATURE, p256.sign, p256.public_key),
        b"\x02": Scheme(Usage.SM2_SIGNATURE, sm2.sign, sm2.public_key),
    }
)
"""The ways to sign by the field `algorithm`."""

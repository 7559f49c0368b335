"""ECDSA on P-256 with SHA-256 (FIPS 186-5), deterministic (RFC 6979).

Keys go in as 32 bytes, public keys come out as 33 (SEC 1, compressed), signatures are `r 32 ‖ s 32`.
"""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_NUMBER_BYTES = 32


def sign(key: bytes, message: bytes) -> bytes:
    """Sign a message; the same message gets the same signature."""
    return flat(_private(key).sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))


def public_key(key: bytes) -> bytes:
    """The public key of a key."""
    return _private(key).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def private_number(key: bytes, order: int) -> int:
    """The private key of a curve of that order: the 32 bytes as they are, or brought into 1 to order - 2.

    So any 32 random bytes make a key, and a key that was made elsewhere stays what it is.
    """
    return 1 + (int.from_bytes(key) - 1) % (order - 2)


def flat(signature: bytes) -> bytes:
    """`r 32 ‖ s 32` of a signature in DER."""
    return b"".join(number.to_bytes(_NUMBER_BYTES) for number in decode_dss_signature(signature))


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(private_number(key, ORDER), ec.SECP256R1())

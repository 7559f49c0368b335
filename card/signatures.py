"""Whether a signature holds, by nothing but a public key: Ed25519, P-256 with SHA-256, SM2 with SM3.

Keys and signatures are those that the HSM gives out (docs/formats/hsm.md, GC and GE).
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from card import sm2
from card.algorithms import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Algorithm


def verify(algorithm: Algorithm, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of the public key signed the message; False too where key or signature cannot be one."""
    if len(signature) != SIGNATURE_BYTES or len(public_key) != PUBLIC_KEY_BYTES[algorithm]:
        return False
    match algorithm:
        case Algorithm.ED25519:
            return _verify_ed25519(public_key, message, signature)
        case Algorithm.P256:
            return _verify_p256(public_key, message, signature)
        case Algorithm.SM2:
            return sm2.verify(public_key, message, signature)


def _verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_p256(public_key: bytes, message: bytes, signature: bytes) -> bool:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True

"""Signatures by the HSM: daily seals, certificates of the QR issuer, and messages by the algorithm of one's choice."""

from card.algorithms import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Algorithm
from card.hsm.asking import Asking
from card.hsm.codec import fixed, number
from card.hsm.terminals import bounded


class Signing(Asking):
    """The commands of signatures; version 0 means the newest key. `card.signatures` verifies what they make."""

    def sign(self, digest: bytes, key_version: int = 0) -> tuple[int, bytes]:
        """G4: the key's version, and an Ed25519 signature over a digest of 32 bytes."""
        fields = number("key_version", key_version, 1) + fixed("digest", digest, 32)
        return self._versioned("G4", fields, SIGNATURE_BYTES)

    def public_key(self, version: int = 0) -> tuple[int, bytes]:
        """G6: version and public key of the signature key, Ed25519."""
        return self._versioned("G6", number("version", version, 1), PUBLIC_KEY_BYTES[Algorithm.ED25519])

    def sign_message(self, message: bytes, key_version: int = 0) -> tuple[int, bytes]:
        """G8: the key's version, and the QR issuer's Ed25519 signature over a message of 1 to 4096 bytes."""
        fields = number("key_version", key_version, 1) + bounded(message)
        return self._versioned("G8", fields, SIGNATURE_BYTES)

    def qr_public_key(self, version: int = 0) -> tuple[int, bytes]:
        """GA: version and public key of the QR issuer's signature key, Ed25519."""
        return self._versioned("GA", number("version", version, 1), PUBLIC_KEY_BYTES[Algorithm.ED25519])

    def sign_by(self, algorithm: Algorithm, message: bytes, key_version: int = 0) -> tuple[int, bytes]:
        """GC: the key's version, and a signature of 64 bytes over a message of 1 to 4096 bytes."""
        fields = bytes((algorithm,)) + number("key_version", key_version, 1) + bounded(message)
        return self._versioned("GC", fields, SIGNATURE_BYTES)

    def public_key_by(self, algorithm: Algorithm, version: int = 0) -> tuple[int, bytes]:
        """GE: version and public key of an algorithm's signature key."""
        fields = bytes((algorithm,)) + number("version", version, 1)
        return self._versioned("GE", fields, PUBLIC_KEY_BYTES[algorithm])

    def _versioned(self, command: str, fields: bytes, width: int) -> tuple[int, bytes]:
        raw = self._ask(command, fields, 1 + width)
        return raw[0], raw[1:]

"""A rider's telephone: it keeps the device key, the certificate, and makes a new code for every ride."""

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearing.wire.qr import NONCE_BYTES, make_code, text_of


class Phone:
    """One telephone; its key comes from a seed of 32 bytes, its nonces count up, as a world from a seed needs."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._shown = 0
        self.certificate: bytes | None = None

    @property
    def device_key(self) -> bytes:
        """The public key, 32 bytes: the issuer writes it into the certificate."""
        return self._key.public_key().public_bytes_raw()

    def show(self, *, at: datetime) -> str:
        """Show a new code, good for a minute; raises RuntimeError where there is no certificate yet."""
        if self.certificate is None:
            raise RuntimeError("the phone has no certificate; fetch one while it is online")
        self._shown += 1
        nonce = self._shown.to_bytes(NONCE_BYTES, "big")
        return text_of(make_code(self.certificate, at=at, nonce=nonce, sign=self._key.sign))

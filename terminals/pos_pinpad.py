"""The counter terminal's secure part: it holds the terminal's keys and makes and checks MACs with them."""

from hmac import compare_digest

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

BLOCK_BYTES = 8
WRAPPED_BYTES = 24
CHECK_VALUE_BYTES = 3


class KeyRefused(Exception):
    """A key that does not open or is not the one its check value says; the message says what to do."""


class PinPad:
    """Holds a terminal master key and, after a sign-on, a working key. Neither ever leaves it.

    `wrapped_master_key` is as the HSM gave it out for the enrolment, `transport_key` what opens it. Raises
    KeyRefused where it does not.
    """

    def __init__(self, wrapped_master_key: bytes, transport_key: bytes) -> None:
        self._master_key = _opened(transport_key, wrapped_master_key, "terminal master key")
        self._working_key: bytes | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a working key."""
        return self._working_key is not None

    def load(self, key: bytes) -> None:
        """Take a working key as a sign-on brings it: 24 bytes wrapped, then its check value. Raises KeyRefused."""
        wrapped, check_value = key[:WRAPPED_BYTES], key[WRAPPED_BYTES:]
        opened = _opened(self._master_key, wrapped, "working key")
        if not compare_digest(_check_value(opened), check_value):
            raise KeyRefused("the working key is not the one of its check value; sign on again")
        self._working_key = opened

    def mac(self, covered: bytes) -> bytes:
        """The retail MAC of a message, 8 bytes: ISO 9797-1 algorithm 3, DES, padding method 1 (ANSI X9.19).

        Raises KeyRefused before the first sign-on.
        """
        if self._working_key is None:
            raise KeyRefused("there is no working key yet; sign on first")
        left, right = self._working_key[:BLOCK_BYTES], self._working_key[BLOCK_BYTES:]
        padded = covered + bytes(-len(covered) % BLOCK_BYTES)
        # Three equal keys make triple DES single DES, which the library has no other name for.
        chained = Cipher(TripleDES(3 * left), modes.CBC(bytes(BLOCK_BYTES))).encryptor().update(padded)
        last = chained[-BLOCK_BYTES:]
        return _ecb(3 * left).encryptor().update(_ecb(3 * right).decryptor().update(last))

    def made(self, covered: bytes, mac: bytes) -> bool:
        """Whether the gateway made this MAC, or we did."""
        return compare_digest(self.mac(covered), mac)


def _opened(key: bytes, wrapped: bytes, name: str) -> bytes:
    try:
        return aes_key_unwrap(key, wrapped)
    except (InvalidUnwrap, ValueError):
        raise KeyRefused(f"the {name} does not open; enrol the terminal again with the HSM's key") from None


def _check_value(key: bytes) -> bytes:
    return _ecb(key + key[:BLOCK_BYTES]).encryptor().update(bytes(BLOCK_BYTES))[:CHECK_VALUE_BYTES]


def _ecb(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(TripleDES(key), modes.ECB())

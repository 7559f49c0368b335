"""The cryptography of the e-purse, national suite: SM4 (GB/T 32907) for keys, session keys, MACs and TACs.

Pure functions over bytes, named as their counterparts in `epurse`; every key has 16 bytes, factors have 8.
"""

from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from hsm_sim.epurse import COMPLEMENT, DERIVED_KEYS_KEPT, exclusive_or

_BLOCK = 16
_MAC_BYTES = 4
_CRYPTOGRAM_BYTES = 8


def sm4(key: bytes, blocks: bytes) -> bytes:
    """Encrypt whole blocks of 16 bytes, each by itself."""
    return Cipher(SM4(key), modes.ECB()).encryptor().update(blocks)


def spread(key: bytes, eight: bytes) -> bytes:
    """Sixteen bytes from eight: `SM4(key, x ‖ ~x)`."""
    return sm4(key, eight + exclusive_or(eight, COMPLEMENT))


@lru_cache(DERIVED_KEYS_KEPT)
def diversify(key: bytes, factor: bytes) -> bytes:
    """Derive the 16-byte key of one issuer or card: `spread(key, factor)`."""
    return spread(key, factor)


def card_key(root: bytes, issuer: bytes, card: bytes) -> bytes:
    """Derive a card's key from a root: first for the issuer (8), then for the card (8)."""
    return diversify(diversify(root, issuer), card)


def purchase_session_key(purchase_key: bytes, rnd: bytes, counter: bytes, terminal_sequence: bytes) -> bytes:
    """SESPK: `x = rnd 4 ‖ counter 2 ‖ the right half of the terminal sequence 4`, then as `spread`."""
    return spread(purchase_key, rnd + counter + terminal_sequence[2:4])


def load_session_key(load_key: bytes, rnd: bytes, counter: bytes) -> bytes:
    """SESLK: `x = rnd 4 ‖ load counter 2 ‖ 8000`, then as `spread`."""
    return spread(load_key, rnd + counter + b"\x80\x00")


def cryptogram(key: bytes, challenge: bytes) -> bytes:
    """What answers a card's challenge (8): the left 8 bytes of `SM4(key, challenge ‖ ~challenge)`."""
    return spread(key, challenge)[:_CRYPTOGRAM_BYTES]


def mac(key: bytes, message: bytes) -> bytes:
    """Left 4 bytes of the SM4 CBC-MAC: zero IV, padding `80 00…` always."""
    padded = message + b"\x80" + bytes(-(len(message) + 1) % _BLOCK)
    cipher = Cipher(SM4(key), modes.CBC(bytes(_BLOCK)))
    return cipher.encryptor().update(padded)[-_BLOCK:][:_MAC_BYTES]

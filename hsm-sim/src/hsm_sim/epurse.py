"""The cryptography of the e-purse (PBOC EP, JT/T 978), international suite: 3DES and single-DES MACs.

Pure functions over bytes; keys of cards and of their roots are 16 bytes, factors and session keys 8.
"""

from functools import lru_cache

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

DERIVED_KEYS_KEPT = 4096
"""Derived keys kept ready in memory: those of all issuers, and of the cards in the middle of something."""
COMPLEMENT = bytes.fromhex("FFFFFFFFFFFFFFFF")

_BLOCK = 8
_MAC_BYTES = 4
_CHECK_BYTES = 3


def triple_des(key: bytes, blocks: bytes) -> bytes:
    """Encrypt whole blocks of 8 bytes, each by itself, under a double-length key."""
    return Cipher(TripleDES(key + key[:_BLOCK]), modes.ECB()).encryptor().update(blocks)


@lru_cache(DERIVED_KEYS_KEPT)
def diversify(key: bytes, factor: bytes) -> bytes:
    """Derive the 16-byte key of one issuer or card: `3DES(key, factor) ‖ 3DES(key, ~factor)`."""
    return triple_des(key, factor + exclusive_or(factor, COMPLEMENT))


def card_key(root: bytes, issuer: bytes, card: bytes) -> bytes:
    """Derive a card's key (16) from a root: first for the issuer (8), then for the card (8)."""
    return diversify(diversify(root, issuer), card)


def purchase_session_key(purchase_key: bytes, rnd: bytes, counter: bytes, terminal_sequence: bytes) -> bytes:
    """SESPK: `3DES(DPK, rnd 4 ‖ counter 2 ‖ the right half of the terminal sequence 4)`."""
    return triple_des(purchase_key, rnd + counter + terminal_sequence[2:4])


def load_session_key(load_key: bytes, rnd: bytes, counter: bytes) -> bytes:
    """SESLK: `3DES(DLK, rnd 4 ‖ load counter 2 ‖ 8000)`."""
    return triple_des(load_key, rnd + counter + b"\x80\x00")


def tac_key(card_tac_key: bytes) -> bytes:
    """The single-DES key of TACs: the exclusive or of the two halves of DTK."""
    return exclusive_or(card_tac_key[:_BLOCK], card_tac_key[_BLOCK:])


def mac(key: bytes, message: bytes) -> bytes:
    """Left 4 bytes of the single-DES CBC-MAC: zero IV, padding `80 00…` always."""
    padded = message + b"\x80" + bytes(-(len(message) + 1) % _BLOCK)
    # Three times the same key makes 3DES into DES.
    cipher = Cipher(TripleDES(key * 3), modes.CBC(bytes(_BLOCK)))
    return cipher.encryptor().update(padded)[-_BLOCK:][:_MAC_BYTES]


def tac(root: bytes, issuer: bytes, card: bytes, message: bytes) -> bytes:
    """The 4 bytes with which a card signs a message, from the root of TAC keys."""
    return mac(tac_key(card_key(root, issuer, card)), message)


def check_value(key: bytes) -> bytes:
    """Left 3 bytes of 3DES of eight zero bytes: tells keys apart and betrays none."""
    return triple_des(key, bytes(_BLOCK))[:_CHECK_BYTES]


def exclusive_or(left: bytes, right: bytes) -> bytes:
    """Bytewise exclusive or of two values of one length."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))

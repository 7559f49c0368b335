"""The keys a card carries, and the MACs and TACs it makes with them, in both suites.

A session key lives for one transaction; MACs prove to card and SAM that the other side holds the key, the
TAC proves the transaction to the clearing house. Layouts and suites: PBOC EP, JT/T 978; the national suite
is this project's own profile.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hmac import compare_digest

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

KEY_BYTES = 16
MAC_BYTES = 4
CHECK_BYTES = 3


class KeysUnreadable(ValueError):
    """Wrapped card keys that the transport key does not open."""


@dataclass(frozen=True, slots=True)
class CardKeys:
    """A card's own keys, 16 bytes each, not in its repr: DPK for purchases, DLK for loads, DTK for TACs.

    `authentication` (DAK) is the key of who may maintain the card; None on a card that nobody maintains.
    """

    purchase: bytes = field(repr=False)
    load: bytes = field(repr=False)
    tac: bytes = field(repr=False)
    authentication: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        keys = (self.purchase, self.load, self.tac, self.authentication)
        if {len(key) for key in keys if key is not None} != {KEY_BYTES}:
            raise ValueError(
                f"a card key is not {KEY_BYTES} bytes long: give purchase, load and TAC keys whole"
            )


@dataclass(frozen=True, slots=True)
class Order:
    """What a transaction is about, as every MAC covers it: kind, amount, and the terminal (6 bytes)."""

    kind: int
    amount_fen: int
    terminal: bytes

    def pack(self) -> bytes:
        """Amount, kind, terminal: 11 bytes."""
        return self.amount_fen.to_bytes(4, "big") + bytes((self.kind,)) + self.terminal


@dataclass(frozen=True, slots=True)
class Suite:
    """A family of algorithms: session key of (key, 8 bytes), MAC of (key, data), TAC key of DTK.

    `derived` is a key's child by a factor of 8 bytes, `cryptogram` the answer of (key, challenge of 8 bytes),
    `check_value` three bytes that tell keys apart.
    """

    algorithm: int
    session_key: Callable[[bytes, bytes], bytes]
    mac: Callable[[bytes, bytes], bytes]
    tac_key: Callable[[bytes], bytes]
    derived: Callable[[bytes, bytes], bytes]
    cryptogram: Callable[[bytes, bytes], bytes]
    check_value: Callable[[bytes], bytes]


def purchase_session(
    suite: Suite, purchase_key: bytes, *, rnd: bytes, sequence: int, terminal_sequence: int
) -> bytes:
    """The key of one purchase (SESPK) of DPK, over the right half of the terminal's sequence number."""
    seed = rnd + sequence.to_bytes(2, "big") + (terminal_sequence & 0xFFFF).to_bytes(2, "big")
    return suite.session_key(purchase_key, seed)


def load_session(suite: Suite, keys: CardKeys, *, rnd: bytes, sequence: int) -> bytes:
    """The key of one load (SESLK)."""
    return suite.session_key(keys.load, rnd + sequence.to_bytes(2, "big") + b"\x80\x00")


def purchase_mac1(suite: Suite, session: bytes, order: Order, moment: bytes) -> bytes:
    """What the SAM sends with DEBIT: it holds the purchase key."""
    return suite.mac(session, order.pack() + moment)


def purchase_mac2(suite: Suite, session: bytes, amount_fen: int) -> bytes:
    """What the card answers to DEBIT, for the SAM: it has been debited."""
    return suite.mac(session, amount_fen.to_bytes(4, "big"))


def purchase_tac(
    suite: Suite, keys: CardKeys, order: Order, *, terminal_sequence: int, moment: bytes
) -> bytes:
    """The card's signature over a purchase, for the clearing house."""
    covered = order.pack() + terminal_sequence.to_bytes(4, "big") + moment
    return suite.mac(suite.tac_key(keys.tac), covered)


def load_mac1(suite: Suite, session: bytes, order: Order, *, balance_fen: int) -> bytes:
    """What the card sends the office before a load: it is genuine, and this is its balance."""
    return suite.mac(session, balance_fen.to_bytes(4, "big") + order.pack())


def load_mac2(suite: Suite, session: bytes, order: Order, moment: bytes) -> bytes:
    """What the office sends with CREDIT FOR LOAD: it has authorised the load."""
    return suite.mac(session, order.pack() + moment)


def load_tac(
    suite: Suite, keys: CardKeys, order: Order, *, new_balance_fen: int, sequence: int, moment: bytes
) -> bytes:
    """The card's signature over a load, with the balance it has led to."""
    covered = new_balance_fen.to_bytes(4, "big") + sequence.to_bytes(2, "big") + order.pack() + moment
    return suite.mac(suite.tac_key(keys.tac), covered)


def same_mac(ours: bytes, theirs: bytes) -> bool:
    """Compare in constant time."""
    return compare_digest(ours, theirs)


def unwrap_card_keys(
    wrapped: bytes, transport_key: bytes, wrapped_authentication: bytes | None = None
) -> CardKeys:
    """Open `DPK ‖ DLK ‖ DTK`, 56 bytes wrapped by RFC 3394, and DAK, 24 bytes, where the card has one.

    Raises KeysUnreadable for another transport key.
    """
    opened = _unwrapped(wrapped, transport_key, 3)
    authentication = wrapped_authentication and _unwrapped(wrapped_authentication, transport_key, 1)
    return CardKeys(opened[:16], opened[16:32], opened[32:], authentication or None)


def _unwrapped(wrapped: bytes, transport_key: bytes, keys: int) -> bytes:
    if len(wrapped) != keys * KEY_BYTES + 8:
        raise KeysUnreadable(f"wrapped keys of {len(wrapped)} bytes: give all {keys * KEY_BYTES + 8}")
    try:
        return aes_key_unwrap(transport_key, wrapped)
    except InvalidUnwrap:
        raise KeysUnreadable(
            "the transport key does not open the card keys: use that of the same version"
        ) from None


# A chip uses the same few keys again and again within one tap, and setting a cipher up costs as much as using it.
@lru_cache(maxsize=64)
def _triple_des_of(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(TripleDES(key + key[:8]), modes.ECB())


@lru_cache(maxsize=64)
def _des_mac_of(key: bytes) -> Cipher[modes.CBC]:
    # Three equal keys make triple DES single DES, which the library has no other name for.
    return Cipher(TripleDES(3 * key), modes.CBC(bytes(8)))


def _triple_des(key: bytes, blocks: bytes) -> bytes:
    return _triple_des_of(key).encryptor().update(blocks)


def _des_mac(key: bytes, data: bytes) -> bytes:
    padded = data + b"\x80" + bytes(-(len(data) + 1) % 8)
    return _des_mac_of(key).encryptor().update(padded)[-8:-4]


def _fold(key: bytes) -> bytes:
    return (int.from_bytes(key[:8], "big") ^ int.from_bytes(key[8:], "big")).to_bytes(8, "big")


def _triple_des_derived(key: bytes, factor: bytes) -> bytes:
    return _triple_des(key, factor + _inverted(factor))


def _triple_des_check(key: bytes) -> bytes:
    return _triple_des(key, bytes(8))[:CHECK_BYTES]


def _inverted(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


def _sm4(key: bytes, block: bytes) -> bytes:
    return Cipher(SM4(key), modes.ECB()).encryptor().update(block)


def _sm4_over_both(key: bytes, half: bytes) -> bytes:
    return _sm4(key, half + _inverted(half))


def _sm4_cryptogram(key: bytes, challenge: bytes) -> bytes:
    return _sm4_over_both(key, challenge)[:8]


def _sm4_check(key: bytes) -> bytes:
    return _sm4(key, bytes(16))[:CHECK_BYTES]


def _sm4_mac(key: bytes, data: bytes) -> bytes:
    padded = data + b"\x80" + bytes(-(len(data) + 1) % 16)
    return Cipher(SM4(key), modes.CBC(bytes(16))).encryptor().update(padded)[-16:][:MAC_BYTES]


INTERNATIONAL = Suite(0, _triple_des, _des_mac, _fold, _triple_des_derived, _triple_des, _triple_des_check)
"""3DES for keys, single-DES CBC for MACs, zero IV, padding 80 00…, left four bytes."""

NATIONAL = Suite(1, _sm4_over_both, _sm4_mac, bytes, _sm4_over_both, _sm4_cryptogram, _sm4_check)
"""SM4 throughout; the TAC key is DTK itself."""

SUITES = {suite.algorithm: suite for suite in (INTERNATIONAL, NATIONAL)}

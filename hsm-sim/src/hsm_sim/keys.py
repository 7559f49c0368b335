"""The HSM's own keys by usage and version: which there are, what each may do, and how they are told apart."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.cmac import CMAC

from hsm_sim import p256, sm2
from hsm_sim.epurse import check_value

NEWEST = 0
LAST_VERSION = 255
LMK_BYTES = 32

Slot = tuple["Usage", int]
"""Where a key is: its usage and its version."""


class Usage(StrEnum):
    """What a key is for; a command uses keys of the usage it implies and of no other."""

    PURCHASE_ROOT = "PK"
    LOAD_ROOT = "LK"
    TAC_ROOT = "TK"
    BATCH_ROOT = "BK"
    SIGNATURE = "SK"
    TRANSPORT = "XK"
    DATA = "DK"
    TERMINAL_MASTER = "MK"
    WORKING = "WK"
    QR_SIGNATURE = "QK"
    SM4_PURCHASE_ROOT = "PS"
    SM4_LOAD_ROOT = "LS"
    SM4_TAC_ROOT = "TS"
    AUTHENTICATION_ROOT = "AK"
    SM4_AUTHENTICATION_ROOT = "AS"
    P256_SIGNATURE = "SP"
    SM2_SIGNATURE = "S2"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the key block of a key says of it (X9.143): key usage, algorithm, mode of use.

    `mode` is that of a version that generates, `retired_mode` that of one that only verifies or opens.
    """

    usage: str
    algorithm: str
    mode: str
    retired_mode: str


# X9.143 has no codes for the roots of a city's cards and terminals, and leaves numeric ones to the user.
ATTRIBUTES: Mapping[Usage, Attributes] = MappingProxyType(
    {
        Usage.PURCHASE_ROOT: Attributes("80", "T", "X", "V"),
        Usage.LOAD_ROOT: Attributes("81", "T", "X", "V"),
        Usage.TAC_ROOT: Attributes("82", "T", "X", "V"),
        Usage.SM4_PURCHASE_ROOT: Attributes("83", "4", "X", "V"),
        Usage.SM4_LOAD_ROOT: Attributes("84", "4", "X", "V"),
        Usage.SM4_TAC_ROOT: Attributes("85", "4", "X", "V"),
        Usage.AUTHENTICATION_ROOT: Attributes("88", "T", "X", "V"),
        Usage.SM4_AUTHENTICATION_ROOT: Attributes("89", "4", "X", "V"),
        Usage.BATCH_ROOT: Attributes("86", "A", "X", "V"),
        Usage.TERMINAL_MASTER: Attributes("87", "A", "X", "V"),
        Usage.SIGNATURE: Attributes("S0", "E", "S", "V"),
        Usage.QR_SIGNATURE: Attributes("S0", "E", "S", "V"),
        Usage.P256_SIGNATURE: Attributes("S0", "E", "S", "V"),
        Usage.SM2_SIGNATURE: Attributes("S0", "2", "S", "V"),
        Usage.TRANSPORT: Attributes("K0", "A", "E", "D"),
        Usage.DATA: Attributes("K0", "A", "B", "D"),
        Usage.WORKING: Attributes("K0", "A", "B", "D"),
    }
)

_LONG_KEYS = (
    Usage.SIGNATURE,
    Usage.DATA,
    Usage.QR_SIGNATURE,
    Usage.P256_SIGNATURE,
    Usage.SM2_SIGNATURE,
)
KEY_BYTES: Mapping[Usage, int] = MappingProxyType(
    {usage: 32 if usage in _LONG_KEYS else 16 for usage in Usage}
)

# The e-purse roots are the published worked example's; the others say in ASCII what they are.
DEMO_KEYS: Mapping[Usage, bytes] = MappingProxyType(
    {
        Usage.PURCHASE_ROOT: bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"),
        Usage.LOAD_ROOT: bytes.fromhex("11223344556677888877665544332211"),
        Usage.TAC_ROOT: bytes.fromhex("00112233445566778899AABBCCDDEEFF"),
        Usage.BATCH_ROOT: b"DEMO BATCH KEY 1",
        Usage.SIGNATURE: b"DEMO SIGNATURE KEY NUMBER ONE 01",
        Usage.TRANSPORT: b"DEMO TRANSPORT 1",
        Usage.DATA: b"DEMO KEY OF DATA KEYS NUMBER 001",
        Usage.TERMINAL_MASTER: b"DEMO TERMINALS 1",
        Usage.WORKING: b"DEMO WORKING K 1",
        Usage.QR_SIGNATURE: b"DEMO QR ISSUER KEY NUMBER ONE 01",
        Usage.SM4_PURCHASE_ROOT: bytes.fromhex("0123456789ABCDEFFEDCBA9876543211"),
        Usage.SM4_LOAD_ROOT: bytes.fromhex("11223344556677888877665544332212"),
        Usage.SM4_TAC_ROOT: bytes.fromhex("00112233445566778899AABBCCDDEEF0"),
        Usage.AUTHENTICATION_ROOT: bytes.fromhex("1032547698BADCFEEFCDAB8967452301"),
        Usage.SM4_AUTHENTICATION_ROOT: bytes.fromhex("1032547698BADCFEEFCDAB8967452302"),
        Usage.P256_SIGNATURE: b"DEMO P-256 SIGNATURE KEY NUMBER1",
        Usage.SM2_SIGNATURE: b"DEMO SM2 SIGNATURE KEY NUMBER 01",
    }
)


@dataclass(frozen=True, slots=True)
class KeyStore:
    """Every key of the HSM. Versions run from 1 to 255; version 0 asks for the newest.

    The newest version of a usage generates; older ones verify and open what was made, unless they are among
    `overlapping`, which go on generating for cards and terminals that hold them.
    """

    slots: Mapping[Slot, bytes] = field(repr=False)
    overlapping: frozenset[Slot] = field(default=frozenset(), repr=False)
    _newest: Mapping[Usage, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Every request asks for it, so it is found once.
        object.__setattr__(self, "_newest", dict(sorted(self.slots)))

    def find(self, usage: Usage, version: int) -> bytes | None:
        """The key of that usage and version, or None."""
        return self.slots.get((usage, version or self.newest(usage)))

    def newest(self, usage: Usage) -> int:
        """The highest version of that usage; 0 where there is none."""
        return self._newest.get(usage, NEWEST)

    def versions(self, usage: Usage) -> list[int]:
        """The versions there are of that usage, ascending."""
        return sorted(version for owner, version in self.slots if owner is usage)

    def generates(self, usage: Usage, version: int) -> bool:
        """Whether that version may make what others then verify; version 0 always may."""
        return version == NEWEST or version == self.newest(usage) or (usage, version) in self.overlapping

    def mode(self, usage: Usage, version: int) -> str:
        """The mode of use of that key as things stand, in the code of its key block."""
        found = ATTRIBUTES[usage]
        return found.mode if self.generates(usage, version) else found.retired_mode

    def with_next_version(
        self, usage: Usage, random: Callable[[int], bytes], *, overlap: bool = False
    ) -> "KeyStore":
        """These keys and a new random one of that usage; where they overlap, the last one goes on generating.

        Raises ValueError when 255 versions are used up.
        """
        last = self.newest(usage)
        if last >= LAST_VERSION:
            raise ValueError(f"usage {usage} has all {LAST_VERSION} versions; start a new HSM for it")
        going_on = {slot for slot in self.overlapping if overlap or slot[0] is not usage}
        if overlap and last:
            going_on.add((usage, last))
        return KeyStore({**self.slots, (usage, last + 1): random(KEY_BYTES[usage])}, frozenset(going_on))

    def without_overlap(self, usage: Usage) -> "KeyStore":
        """These keys, of which only the newest version of that usage generates."""
        return KeyStore(self.slots, frozenset(slot for slot in self.overlapping if slot[0] is not usage))

    def with_missing_demo_keys(self) -> "KeyStore":
        """These keys and, where some are demo keys, the demo keys of usages of which there is none."""
        if not self.demo:
            return self
        missing = {(usage, 1): key for usage, key in DEMO_KEYS.items() if not self.newest(usage)}
        return KeyStore({**self.slots, **missing}, self.overlapping)

    @property
    def demo(self) -> bool:
        """Whether any key is one that everybody knows."""
        return not set(DEMO_KEYS.values()).isdisjoint(self.slots.values())

    def check_values(self) -> Iterator[tuple[Usage, int, str]]:
        """Usage, version and check value (6 hex digits) of each key, in order."""
        for usage in Usage:
            for version in self.versions(usage):
                yield usage, version, key_check(usage, self.slots[usage, version]).hex().upper()


def demo_keys() -> KeyStore:
    """Version 1 of every usage, the same everywhere; for demonstrations and tests only."""
    return KeyStore({(usage, 1): key for usage, key in DEMO_KEYS.items()})


def random_keys(random: Callable[[int], bytes]) -> KeyStore:
    """Version 1 of every usage, made from `random`."""
    return KeyStore({(usage, 1): random(KEY_BYTES[usage]) for usage in Usage})


def key_check(usage: Usage, key: bytes) -> bytes:
    """Three bytes that tell keys apart: by 3DES, AES-CMAC, SM4, or SHA-256 of the public key."""
    match usage:
        case Usage.PURCHASE_ROOT | Usage.LOAD_ROOT | Usage.TAC_ROOT | Usage.AUTHENTICATION_ROOT:
            return check_value(key)
        case Usage.BATCH_ROOT | Usage.TRANSPORT | Usage.DATA | Usage.TERMINAL_MASTER | Usage.WORKING:
            return aes_check_value(key)
        case (
            Usage.SM4_PURCHASE_ROOT | Usage.SM4_LOAD_ROOT | Usage.SM4_TAC_ROOT | Usage.SM4_AUTHENTICATION_ROOT
        ):
            return sm4_check_value(key)
        case Usage.SIGNATURE | Usage.QR_SIGNATURE:
            public = Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
            return hashlib.sha256(public).digest()[:3]
        case Usage.P256_SIGNATURE:
            return hashlib.sha256(p256.public_key(key)).digest()[:3]
        case Usage.SM2_SIGNATURE:
            return hashlib.sha256(sm2.public_key(key)).digest()[:3]


def aes_check_value(key: bytes) -> bytes:
    """The check value of an AES key: the left 3 bytes of AES-CMAC over sixteen zero bytes."""
    return _zero_cmac(key)[:3]


def sm4_check_value(key: bytes) -> bytes:
    """The check value of an SM4 key: the left 3 bytes of SM4 of sixteen zero bytes."""
    return Cipher(SM4(key), modes.ECB()).encryptor().update(bytes(16))[:3]


def lmk_check_value(lmk: bytes) -> str:
    """The LMK's check value, 16 hex digits: the left half of AES-CMAC over sixteen zero bytes."""
    return _zero_cmac(lmk)[:8].hex().upper()


def _zero_cmac(key: bytes) -> bytes:
    cmac = CMAC(AES(key))
    cmac.update(bytes(16))
    return cmac.finalize()

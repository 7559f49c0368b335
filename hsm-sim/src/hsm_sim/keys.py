"""The HSM's keys by usage and version, and their sealed form for the disk."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.cmac import CMAC

from hsm_sim import p256, sm2
from hsm_sim.epurse import check_value

NEWEST = 0
LAST_VERSION = 255
LMK_BYTES = 32

_FORMAT = 1
_NONCE_BYTES = 12


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


class KeyFileError(Exception):
    """The sealed keys cannot be used; the message says what is wrong with them and what to do."""


@dataclass(frozen=True, slots=True)
class KeyStore:
    """Every key of the HSM. Versions run from 1 to 255; version 0 asks for the newest."""

    slots: Mapping[tuple[Usage, int], bytes] = field(repr=False)

    def find(self, usage: Usage, version: int) -> bytes | None:
        """The key of that usage and version, or None."""
        return self.slots.get((usage, version or self.newest(usage)))

    def newest(self, usage: Usage) -> int:
        """The highest version of that usage; 0 where there is none."""
        return max(self.versions(usage), default=NEWEST)

    def versions(self, usage: Usage) -> list[int]:
        """The versions there are of that usage, ascending."""
        return sorted(version for owner, version in self.slots if owner is usage)

    def with_next_version(self, usage: Usage, random: Callable[[int], bytes]) -> "KeyStore":
        """These keys and a new random one of that usage. Raises ValueError when 255 versions are used up."""
        version = self.newest(usage) + 1
        if version > LAST_VERSION:
            raise ValueError(f"usage {usage} has all {LAST_VERSION} versions; start a new HSM for it")
        return KeyStore({**self.slots, (usage, version): random(KEY_BYTES[usage])})

    def with_missing_demo_keys(self) -> "KeyStore":
        """These keys and, where some are demo keys, the demo keys of usages of which there is none."""
        if not self.demo:
            return self
        missing = {(usage, 1): key for usage, key in DEMO_KEYS.items() if not self.newest(usage)}
        return KeyStore({**self.slots, **missing})

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
    """Three bytes that tell keys apart: by 3DES, SM4, AES-CMAC, or SHA-256 of the public key."""
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


def seal_keys(keys: KeyStore, lmk: bytes, random: Callable[[int], bytes]) -> str:
    """Write the keys as JSON, each encrypted under the LMK (AES-256-GCM) and bound to all their names."""
    cipher, slots = AESGCM(lmk), sorted(keys.slots)
    sealed = []
    for usage, version in slots:
        nonce = random(_NONCE_BYTES)
        name = _bound_name(slots, usage, version)
        value = nonce + cipher.encrypt(nonce, keys.slots[usage, version], name)
        sealed.append({"usage": usage, "version": version, "sealed": value.hex()})
    return json.dumps({"format": _FORMAT, "demo": keys.demo, "keys": sealed}, indent=1) + "\n"


def unseal_keys(text: str, lmk: bytes) -> KeyStore:
    """Read what `seal_keys` wrote. Raises KeyFileError where it is damaged, changed, or of another LMK."""
    rows = _rows(text)
    slots = sorted(rows)
    cipher = AESGCM(lmk)
    opened = {}
    for (usage, version), sealed in rows.items():
        name = _bound_name(slots, usage, version)
        try:
            key = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name)
        except InvalidTag as error:
            raise KeyFileError(
                f"key {usage} version {version} does not open under the LMK with check value "
                f"{lmk_check_value(lmk)}; give the LMK it was sealed under, or restore the key file"
            ) from error
        if len(key) != KEY_BYTES[usage]:
            raise KeyFileError(f"key {usage} version {version} has {len(key)} bytes; restore the key file")
        opened[usage, version] = key
    return KeyStore(opened)


def _rows(text: str) -> dict[tuple[Usage, int], bytes]:
    try:
        document: Any = json.loads(text)
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']!r} is not {_FORMAT}")
        rows = {
            (Usage(row["usage"]), int(row["version"])): bytes.fromhex(row["sealed"])
            for row in document["keys"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"the key file cannot be read ({error}); restore it from a backup") from error
    for usage, version in rows:
        if not 1 <= version <= LAST_VERSION or len(rows[usage, version]) <= _NONCE_BYTES:
            raise KeyFileError(f"key {usage} version {version} is not one of ours; restore the key file")
    return rows


def _bound_name(slots: list[tuple[Usage, int]], usage: Usage, version: int) -> bytes:
    # A key is bound to the list of all keys too, so that none can be taken out or put back unnoticed.
    listed = ",".join(f"{owner}{number}" for owner, number in slots)
    return f"hsm-sim {_FORMAT} {usage}{version} of {listed}".encode("ascii")

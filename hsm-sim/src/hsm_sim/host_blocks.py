"""Keys that hosts keep: key blocks under the LMK, opened for one use that their header must allow."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from hsm_sim.box import Box, Refused
from hsm_sim.host_fields import UNDER_LMK
from hsm_sim.key_blocks import BlockChanged, Header, KeyBlockError, Protection
from hsm_sim.keys import aes_check_value
from hsm_sim.wire import ErrorCode

AES_BITS = (128, 192, 256)
TDES_BITS = (128, 192)

ZONE_MASTER = "K1"
RETAIL_MAC, CMAC = "M3", "M6"
PIN, TERMINAL_PIN, ZONE_PIN = "P0", "71", "72"
PIN_USAGES = (PIN, TERMINAL_PIN, ZONE_PIN)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a key of one usage may be: the bits of its keys by algorithm, and its modes of use."""

    bits: Mapping[str, Collection[int]]
    modes: str


_ENCIPHERS = Kind({"A": AES_BITS, "T": TDES_BITS}, "BDE")
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        ZONE_MASTER: Kind({"A": AES_BITS}, "BDE"),
        RETAIL_MAC: Kind({"T": (128,)}, "CGV"),
        CMAC: Kind({"A": AES_BITS}, "CGV"),
        **dict.fromkeys(PIN_USAGES, _ENCIPHERS),
    }
)
"""The keys that hosts have made, imported and used, by their usage in the codes of X9.143."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """An opened block. `name` tells it from others in the audit log and says nothing of the key."""

    header: Header
    key: bytes = field(repr=False)
    name: str


def lmk_of(box: Box) -> Protection:
    """What opens and makes blocks under the LMK. Raises Refused where there is none."""
    if box.blocks is None:
        raise Refused(ErrorCode.TAMPERED)
    return box.blocks


def opened(
    box: Box, block: str, *, usages: Collection[str], modes_of_use: str, algorithms: str = "AT"
) -> HostKey:
    """The key of a block under the LMK, for a use that its usage, algorithm and mode must allow.

    The use is counted. Raises Refused with the first of these that is not so.
    """
    found = unwrapped(lmk_of(box), block)
    if found.header.usage not in usages:
        raise Refused(ErrorCode.BLOCK_USAGE_WRONG)
    if found.header.algorithm not in algorithms:
        raise Refused(ErrorCode.BLOCK_ALGORITHM_WRONG)
    if found.header.mode not in modes_of_use:
        raise Refused(ErrorCode.BLOCK_MODE_WRONG)
    box.uses.count(found.name)
    return found


def unwrapped(protection: Protection, block: str) -> HostKey:
    """The key of a block that is sound in itself. Raises Refused where it is not, or is no key of its kind."""
    try:
        header, key = protection.unwrap(block)
    except BlockChanged as error:
        raise Refused(ErrorCode.BLOCK_CHANGED) from error
    except KeyBlockError as error:
        raise Refused(ErrorCode.BLOCK_MALFORMED) from error
    check_kind(header, 8 * len(key))
    # The end of its MAC names a block without saying anything of the key in it.
    return HostKey(header, key, f"block {header.usage} {block[-8:]}")


def check_kind(header: Header, bits: int) -> None:
    """Raises Refused where there is no kind of key with this usage, algorithm, length and mode of use."""
    kind = KINDS.get(header.usage)
    if kind is None:
        raise Refused(ErrorCode.KEY_TYPE_WRONG)
    if header.algorithm not in kind.bits:
        raise Refused(ErrorCode.BLOCK_ALGORITHM_WRONG)
    if bits not in kind.bits[header.algorithm]:
        raise Refused(ErrorCode.KEY_LENGTH_WRONG)
    if header.mode not in kind.modes:
        raise Refused(ErrorCode.BLOCK_MODE_WRONG)


def kept(box: Box, header: Header, key: bytes) -> bytes:
    """A key as the host keeps it: scheme letter and block under the LMK."""
    return f"{UNDER_LMK}{lmk_of(box).wrap(header, key, box.random)}".encode("ascii")


def block_check_value(header: Header, key: bytes) -> bytes:
    """The check value of a host's key, 6 hex digits: of 3DES over zeros, or of AES-CMAC over zeros."""
    value = aes_check_value(key) if header.algorithm == "A" else tdes(key).encryptor().update(bytes(8))[:3]
    return value.hex().upper().encode("ascii")


def tdes(key: bytes) -> Cipher[modes.ECB]:
    """3DES under a key of 16 or 24 bytes, block by block."""
    return Cipher(TripleDES((key + key[:8])[:24]), modes.ECB())

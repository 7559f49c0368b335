"""A0, A6, A8 and BU: hosts' keys made, imported and exported under zone master keys, and checked."""

from hsm_sim.box import Answer, Box, Refused
from hsm_sim.host_blocks import (
    ZONE_MASTER,
    HostKey,
    block_check_value,
    check_kind,
    kept,
    lmk_of,
    opened,
    unwrapped,
)
from hsm_sim.host_fields import UNDER_LMK, UNDER_ZMK, HostFields, chosen
from hsm_sim.key_blocks import Header, Protection
from hsm_sim.terminal_keys import odd_parity
from hsm_sim.wire import ErrorCode

_FOREVER_HERE = "N"
_WRAPS, _UNWRAPS = "BE", "BD"
_KEY_ONLY, _KEY_AND_EXPORT = "0", "1"


def generate(box: Box, *, fields: bytes) -> Answer:
    """A0: a new random key under the LMK, and under a zone master key where it is to be exported at once."""
    read = HostFields(fields)
    mode = chosen(read.text(1), _KEY_ONLY + _KEY_AND_EXPORT, ErrorCode.VALUE_IMPOSSIBLE)
    usage, algorithm, mode_of_use, exportability = (read.text(width) for width in (2, 1, 1, 1))
    header, bits = Header(usage, algorithm, mode_of_use, "00", exportability), read.number(3)
    zone_block = read.block(UNDER_LMK) if mode == _KEY_AND_EXPORT else None
    read.end()
    check_kind(header, bits)
    chosen(header.exportability, "ENS", ErrorCode.EXPORT_FORBIDDEN)
    zone = None if zone_block is None else _zone_master(box, zone_block, _WRAPS)
    key = box.random(bits // 8)
    if header.algorithm == "T":
        key = bytes(map(odd_parity, key))
    exported = b"" if zone is None else _exported(box, zone, header, key)
    return kept(box, header, key) + exported + block_check_value(header, key)


def import_key(box: Box, *, fields: bytes) -> Answer:
    """A6: a key from under a zone master key to under the LMK, with all that its header says."""
    read = HostFields(fields)
    zone_block, block = read.block(UNDER_LMK), read.block(UNDER_ZMK)
    read.end()
    zone = _zone_master(box, zone_block, _UNWRAPS)
    found = unwrapped(Protection.of(zone.key), block)
    if found.header.algorithm == "T" and any(odd_parity(byte) != byte for byte in found.key):
        return ErrorCode.PARITY_WRONG
    return kept(box, found.header, found.key) + block_check_value(found.header, found.key)


def export_key(box: Box, *, fields: bytes) -> Answer:
    """A8: a key from under the LMK to under a zone master key, where its header lets it go."""
    read = HostFields(fields)
    zone_block, block = read.block(UNDER_LMK), read.block(UNDER_LMK)
    read.end()
    zone = _zone_master(box, zone_block, _WRAPS)
    found = unwrapped(lmk_of(box), block)
    box.uses.count(found.name)
    exported = _exported(box, zone, found.header, found.key)
    return exported + block_check_value(found.header, found.key)


def check_value_of(box: Box, *, fields: bytes) -> Answer:
    """BU: the check value of a key under the LMK."""
    read = HostFields(fields)
    block = read.block(UNDER_LMK)
    read.end()
    found = unwrapped(lmk_of(box), block)
    box.uses.count(found.name)
    return block_check_value(found.header, found.key)


def _zone_master(box: Box, block: str, modes_of_use: str) -> HostKey:
    return opened(box, block, usages=(ZONE_MASTER,), modes_of_use=modes_of_use, algorithms="A")


def _exported(box: Box, zone: HostKey, header: Header, key: bytes) -> bytes:
    if header.exportability == _FOREVER_HERE:
        raise Refused(ErrorCode.EXPORT_FORBIDDEN)
    # A key must not travel under a weaker one; three keys of DES are worth less than one of AES.
    if header.algorithm == "A" and len(key) > len(zone.key):
        raise Refused(ErrorCode.KEY_LENGTH_WRONG)
    return f"{UNDER_ZMK}{Protection.of(zone.key).wrap(header, key, box.random)}".encode("ascii")

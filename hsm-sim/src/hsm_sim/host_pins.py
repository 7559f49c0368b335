"""CA and CC: PIN blocks from under one key to under another, never in the clear outside of here."""

from collections.abc import Collection

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from hsm_sim.box import Answer, Box
from hsm_sim.epurse import exclusive_or
from hsm_sim.host_blocks import PIN, TERMINAL_PIN, ZONE_PIN, HostKey, opened, tdes
from hsm_sim.host_fields import UNDER_LMK, HostFields, chosen
from hsm_sim.pin_blocks import (
    LONGEST_PAN,
    SHORTEST_PAN,
    Format,
    PinBlockError,
    PinLengthError,
    long_pan_field,
    pan_field,
    pin_field,
    pin_of,
)
from hsm_sim.wire import ErrorCode


def terminal_to_zone(box: Box, *, fields: bytes) -> Answer:
    """CA: from a terminal's PIN key to a zone's."""
    return _translated(box, fields, (TERMINAL_PIN, PIN))


def zone_to_zone(box: Box, *, fields: bytes) -> Answer:
    """CC: from one zone's PIN key to another's."""
    return _translated(box, fields, (ZONE_PIN, PIN))


def _translated(box: Box, fields: bytes, sources: Collection[str]) -> Answer:
    read = HostFields(fields)
    source_block, destination_block = read.block(UNDER_LMK), read.block(UNDER_LMK)
    source = _format(read)
    sealed = read.packed(_width(source))
    destination = _format(read)
    pan_digits = read.number(2)
    if not SHORTEST_PAN <= pan_digits <= LONGEST_PAN:
        return ErrorCode.VALUE_IMPOSSIBLE
    pan = read.digits(pan_digits)
    read.end()
    from_key = opened(box, source_block, usages=sources, modes_of_use="BD", algorithms=_algorithm(source))
    to_key = opened(
        box, destination_block, usages=(ZONE_PIN, PIN), modes_of_use="BE", algorithms=_algorithm(destination)
    )
    try:
        pin = pin_of(source, _opened(from_key, source, sealed, pan))
    except PinLengthError:
        return ErrorCode.PIN_LENGTH_WRONG
    except PinBlockError:
        return ErrorCode.PIN_BLOCK_WRONG
    made = _sealed(to_key, destination, pin_field(destination, pin, box.random), pan)
    return f"{len(pin):02d}{made.hex().upper()}{destination}".encode("ascii")


def _format(read: HostFields) -> Format:
    return Format(chosen(read.text(2), list(Format).__contains__, ErrorCode.PIN_FORMAT_UNKNOWN))


def _width(kind: Format) -> int:
    return 16 if kind is Format.ISO_4 else 8


def _algorithm(kind: Format) -> str:
    return "A" if kind is Format.ISO_4 else "T"


def _opened(key: HostKey, kind: Format, sealed: bytes, pan: str) -> bytes:
    decrypt = _cipher(key).decryptor()
    if kind is Format.ISO_4:
        return decrypt.update(exclusive_or(decrypt.update(sealed), long_pan_field(pan)))
    return exclusive_or(decrypt.update(sealed), pan_field(pan))


def _sealed(key: HostKey, kind: Format, field: bytes, pan: str) -> bytes:
    encrypt = _cipher(key).encryptor()
    if kind is Format.ISO_4:
        return encrypt.update(exclusive_or(encrypt.update(field), long_pan_field(pan)))
    return encrypt.update(exclusive_or(field, pan_field(pan)))


def _cipher(key: HostKey) -> Cipher[modes.ECB]:
    return Cipher(AES(key.key), modes.ECB()) if key.header.algorithm == "A" else tdes(key.key)

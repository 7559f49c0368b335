"""PIN blocks of ISO 9564-1, formats 0, 3 and 4: plain fields to PINs and back. No keys here.

A PIN is a text of 4 to 12 digits; a PAN the text of a whole card number, check digit included.
"""

from collections.abc import Callable
from enum import StrEnum

SHORTEST_PIN, LONGEST_PIN = 4, 12
SHORTEST_PAN, LONGEST_PAN = 12, 19


class Format(StrEnum):
    """The formats of a PIN block, by the codes that payment HSMs give them."""

    ISO_0 = "01"
    ISO_3 = "47"
    ISO_4 = "48"


class PinBlockError(Exception):
    """A decrypted block holds no PIN of its format and PAN: it was changed, or is of another key or card."""


class PinLengthError(PinBlockError):
    """The block is of its format, and says that its PIN has fewer than 4 or more than 12 digits."""


def pan_field(pan: str) -> bytes:
    """The 8 bytes that formats 0 and 3 mix in: the right-most 12 digits without the check digit."""
    return bytes.fromhex(f"0000{pan[:-1][-12:]:0>12}")


def long_pan_field(pan: str) -> bytes:
    """The 16 bytes that format 4 mixes in between its two encryptions: the whole PAN and how long it is."""
    return bytes.fromhex(f"{len(pan) - SHORTEST_PAN}{pan}".ljust(32, "0"))


def pin_field(kind: Format, pin: str, random: Callable[[int], bytes]) -> bytes:
    """The plain PIN field: 8 bytes, for format 4 16. `random` fills formats 3 and 4."""
    head = f"{_control(kind)}{len(pin):X}{pin}"
    match kind:
        case Format.ISO_0:
            return bytes.fromhex(head.ljust(16, "F"))
        case Format.ISO_3:
            fill = "".join("ABCDEF"[_below_six(random)] for _ in range(16 - len(head)))
            return bytes.fromhex(head + fill)
        case Format.ISO_4:
            return bytes.fromhex(head.ljust(16, "A")) + random(8)


def pin_of(kind: Format, field: bytes) -> str:
    """The PIN of a plain PIN field. Raises PinBlockError where it holds none, PinLengthError for its length."""
    text = field[:8].hex().upper()
    fill = {Format.ISO_0: "F", Format.ISO_3: "ABCDEF", Format.ISO_4: "A"}[kind]
    if text[0] != _control(kind):
        raise PinBlockError("its control field is of another format")
    length = int(text[1], 16)
    pin, rest = text[2 : 2 + length], text[2 + length :]
    # Read as far as a block could hold, so that a wrong key is not taken for a wrong length.
    if not f"0{pin}".isdigit() or any(character not in fill for character in rest):
        raise PinBlockError("digits and filler are not where they belong")
    if not SHORTEST_PIN <= length <= LONGEST_PIN:
        raise PinLengthError(f"a PIN of {length} digits")
    return pin


def _control(kind: Format) -> str:
    return {Format.ISO_0: "0", Format.ISO_3: "3", Format.ISO_4: "4"}[kind]


def _below_six(random: Callable[[int], bytes]) -> int:
    """A number from 0 to 5, each as likely as any other."""
    while (drawn := random(1)[0]) >= 252:
        continue
    return drawn % 6

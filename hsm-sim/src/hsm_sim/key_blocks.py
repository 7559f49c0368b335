"""Key blocks of ANSI X9.143 (TR-31), version D: a key and what it is for, bound together under an AES key.

A block is ASCII: a header in the clear, the encrypted key and a MAC over both in upper-case hex. Version D binds
by key derivation (X9.143, 5.3.2): of the protection key are derived, by CMAC, one key that encrypts and one that
authenticates. Every byte of a block is under its MAC.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import NoReturn

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

HEADER_CHARACTERS = 16
BLOCK_BOUND_CHARACTERS = 9_984
"""The longest block whose length four decimal digits can say, in whole AES blocks."""

_VERSION = "D"
_AES_BLOCK = 16
_MAC_CHARACTERS = 2 * _AES_BLOCK
_PADDING_ID = "PB"
_HEADER = re.compile(
    r"D([0-9]{4})([0-9A-Z]{2})([0-9A-Z])([0-9A-Z])([0-9A-Za-z]{2})([0-9A-Z])([0-9]{2})([0-9]{2})"
)
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_PRINTABLE = re.compile(r"[ -~]*")


class KeyBlockError(Exception):
    """A text is no key block, or not one made under this key; the message says where it goes wrong."""


class BlockChanged(KeyBlockError):
    """The MAC is not right: the block was changed, or made under another key."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a key block says of its key, in the codes of X9.143; optional blocks are (identifier, data)."""

    usage: str
    algorithm: str
    mode: str
    version_number: str = "00"
    exportability: str = "N"
    optional: tuple[tuple[str, str], ...] = ()

    def option(self, identifier: str) -> str | None:
        """The data of the first optional block of that identifier, or None."""
        return next((data for name, data in self.optional if name == identifier), None)


@dataclass(frozen=True, slots=True)
class Protection:
    """A key block protection key: the two keys that are derived of it."""

    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> "Protection":
        """Derive both from an AES key of 16, 24 or 32 bytes."""
        return cls(_derived(key, 0), _derived(key, 1))

    def wrap(
        self, header: Header, key: bytes, random: Callable[[int], bytes], *, masked_bytes: int = 32
    ) -> str:
        """A key as a block. Its length is hidden among those of keys up to `masked_bytes`.

        Raises KeyBlockError where the header has a value that its field cannot hold, or the block is too long.
        """
        payload = (8 * len(key)).to_bytes(2) + key
        shortest = max(len(payload), 2 + masked_bytes)
        payload += random(shortest + -shortest % _AES_BLOCK - len(payload))
        head = format_header(header, payload_bytes=len(payload))
        mac = _cmac(self.authentication, head.encode("ascii") + payload)
        encryptor = Cipher(AES(self.encryption), modes.CBC(mac)).encryptor()
        return head + encryptor.update(payload).hex().upper() + mac.hex().upper()

    def unwrap(self, block: str) -> tuple[Header, bytes]:
        """The header and the key of a block.

        Raises KeyBlockError where the text is no block of version D, BlockChanged where its MAC is not right.
        """
        header, start = parse_header(block)
        if len(block) != block_length(block):
            _flaw(f"it says that it has {block_length(block)} characters and has {len(block)}")
        body = block[start:]
        if len(body) % (2 * _AES_BLOCK) or len(body) < 2 * _MAC_CHARACTERS or not _HEX.fullmatch(body):
            _flaw("key and MAC are not whole blocks of upper-case hex digits")
        mac = bytes.fromhex(body[-_MAC_CHARACTERS:])
        decryptor = Cipher(AES(self.encryption), modes.CBC(mac)).decryptor()
        payload = decryptor.update(bytes.fromhex(body[:-_MAC_CHARACTERS]))
        made = _cmac(self.authentication, block[:start].encode("ascii") + payload)
        if not compare_digest(made, mac):
            raise BlockChanged("its MAC is not right: it was changed, or made under another key")
        bits = int.from_bytes(payload[:2])
        if bits % 8 or not 0 < bits // 8 <= len(payload) - 2:
            _flaw(f"a key of {bits} bits cannot be in it")
        return header, payload[2 : 2 + bits // 8]


def format_header(header: Header, *, payload_bytes: int) -> str:
    """The header's text for a key that takes `payload_bytes` with its length and padding.

    Raises KeyBlockError where a field has a value that it cannot hold.
    """
    optional = "".join(_optional_block(name, data) for name, data in header.optional)
    count = len(header.optional)
    if len(optional) % _AES_BLOCK:
        # A padding block has four characters of its own before its zeros.
        zeros = -(len(optional) + 4) % _AES_BLOCK
        optional += f"{_PADDING_ID}{zeros + 4:02X}{'0' * zeros}"
        count += 1
    length = HEADER_CHARACTERS + len(optional) + 2 * payload_bytes + _MAC_CHARACTERS
    if length > BLOCK_BOUND_CHARACTERS:
        _flaw(f"it would have {length} characters and may have {BLOCK_BOUND_CHARACTERS}")
    text = (
        f"{_VERSION}{length:04d}{header.usage}{header.algorithm}{header.mode}{header.version_number}"
        f"{header.exportability}{count:02d}00"
    )
    if not _HEADER.fullmatch(text):
        _flaw(f"the header {text!r} has a value that its field cannot hold")
    return text + optional


def parse_header(block: str) -> tuple[Header, int]:
    """The header of a block and where the key begins. Raises KeyBlockError where it is not one of version D."""
    found = _HEADER.match(block)
    if not found:
        _flaw(f"{block[:HEADER_CHARACTERS]!r} is not the header of a block of version D")
    _, usage, algorithm, mode, number, exportability, count, reserved = found.groups()
    if reserved != "00":
        _flaw(f"its reserved field is {reserved!r} and must be '00'")
    optional: list[tuple[str, str]] = []
    at = HEADER_CHARACTERS
    for _ in range(int(count)):
        name, data, at = _parse_optional_block(block, at)
        if name != _PADDING_ID:
            optional.append((name, data))
    if at % _AES_BLOCK:
        _flaw(f"its optional blocks end at {at}, which is not a multiple of {_AES_BLOCK}")
    return Header(usage, algorithm, mode, number, exportability, tuple(optional)), at


def block_length(block: str) -> int:
    """How many characters a block says that it has. Raises KeyBlockError where it does not begin as one."""
    found = _HEADER.match(block)
    if not found:
        _flaw(f"{block[:HEADER_CHARACTERS]!r} is not the header of a block of version D")
    return int(found.group(1))


def _optional_block(name: str, data: str) -> str:
    if not re.fullmatch(r"[0-9A-Z]{2}", name) or name == _PADDING_ID or not _PRINTABLE.fullmatch(data):
        _flaw(f"an optional block {name!r} with {data!r} cannot be written")
    length = len(data) + 4
    if length <= 0xFF:
        return f"{name}{length:02X}{data}"
    # The long form: 00, then the number of bytes of the length, then the length, which counts all of these.
    return f"{name}0002{length + 6:04X}{data}"


def _parse_optional_block(block: str, at: int) -> tuple[str, str, int]:
    """Identifier and data of the optional block at `at`, and where the next one begins."""
    name, start = block[at : at + 2], at + 4
    length = _hex_number(block[at + 2 : start], at)
    if length == 0:
        digits = 2 * _hex_number(block[start : start + 2], at)
        length = _hex_number(block[start + 2 : start + 2 + digits], at)
        start += 2 + digits
    end = at + length
    data = block[start:end]
    if (
        not re.fullmatch(r"[0-9A-Z]{2}", name)
        or end < start
        or end > len(block)
        or not _PRINTABLE.fullmatch(data)
    ):
        _flaw(f"there is no optional block at {at}")
    return name, data, end


def _hex_number(text: str, at: int) -> int:
    if not re.fullmatch(r"[0-9A-F]{2,}", text):
        _flaw(f"the optional block at {at} has the length {text!r}")
    return int(text, 16)


def _derived(key: bytes, purpose: int) -> bytes:
    """Derive as many bytes as the key has; purpose 0 encrypts, 1 authenticates (X9.143, 5.3.2.3, table 3)."""
    algorithm = {16: 2, 24: 3, 32: 4}[len(key)]
    made = b""
    for counter in range(1, -(-len(key) // _AES_BLOCK) + 1):
        made += _cmac(
            key,
            bytes((counter,))
            + purpose.to_bytes(2)
            + b"\0"
            + algorithm.to_bytes(2)
            + (8 * len(key)).to_bytes(2),
        )
    return made[: len(key)]


def _cmac(key: bytes, message: bytes) -> bytes:
    made = CMAC(AES(key))
    made.update(message)
    return made.finalize()


def _flaw(reason: str) -> NoReturn:
    raise KeyBlockError(f"no key block: {reason}")

"""ISO 8583 messages between a counter's terminal and the gateway: bytes in, values out, and the reverse.

A specification is data (`iso8583_specs/*.json`) for the codec of `pyiso8583`; what the fields mean to us is
in `docs/formats/iso8583.md`. A field's value is text: digits, characters, or upper-case hexadecimal digits
for binary fields.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import iso8583

SPECIFICATIONS = ("china-pos", "ascii")
MAC_FIELD = 64
TPDU_BYTES = 5
LENGTH_BYTES = 2
MAX_MESSAGE_BYTES = 4096
"""Far more than any message has; the length's two bytes would allow 65,535."""

_FOLDER = Path(__file__).parent / "iso8583_specs"


class MessageError(Exception):
    """A message cannot be read or written; `readable` holds the fields before the one at fault.

    `field` is its number, 0 for the type and the bitmaps; `position` the byte offset, None in writing.
    """

    def __init__(
        self,
        field: int,
        position: int | None,
        reason: str,
        *,
        remedy: str = "compare the field with docs/formats/iso8583.md",
        mti: str = "",
        readable: Mapping[int, str] | None = None,
    ) -> None:
        where = "" if position is None else f" at byte {position}"
        super().__init__(f"field {field}{where}: {reason}; {remedy}")
        self.field = field
        self.position = position
        self.reason = reason
        self.remedy = remedy
        self.mti = mti
        self.readable: Mapping[int, str] = readable or {}


@dataclass(frozen=True, slots=True)
class Specification:
    """How each field is encoded, as `pyiso8583` takes it; `kind` of a field is what its text may hold."""

    name: str
    fields: Mapping[str, Mapping[str, Any]]

    def but(self, changes: Mapping[str, Mapping[str, Any]]) -> "Specification":
        """The same with other properties of some fields: `but({"p": {"data_enc": "b", "max_len": 8}})`."""
        return Specification(
            self.name, {key: {**value, **changes.get(key, {})} for key, value in self.fields.items()}
        )

    @property
    def mac_bytes(self) -> int:
        """How many bytes field 64 takes on the wire."""
        return int(self.fields[str(MAC_FIELD)]["max_len"])


@dataclass(frozen=True, slots=True)
class Message:
    """A message type of four digits, and its fields by number without the bitmaps."""

    mti: str
    fields: Mapping[int, str] = field(repr=False)

    def get(self, number: int) -> str:
        """The field's text, empty where it is absent."""
        return self.fields.get(number, "")

    def digest(self) -> bytes:
        """SHA-256 of what the message says: the same whatever its encoding and its MAC."""
        said = {number: text for number, text in self.fields.items() if number != MAC_FIELD}
        return sha256(json.dumps([self.mti, said], sort_keys=True).encode("ascii")).digest()


@cache
def specification(name: str) -> Specification:
    """Read a specification of SPECIFICATIONS. Raises ValueError for any other name."""
    if name not in SPECIFICATIONS:
        raise ValueError(f"no specification is named {name!r}; give one of {', '.join(SPECIFICATIONS)}")
    return Specification(name, json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))["fields"])


def spoken(message: bytes) -> Specification:
    """The specification of a message, by its first byte: a type in BCD begins with half a byte 0, in ASCII
    with the character 0. Raises MessageError where it is neither, or there is no byte.
    """
    if message[:1] == b"0":
        return specification("ascii")
    if message and message[0] < 0x10:
        return specification("china-pos")
    raise MessageError(0, 0, "the message does not begin with a type of ISO 8583:1987")


def decode(data: bytes, spec: Specification) -> Message:
    """Read a message without TPDU. Raises MessageError, and nothing else, where it is not one."""
    try:
        read, _ = iso8583.decode(data, spec.fields)
    except iso8583.DecodeError as error:
        read = {key: text for key, text in error.doc_dec.items() if key != error.field}
        raise _unreadable(error.field, error.pos, error.msg, read, spec) from None
    except KeyError as error:
        raise MessageError(
            0, None, f"the bitmap names field {error.args[0]}, which {spec.name} does not have"
        ) from None
    for key, text in read.items():
        if not _holds(spec.fields[key]["kind"], text):
            rest = {other: value for other, value in read.items() if other != key}
            # The value itself is left out: it may be a card number, and messages of errors are kept.
            raise _unreadable(key, None, "it holds characters that are no digits", rest, spec)
    return Message(read["t"], _numbered(read))


def encode(message: Message, spec: Specification) -> bytes:
    """Write a message without TPDU. Raises MessageError where a field does not fit the specification."""
    document = {str(number): text for number, text in message.fields.items()} | {"t": message.mti}
    for key, text in document.items():
        if key not in spec.fields or not _holds(spec.fields[key]["kind"], text):
            raise MessageError(_number(key), None, f"{len(text)} characters that do not fit {spec.name}")
    try:
        written, _ = iso8583.encode(document, spec.fields)
    except iso8583.EncodeError as error:
        raise MessageError(_number(error.field), None, error.msg) from None
    return bytes(written)


def encode_with_mac(message: Message, spec: Specification, mac: Callable[[bytes], bytes]) -> bytes:
    """Write a message that ends in its MAC, which `mac` makes over all the bytes before field 64."""
    unsigned = Message(message.mti, {**message.fields, MAC_FIELD: "00" * 8})
    covered = encode(unsigned, spec)[: -spec.mac_bytes]
    made = mac(covered)
    return covered + (made if spec.mac_bytes == 8 else made.hex().upper().encode("ascii"))


def mac_parts(data: bytes, message: Message, spec: Specification) -> tuple[bytes, bytes] | None:
    """The bytes that the MAC covers, and the MAC of eight bytes; None where the message has none at its end."""
    if MAC_FIELD not in message.fields or any(number > MAC_FIELD for number in message.fields):
        return None
    try:
        return data[: -spec.mac_bytes], bytes.fromhex(message.fields[MAC_FIELD])
    except ValueError:
        return None


def split_tpdu(body: bytes) -> tuple[bytes, bytes]:
    """Take off the transport header of five bytes, where there is one.

    No message type of ISO 8583:1987 begins with anything but a 0 (BCD or ASCII), and no TPDU begins with one.
    """
    has_one = len(body) > TPDU_BYTES and body[0] >= 0x10 and body[:1] != b"0"
    return (body[:TPDU_BYTES], body[TPDU_BYTES:]) if has_one else (b"", body)


def answering_tpdu(tpdu: bytes) -> bytes:
    """The header of the answer: to where the request came from, from where it went to."""
    return tpdu[:1] + tpdu[3:5] + tpdu[1:3]


def frame(body: bytes) -> bytes:
    """Put the length of two bytes before a message. Raises ValueError where it is longer than the bound."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(body)} bytes; at most {MAX_MESSAGE_BYTES} are sent")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameReader:
    """Finds the messages in what arrives on a connection, in whatever pieces. A frame of length 0 is empty."""

    def __init__(self) -> None:
        self._unread = bytearray()

    @property
    def in_frame(self) -> bool:
        """Whether a message has begun that has not ended."""
        return bool(self._unread)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every message that is whole by now. Raises MessageError for a length beyond the bound."""
        self._unread += data
        while len(self._unread) >= LENGTH_BYTES:
            length = int.from_bytes(self._unread[:LENGTH_BYTES], "big")
            if length > MAX_MESSAGE_BYTES:
                raise MessageError(
                    0, 0, f"a message of {length} bytes", remedy=f"send at most {MAX_MESSAGE_BYTES}"
                )
            if len(self._unread) < LENGTH_BYTES + length:
                return
            body = bytes(self._unread[LENGTH_BYTES : LENGTH_BYTES + length])
            del self._unread[: LENGTH_BYTES + length]
            yield body


def _holds(kind: str, text: str) -> bool:
    return kind != "n" or not text or (text.isascii() and text.isdigit())


def _number(key: str) -> int:
    return int(key) if key.isdigit() else 0


def _numbered(read: Mapping[str, str]) -> dict[int, str]:
    return {int(key): text for key, text in read.items() if key.isdigit() and key != "1"}


def _unreadable(
    key: str, position: int | None, reason: str, read: Mapping[str, str], spec: Specification
) -> MessageError:
    sound = {other: text for other, text in read.items() if _holds(spec.fields[other]["kind"], text)}
    return MessageError(_number(key), position, reason, mti=sound.get("t", ""), readable=_numbered(sound))

"""The HSM's wire format (docs/formats/hsm.md) without I/O: requests to bytes, bytes to answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from card.hsm.errors import HsmError

HEADER_BYTES = 4
LONG_FRAME = 0xFFFF
MAX_FRAME = 16 * 1024 * 1024
NEWEST = 0
"""The version that asks for the newest key there is."""
DONE, NOT_VERIFIED = "00", "01"
MOMENT_BYTES = 7
Fields = bytes | Sequence[bytes | memoryview]
"""The fields of one request, whole or in parts that lie apart."""
_ISSUER_REST = bytes.fromhex("FFFFFFFF")


@dataclass(frozen=True, slots=True)
class CardKeyRef:
    """Which card's keys are meant: version of the root key, algorithm, two diversification factors."""

    key_version: int
    algorithm: int
    issuer: bytes
    card: bytes

    @classmethod
    def of(cls, issuer_hex: str, card_no: str, key_version: int, algorithm: int = 0) -> "CardKeyRef":
        """From an issuer code of 8 hex characters and a card number, whose right-hand 16 digits count.

        `key_version` is what the card or the register says; NEWEST only where a card is being made.
        """
        return cls(
            key_version, algorithm, bytes.fromhex(issuer_hex) + _ISSUER_REST, bytes.fromhex(card_no[-16:])
        )

    def pack(self) -> bytes:
        """The 18 bytes that the format calls *keys*. Raises ValueError where a factor is not 8 bytes."""
        return (
            bytes((self.key_version, self.algorithm))
            + fixed("issuer", self.issuer, 8)
            + fixed("card", self.card, 8)
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the HSM: the header it echoed, its command, the error code and the fields."""

    header: bytes
    command: str
    error: str
    fields: bytes


def request(header: int, command: str, fields: bytes = b"") -> bytes:
    """One framed request. Raises ValueError beyond the frame's bound of 16 MiB."""
    return b"".join(framed(header, command, fields))


def framed(header: int, command: str, fields: Fields) -> Sequence[bytes | memoryview]:
    """One framed request, in parts that are sent one after another. Raises ValueError beyond 16 MiB."""
    parts = (fields,) if isinstance(fields, bytes) else fields
    opening = header.to_bytes(HEADER_BYTES, "big") + command.encode("ascii")
    length = len(opening) + sum(map(len, parts))
    if length < LONG_FRAME:
        return (b"".join((length.to_bytes(2, "big"), opening, *parts)),)
    if length > MAX_FRAME:
        raise ValueError(f"a request of {length} bytes: send at most {MAX_FRAME}, in several requests")
    return (LONG_FRAME.to_bytes(2, "big") + length.to_bytes(4, "big") + opening, *parts)


def answer_command(command: str) -> str:
    """The command of the answer: the second letter or digit is one higher."""
    return command[0] + chr(ord(command[1]) + 1)


class AnswerReader:
    """Cuts a stream of bytes into answers; feed it what arrives, in whatever pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Answer]:
        """The answers completed by `data`. Raises HsmError `garbled` where the stream is none of an HSM."""
        self._buffer += data
        while (frame := self._next_frame()) is not None:
            yield _answer(frame)

    def _next_frame(self) -> bytes | None:
        buffer = self._buffer
        start = 2
        length = int.from_bytes(buffer[:2], "big")
        if len(buffer) >= 2 and length == LONG_FRAME:
            start = 6
            length = int.from_bytes(buffer[2:6], "big")
        if len(buffer) < start:
            return None
        if not HEADER_BYTES + 4 <= length <= MAX_FRAME:
            raise HsmError("answer", "garbled", f"a frame of {length} bytes")
        if len(buffer) < start + length:
            return None
        frame = bytes(buffer[start : start + length])
        del buffer[: start + length]
        return frame


def _answer(frame: bytes) -> Answer:
    words = frame[HEADER_BYTES : HEADER_BYTES + 4]
    if not words.isalnum():
        raise HsmError("answer", "garbled", f"command and error {words.hex()}")
    text = words.decode("ascii")
    return Answer(frame[:HEADER_BYTES], text[:2], text[2:], frame[HEADER_BYTES + 4 :])


def fixed(field: str, value: bytes, width: int) -> bytes:
    """`value` if it has the field's width; ValueError naming the field if not."""
    if len(value) != width:
        raise ValueError(f"{field} is {value.hex() or 'empty'}: give {width} bytes")
    return value


def number(field: str, value: int, width: int) -> bytes:
    """`value` big-endian in `width` bytes; ValueError naming the field if it does not fit."""
    if not 0 <= value < 1 << 8 * width:
        raise ValueError(f"{field} is {value}: give 0 to {(1 << 8 * width) - 1}")
    return value.to_bytes(width, "big")


def order(amount_fen: int, kind: int, terminal: bytes) -> bytes:
    """Amount 4, type 1, terminal 6, as they stand together in most commands."""
    return number("amount_fen", amount_fen, 4) + number("kind", kind, 1) + fixed("terminal", terminal, 6)


def name_field(field: str, name: str) -> bytes:
    """A name in 8 characters, padded with spaces; ValueError naming the field if it does not fit."""
    if not name or len(name) > 8 or not name.isascii() or not name.isprintable():
        raise ValueError(f"{field} is {name!r}: give 1 to 8 ASCII characters")
    return name.encode("ascii").ljust(8)

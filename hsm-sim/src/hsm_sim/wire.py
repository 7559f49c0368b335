"""The HSM's frames (docs/formats/hsm.md): bytes in, requests out; answers in, bytes out. No I/O."""

from dataclasses import dataclass
from enum import StrEnum

HEADER_BYTES = 4
COMMAND_BYTES = 2
FRAME_BOUND_BYTES = 16 * 1024 * 1024

_LONG = 0xFFFF
_SHORTEST_BYTES = HEADER_BYTES + COMMAND_BYTES


class ErrorCode(StrEnum):
    """How a request ended, in the order in which the reasons against it are looked for; `DONE` is last."""

    TAMPERED = "13"
    NOT_AUTHORISED = "17"
    COMMAND_UNKNOWN = "68"
    LENGTH_WRONG = "80"
    VERSION_OLD = "A9"
    VALUE_IMPOSSIBLE = "15"
    PIN_FORMAT_UNKNOWN = "23"
    ALGORITHM_UNSUPPORTED = "26"
    KEY_UNKNOWN = "12"
    BLOCK_MALFORMED = "AB"
    BLOCK_CHANGED = "A4"
    KEY_TYPE_WRONG = "28"
    BLOCK_ALGORITHM_WRONG = "A7"
    KEY_LENGTH_WRONG = "27"
    BLOCK_MODE_WRONG = "A8"
    BLOCK_USAGE_WRONG = "A6"
    EXPORT_FORBIDDEN = "AA"
    PARITY_WRONG = "10"
    PIN_BLOCK_WRONG = "20"
    PIN_LENGTH_WRONG = "24"
    VERIFICATION_FAILED = "01"
    DONE = "00"


class FrameError(Exception):
    """The bytes are not frames; nothing after this point can be understood, so the connection must end."""


@dataclass(frozen=True, slots=True)
class Request:
    """One frame of a client: the header it chose, the command, the command's fields still packed."""

    header: bytes
    command: bytes
    fields: bytes


class FrameDecoder:
    """Collects the bytes of one connection and gives out whole requests."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Take what has arrived, in whatever pieces."""
        # What has been given out is dropped here, once a piece, rather than once a request.
        del self._buffer[: self._start]
        self._start = 0
        self._buffer += data

    @property
    def unread_bytes(self) -> int:
        """How much has arrived that no request given out has taken."""
        return len(self._buffer) - self._start

    def next_request(self) -> Request | None:
        """The next whole request, or None until more has arrived.

        Raises FrameError as soon as a length is seen that no frame can have.
        """
        start, unread = self._start, self.unread_bytes
        if unread < 2:
            return None
        length, body = int.from_bytes(self._buffer[start : start + 2]), start + 2
        if length == _LONG:
            if unread < 6:
                return None
            length, body = int.from_bytes(self._buffer[start + 2 : start + 6]), start + 6
        if not _SHORTEST_BYTES <= length <= FRAME_BOUND_BYTES:
            raise FrameError(
                f"a frame announces {length} bytes; it must have {_SHORTEST_BYTES} to {FRAME_BOUND_BYTES}"
            )
        if len(self._buffer) < body + length:
            return None
        self._start = body + length
        with memoryview(self._buffer) as view:
            fields = bytes(view[body + _SHORTEST_BYTES : body + length])
            header = bytes(view[body : body + HEADER_BYTES])
            command = bytes(view[body + HEADER_BYTES : body + _SHORTEST_BYTES])
        return Request(header, command, fields)


def encode_answer(request: Request, error: ErrorCode, fields: bytes = b"") -> bytes:
    """The frame that answers `request`; its command is the request's with the second character one higher."""
    first, second = request.command
    body = request.header + bytes((first, (second + 1) & 0xFF)) + error.encode("ascii") + fields
    if len(body) < _LONG:
        return len(body).to_bytes(2) + body
    return _LONG.to_bytes(2) + len(body).to_bytes(4) + body

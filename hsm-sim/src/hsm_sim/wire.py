"""The HSM's frames (docs/formats/hsm.md): bytes in, requests out; answers in, bytes out. No I/O."""

from dataclasses import dataclass
from enum import StrEnum

HEADER_BYTES = 4
COMMAND_BYTES = 2
FRAME_BOUND_BYTES = 16 * 1024 * 1024
ROOM_BYTES = 1 << 17
"""What a connection has room for at first: more than a short frame."""
KEPT_BYTES = 4 * 1024 * 1024
"""What it keeps room for once it had to: more than a request of bulk work as clients send it."""

_LONG = 0xFFFF
_SHORT_HEAD_BYTES, _LONG_HEAD_BYTES = 2, 6
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
    fields: bytes | memoryview


class FrameDecoder:
    """Collects the bytes of one connection and gives out whole requests.

    What arrives is put where it is to stay: into `room`, as much of it as `took` is then told. One that `lends` gives
    out the fields of long frames as they lie there, good until more is put there.
    """

    def __init__(self, *, lends: bool = False) -> None:
        self._lends = lends
        self._buffer = bytearray(ROOM_BYTES)
        self._start = self._end = 0

    def room(self) -> memoryview:
        """Where the next bytes belong: one at least, and of a frame that has more than fits here no more than all."""
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > KEPT_BYTES:
                self._buffer = bytearray(ROOM_BYTES)
            return memoryview(self._buffer)
        _, whole = self._frame()
        awaited = whole if self.unread_bytes < whole <= FRAME_BOUND_BYTES + _LONG_HEAD_BYTES else 0
        if awaited > len(self._buffer):
            self._move_to(bytearray(awaited))
        elif self._end == len(self._buffer):
            self._move_to(self._buffer if self._start else bytearray(2 * self._end))
        return memoryview(self._buffer)[self._end : self._start + awaited if awaited else None]

    def took(self, count: int) -> None:
        """So many bytes were put there."""
        self._end += count

    def feed(self, data: bytes) -> None:
        """Take what has arrived, in whatever pieces."""
        rest = memoryview(data)
        while rest:
            room = self.room()
            count = min(len(room), len(rest))
            room[:count], rest = rest[:count], rest[count:]
            self.took(count)

    @property
    def unread_bytes(self) -> int:
        """How much has arrived that no request given out has taken."""
        return self._end - self._start

    def next_request(self) -> Request | None:
        """The next whole request, or None until more has arrived.

        Raises FrameError as soon as a length is seen that no frame can have.
        """
        if self._start == self._end:
            return None
        body, whole = self._frame()
        if not body:
            return None
        length = whole - body
        if not _SHORTEST_BYTES <= length <= FRAME_BOUND_BYTES:
            raise FrameError(
                f"a frame announces {length} bytes; it must have {_SHORTEST_BYTES} to {FRAME_BOUND_BYTES}"
            )
        if self.unread_bytes < whole:
            return None
        frame = memoryview(self._buffer)[self._start + body : self._start + whole]
        self._start += whole
        fields = frame[_SHORTEST_BYTES:]
        return Request(
            bytes(frame[:HEADER_BYTES]),
            bytes(frame[HEADER_BYTES:_SHORTEST_BYTES]),
            fields if self._lends and length >= _LONG else bytes(fields),
        )

    def _frame(self) -> tuple[int, int]:
        """Where the next frame's body begins and where it ends, from its first byte; zeros until that is known."""
        start, unread = self._start, self.unread_bytes
        if unread < _SHORT_HEAD_BYTES:
            return 0, 0
        length = int.from_bytes(self._buffer[start : start + _SHORT_HEAD_BYTES])
        if length != _LONG:
            return _SHORT_HEAD_BYTES, _SHORT_HEAD_BYTES + length
        if unread < _LONG_HEAD_BYTES:
            return 0, 0
        length = int.from_bytes(self._buffer[start + _SHORT_HEAD_BYTES : start + _LONG_HEAD_BYTES])
        return _LONG_HEAD_BYTES, _LONG_HEAD_BYTES + length

    def _move_to(self, buffer: bytearray) -> None:
        unread = self.unread_bytes
        buffer[:unread] = self._buffer[self._start : self._end]
        self._buffer, self._start, self._end = buffer, 0, unread


def encode_answer(request: Request, error: ErrorCode, fields: bytes = b"") -> bytes:
    """The frame that answers `request`; its command is the request's with the second character one higher."""
    first, second = request.command
    body = request.header + bytes((first, (second + 1) & 0xFF)) + error.encode("ascii") + fields
    if len(body) < _LONG:
        return len(body).to_bytes(2) + body
    return _LONG.to_bytes(2) + len(body).to_bytes(4) + body

"""The card's end of a virtual reader: vpcd's protocol, and a slot that cards are put into and pulled out of.

Every message is 2 bytes of length and a payload. Payloads of one byte are the reader's own: 0 power off, 1
power on, 2 reset, 4 what is your ATR. All others are commands, and each is answered.
"""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from card.chip.t0 import Inserted

GIVE_ATR = 4
DIAL_AGAIN_S = 0.01
SEEN_GONE_S = 10.0
CONTACTLESS_ATR = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")
"""What a reader says of a contactless card of ISO 14443-4; T=1."""
CONTACT_ATR = bytes.fromhex("3B6800000073C84013009000")
"""A contact card's own, T=0."""


class Pulled(Exception):
    """Raised by what lies in a slot: it has left in the middle of a command, and no answer comes."""


class Slot:
    """One slot of a virtual reader, which listens on `port` for a card to dial in."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._inside: _Insertion | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull()

    def put(self, card: Inserted, atr: bytes = CONTACTLESS_ATR) -> None:
        """Put a card in, in the place of one that may be there; the reader sees it within half a second."""
        self.pull()
        self._inside = _Insertion(self.port, card, atr)
        self._inside.start()

    def pull(self) -> None:
        """Take the card out, also in the middle of a command, and wait until the reader has seen it."""
        if self._inside is not None:
            self._inside.end()
            self._inside = None


class _Insertion(threading.Thread):
    """A card from its insertion until it is pulled, or leaves by itself."""

    def __init__(self, port: int, card: Inserted, atr: bytes) -> None:
        super().__init__(name="card in a slot", daemon=True)
        self._port, self._card, self._atr = port, card, atr
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._line: socket.socket | None = None

    def run(self) -> None:
        line = self._dialled()
        if line is not None:
            with line:
                with suppress(OSError, Pulled):
                    serve(line, self._card, self._atr)
                _hang_up(line)

    def end(self) -> None:
        """Take the card out, whatever it is doing; over when the reader has seen that it is gone."""
        with self._lock:
            self._ended.set()
            if self._line is not None:
                with suppress(OSError):
                    self._line.shutdown(socket.SHUT_WR)
        self.join()

    def _dialled(self) -> socket.socket | None:
        """The line to the reader, once it listens; None where the card is pulled out before."""
        while not self._ended.wait(DIAL_AGAIN_S):
            with suppress(OSError):
                line = socket.create_connection(("127.0.0.1", self._port))
                with self._lock:
                    if not self._ended.is_set():
                        self._line = line
                        return line
                line.close()
        return None


def serve(line: socket.socket, card: Inserted, atr: bytes) -> None:
    """Be the card on a connection until the reader ends it. Raises Pulled as the card does, and OSError."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while (length := _received(line, 2)) is not None:
        message = _received(line, int.from_bytes(length, "big"))
        if message is None:
            return
        if len(message) != 1:
            _send(line, card.transmit(message))
        elif message[0] == GIVE_ATR:
            _send(line, atr)
        else:
            card.reset()


def _hang_up(line: socket.socket) -> None:
    """Say no more, and listen until the reader has hung up too: else it would take the next card for this one."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_WR)
        line.settimeout(SEEN_GONE_S)
        while line.recv(4096):
            continue


def _send(line: socket.socket, payload: bytes) -> None:
    line.sendall(len(payload).to_bytes(2, "big") + payload)


def _received(line: socket.socket, count: int) -> bytes | None:
    """Exactly `count` bytes, or None where the reader has ended."""
    received = b""
    while len(received) < count:
        # The reader sends length and payload apart and waits for our acknowledgement of the first: without
        # these an APDU takes 44 ms. The option holds for a moment only, so it is set around every wait.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = line.recv(count - len(received))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not part:
            return None
        received += part
    return received

"""The counter terminal's line to the gateway: messages over one TCP connection, made again when it breaks."""

import socket
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from clearing.wire.iso8583 import FrameReader, MessageError, frame

RECEIVE_BYTES = 4096


class HostGone(Exception):
    """The host does not answer; the message says how. What was asked of it may have been done."""


class Line(Protocol):
    """Carries a message to the host and brings back its answer."""

    def ask(self, body: bytes, answers: Callable[[bytes], bool]) -> bytes:
        """Send a message; the first message back that `answers` it. Raises HostGone."""
        ...


class TcpLine:
    """A line that dials when it is first used, and again after every failure. `timeout_s` is for an answer."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 30.0) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._reader = FrameReader()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, body: bytes, answers: Callable[[bytes], bool]) -> bytes:
        """Send a message; the first one back that `answers` it, while others are passed over. Raises HostGone."""
        deadline_s = monotonic() + self._timeout_s
        try:
            connected = self._connected()
            connected.sendall(frame(body))
            while (left_s := deadline_s - monotonic()) > 0:
                connected.settimeout(left_s)
                data = connected.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("the host hung up")
                for answer in self._reader.feed(data):
                    if answers(answer):
                        return answer
            raise TimeoutError("no answer in time")
        except (OSError, MessageError) as error:
            # An answer that comes after all would be taken for the next question's, so the line is dropped.
            self.close()
            host, port = self._address
            raise HostGone(f"{host}:{port}: {error}; look at the network, the terminal asks again") from error

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=self._timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._reader = FrameReader()
        return self._socket

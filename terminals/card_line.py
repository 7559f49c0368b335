"""A card on a reader across the network: commands and answers go over TCP, each behind its length in 2 bytes."""

import socket
from types import TracebackType
from typing import Self

from terminals.reader import CardGone

LENGTH_BYTES = 2


class CardLine:
    """The terminal's end of the line to one card. Raises CardGone where the line or the card does not answer."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 5.0) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise CardGone(f"no card at {host}:{port}: {error}; put one on the reader") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command, wait for the answer. Raises CardGone."""
        try:
            self._socket.sendall(len(apdu).to_bytes(LENGTH_BYTES, "big") + apdu)
            return self._take(int.from_bytes(self._take(LENGTH_BYTES), "big"))
        except OSError as error:
            raise CardGone(f"the card does not answer: {error}") from error

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise CardGone("the card left the reader")
            data += more
        return data

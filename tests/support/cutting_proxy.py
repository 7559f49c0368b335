"""A bad network between a terminal and its host: messages lost, late, twice, cut in the middle, from a seed."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

from clearing.wire.iso8583 import FrameReader, frame

FAULTS = ("pass", "drop", "twice", "late", "cut", "torn")


class CuttingProxy:
    """Carries frames between two sides, doing to each what chance says while it is not `calm`."""

    def __init__(self, host_port: int, seed: int, *, late_s: float, weights: tuple[int, ...]) -> None:
        self.calm = False
        self.done: dict[str, int] = dict.fromkeys(FAULTS, 0)
        self._host_port = host_port
        self._random = Random(seed)
        self._late_s = late_s
        self._weights = weights
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._welcome, daemon=True).start()

    def close(self) -> None:
        """Hang up everything."""
        self._listener.close()
        for each in self._open:
            _shut(each)

    def _welcome(self) -> None:
        with suppress(OSError):
            while True:
                terminal, _ = self._listener.accept()
                host = socket.create_connection(("127.0.0.1", self._host_port))
                self._open += [terminal, host]
                for source, target in ((terminal, host), (host, terminal)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        reader = FrameReader()
        with suppress(OSError):
            while data := source.recv(4096):
                for body in reader.feed(data):
                    self._treat(frame(body), target.sendall)
        _shut(source)
        _shut(target)

    def _treat(self, data: bytes, send: Callable[[bytes], None]) -> None:
        with self._lock:
            fault = "pass" if self.calm else self._random.choices(FAULTS, self._weights)[0]
            self.done[fault] += 1
        if fault == "late":
            time.sleep(self._late_s)
        if fault == "cut":
            raise ConnectionResetError
        if fault == "torn":
            send(data[: len(data) // 2])
            raise ConnectionResetError
        if fault != "drop":
            send(data * 2 if fault == "twice" else data)


@contextmanager
def cutting_proxy(
    host_port: int, seed: int, *, late_s: float, weights: tuple[int, ...] = (12, 2, 2, 1, 2, 1)
) -> Iterator[CuttingProxy]:
    """A proxy while the block runs."""
    proxy = CuttingProxy(host_port, seed, late_s=late_s, weights=weights)
    try:
        yield proxy
    finally:
        proxy.close()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

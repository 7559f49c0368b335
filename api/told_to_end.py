"""SIGTERM and Ctrl-C as something to wait for."""

import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class ToldToEnd:
    """Whether the program was told to end; any thread may look, the main thread alone waits."""

    def __init__(self, ear: socket.socket) -> None:
        self._ear, self._heard = ear, threading.Event()

    def is_set(self) -> bool:
        """Whether it was."""
        return self._heard.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is, or so long; whether it was."""
        select.select([self._ear], [], [], timeout_s)
        return self.is_set()

    def hear(self, *_signal: object) -> None:
        """Be told."""
        self._heard.set()


@contextmanager
def told_to_end() -> Iterator[ToldToEnd]:
    """Hear SIGTERM and Ctrl-C while inside; for the main thread only, as is everything about signals.

    Python calls a handler when the main thread next runs Python. A signal that comes just as it begins to wait for a
    lock is not heard before that wait is over, which may be never. So the wait is for a byte that the signal itself
    writes.
    """
    ear, mouth = socket.socketpair()
    with ear, mouth, ExitStack() as before:
        mouth.setblocking(False)
        told = ToldToEnd(ear)
        before.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(mouth.fileno()))
        for number in ENDING:
            before.callback(signal.signal, number, signal.signal(number, told.hear))
        yield told

"""Ctrl-C during a night: the program ends there and then, and whoever pressed it hears what to do next."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTED: Final = 128 + signal.SIGINT
"""The exit status of a program that an interrupt has ended, as shells have it."""
SHOW_CURSOR: Final = b"\x1b[?25h\n"
"""Bars hide a terminal's cursor while they move."""


@contextmanager
def ended_by_ctrl_c(advice: str) -> Iterator[None]:
    """Let Ctrl-C end the process at once while inside; the error stream then has `advice`.

    Python's own way is an exception wherever the program happens to be: a library may swallow it, or be left with a
    lock that nobody releases. What runs inside must be such that it can be killed at any instant, and this does it.
    For the main thread only, as is everything about signals.
    """

    def end(*_: object) -> None:
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), SHOW_CURSOR)
        os.write(sys.stderr.fileno(), f"onecard: interrupted; {advice}\n".encode())
        os._exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

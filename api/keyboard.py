"""Keys as they are pressed: one at a time from a terminal, without Enter; or the characters of a file."""

import codecs
import os
import re
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TextIO

_SEQUENCE = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]")
"""What arrows and function keys send: a screen that uses none of them takes no notice."""


def keys(source: TextIO | None = None) -> Iterator[str]:
    """Key after key until the input ends or Ctrl-C; Enter is `\\r`. A terminal is set back at the end."""
    stream = source or sys.stdin
    if not stream.isatty():
        while key := stream.read(1):
            yield _enter(key)
        return
    place = stream.fileno()
    before = termios.tcgetattr(place)
    try:
        # At once: the default would drop what was typed while the program was still starting.
        tty.setcbreak(place, termios.TCSANOW)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := os.read(place, 1024):
            yield from map(_enter, _SEQUENCE.sub("", decoder.decode(data)))
    except (KeyboardInterrupt, OSError):
        return  # Ctrl-C, or the terminal has hung up
    finally:
        termios.tcsetattr(place, termios.TCSADRAIN, before)


def _enter(key: str) -> str:
    return "\r" if key == "\n" else key

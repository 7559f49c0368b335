"""Keys from a real terminal: the counter's program at a pseudo-terminal, worked by what a keyboard sends."""

import io
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

from api.keyboard import keys
from city.home import Home
from tests.api.test_card_commands import FIRST, home, in_hand

__all__ = ["home"]
PROJECT = Path(__file__).resolve().parents[2]


def heard_until(place: int, words: str) -> str:
    """What the program has written so far, up to these words; it has half a minute to write them."""
    text = ""
    while words not in text:
        assert select.select([place], [], [], 30)[0], f"{words!r} did not come; there was: {text}"
        text += os.read(place, 65_536).decode("utf-8", "replace")
    return text


def test_a_clerk_works_the_counter_at_a_terminal_without_enter_after_every_key(home: Home) -> None:
    in_hand()
    keyboard, terminal = pty.openpty()
    program = subprocess.Popen(
        [Path(sys.executable).with_name("onecard"), "counter", "--card", FIRST],
        stdin=terminal, stdout=terminal, stderr=terminal, cwd=PROJECT, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    try:
        heard_until(keyboard, "Q quit")
        os.write(keyboard, b"\x1b[A\n")  # an arrow key means nothing; Enter reads the card
        heard_until(keyboard, "Card read")
        os.write(keyboard, b"1")
        heard_until(keyboard, "Amount in yuan")
        os.write(keyboard, "2水\x7f0\n".encode())
        heard_until(keyboard, "Enter does it")
        os.write(keyboard, b"\n")
        assert "¥20.00" in heard_until(keyboard, "Balance ¥20.00")
        os.write(keyboard, b"\n")
        heard_until(keyboard, "5 Card service")
        os.write(keyboard, b"\x1b")
        heard_until(keyboard, "Q quit")
        os.write(keyboard, b"q")
        assert program.wait(timeout=20) == 0
    finally:
        program.kill()
        program.wait()
        os.close(keyboard)


def test_a_file_is_read_key_by_key_to_its_end() -> None:
    assert list(keys(io.StringIO("1水\nq"))) == ["1", "水", "\r", "q"]

"""What a command has said, as far as it is the same each time."""

import re

CLOCK = re.compile(r"\d\d:\d\d:\d\d ")


def untimed(said: str) -> str:
    """The same without the lines of a night under way, which tell the time."""
    return "".join(line for line in said.splitlines(keepends=True) if not CLOCK.match(line))

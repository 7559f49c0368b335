"""What says that there is no room: a file, a library that writes files, either database."""

import errno
import os
from collections.abc import Iterator
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_SAID: Final = (*map(os.strerror, _FULL), "database or disk is full")
"""As the system says it, whose words PostgreSQL, DuckDB and Spark repeat; and as SQLite does."""


def out_of_room(error: BaseException) -> str | None:
    """What was said, if this error comes of a full disk, a used quota or the limit of a file's size; otherwise None."""
    for one in _behind(error):
        if isinstance(one, OSError) and one.errno in _FULL:
            said = one.strerror or os.strerror(one.errno)
            return f"{said}: {one.filename}" if one.filename else said
        for line in str(one).splitlines():
            if any(words in line for words in _SAID):
                return line.strip()
    return None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The errors that this one was raised from, the first to be raised first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        if isinstance(driver := getattr(current, "orig", None), BaseException):
            chain.append(driver)
        current = current.__cause__ or current.__context__
    return reversed(chain)

"""Files that are whole or not there, also after a power cut."""

import os
from pathlib import Path


def put_in_place(part: Path, path: Path) -> None:
    """Give a finished file its name; whoever looks sees the old file of that name or the whole new one."""
    _sync(part)
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_beside(part: Path, path: Path) -> bool:
    """Give a finished file its name unless there is one of that name; whether it got it. `part` is gone either way."""
    _sync(part)
    try:
        return name_also(part, path)
    finally:
        part.unlink()


def name_also(path: Path, also: Path) -> bool:
    """Give a whole file a second name unless there is one of that name; whether it got it."""
    try:
        also.hardlink_to(path)
    except FileExistsError:
        return False
    _sync(also.parent)
    return True

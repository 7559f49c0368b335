"""Files that others drop into a folder, as by SFTP: which may be whole, their bytes, and how one leaves the folder.

A file that says by itself that it is whole may be taken at once; how it says so is each folder's own. Anything else may
still be growing, so it is left until nobody has written to it for QUIET, and is judged then. Names that begin with
a dot, and the endings in UNFINISHED, are a sender's own way of saying that it is not done.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

UNFINISHED: Final = (".part", ".tmp", ".filepart", ".crdownload", ".partial", ".swp", ".uploading")
QUIET: Final = timedelta(minutes=15)
LONGEST_NAME_BYTES: Final = 200
TAKEN: Final = ".taken"
"""What the hidden name of a file ends in that is on its way out of its folder."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a file was when it was looked at; another look that is equal saw the same bytes."""

    inode: int
    size_bytes: int
    changed_ns: int

    def is_quiet(self, now: datetime) -> bool:
        """Whether nobody has written to the file for QUIET."""
        return self.changed_ns <= int((now - QUIET).timestamp() * 1_000_000_000)


def candidates(folder: Path) -> list[Path]:
    """What may be finished files; one whose name cannot be written in an answer stays where it is."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and path.suffix.lower() not in UNFINISHED
        and path.name.isprintable()
        and len(path.name.encode()) <= LONGEST_NAME_BYTES
        and not path.is_dir()
    )


def read_stable(path: Path, most_bytes: int) -> tuple[bytes, Look] | None:
    """A file's bytes, if it is one and nobody wrote to it meanwhile; of one beyond `most_bytes`, none of them."""
    try:
        # A sender's link is not followed, and a pipe is not waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        before = look_of(os.fstat(handle))
        content = file.read(most_bytes + 1) if before.size_bytes <= most_bytes else b""
        if look_of(os.fstat(handle)) != before or (content and len(content) != before.size_bytes):
            return None
    return content, before


def look_of(found: os.stat_result) -> Look:
    """A look at a file."""
    return Look(found.st_ino, found.st_size, found.st_mtime_ns)


def claim(path: Path, look: Look) -> Path | None:
    """Take a file out of everybody's sight, under a hidden name beside it; where it is now.

    None where another is taking it, or its sender has put another in its place meanwhile, which stays.
    """
    claimed = path.with_name(f".{path.name}{TAKEN}")
    with suppress(FileNotFoundError):
        path.rename(claimed)
        if look_of(claimed.stat()) == look:
            return claimed
        put_back(claimed)
    return None


def claimed_files(folder: Path) -> list[Path]:
    """What is on its way out of a folder, or was when its taker was killed."""
    return sorted(folder.glob(f".*{TAKEN}"))


def put_back(claimed: Path) -> None:
    """Give a file its name again, unless there is another of that name by now: then it waits its turn."""
    path = claimed.with_name(claimed.name.removeprefix(".").removesuffix(TAKEN))
    # What another is taking out of the folder is that one's to end.
    with suppress(FileExistsError, FileNotFoundError):
        path.hardlink_to(claimed)
        claimed.unlink()

"""Files that are whole or not there, also after a power cut, whoever else writes beside."""

from errno import EMLINK, EPERM, EXDEV
from pathlib import Path
from tempfile import NamedTemporaryFile

from ledger.durable import name_also, put_beside, put_in_place


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file; a reader sees the old one or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    put_in_place(part, path)
    return path


def write_new(path: Path, content: bytes) -> bool:
    """Write a file unless there is one of its name; whether it was written. Any number may try at once."""
    return put_beside(part_of(path, content), path)


def share(path: Path, also: Path) -> bool:
    """Let a whole file be found under a second name, too, unless there is one of that name; whether it is.

    Where it can have none, it is copied: on another disk, for a file of somebody else's, or if it has too many.
    """
    also.parent.mkdir(parents=True, exist_ok=True)
    try:
        return name_also(path, also)
    except OSError as error:
        if error.errno not in {EXDEV, EPERM, EMLINK}:
            raise
        return write_new(also, path.read_bytes())


def part_of(path: Path, content: bytes) -> Path:
    """A hidden file beside `path` that nobody else writes, with its content; whoever dies now leaves it behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as part:
        made = Path(part.name)
        try:
            part.write(content)
            part.flush()
        except OSError:
            made.unlink()  # where there is no room, every attempt would leave one more
            raise
    return made

"""A diary: what a program has done and heard, line by line, each on the disk before the next thing is done."""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.3


class Diary:
    """JSON objects in a file, appended and synchronised; a line torn by a crash counts as never written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        if torn:
            self._file.truncate(len(whole) + 1 if whole else 0)
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in whole.split(b"\n") if line]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def note(self, **said: Any) -> None:
        """Add a line; it is on the disk when this returns."""
        self._file.write(json.dumps(said, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.lines.append(said)


def pause(tries: int) -> None:
    """Wait a little before the next try, and longer after more of them."""
    time.sleep(min(FIRST_PAUSE_S * 2 ** min(tries, 6), LONGEST_PAUSE_S))


def read_diary(path: Path) -> list[dict[str, Any]]:
    """The lines of a diary, none where it was never begun."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].split(b"\n") if line]

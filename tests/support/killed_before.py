"""Work in a process of its own that is killed before its first, second, … change of a file or of the books."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Step = Callable[[], None]


def killed_before(change: int, place: Path, work: Callable[[Step], None]) -> bool:
    """Do `work` in a process that kills itself before change number `change` below `place`; whether it was killed.

    `work` is given what it calls where it is about to change something else than a file.
    """
    if (child := os.fork()) == 0:
        seen = 0

        def step() -> None:
            nonlocal seen
            if seen == change:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

        def watched(event: str, arguments: tuple[Any, ...]) -> None:
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_WRONLY | 0
            inside = any(str(place) in str(one) for one in arguments)
            if inside and (writes or event in ("os.rename", "os.link", "os.remove", "os.mkdir")):
                step()

        try:
            sys.addaudithook(watched)
            work(step)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)

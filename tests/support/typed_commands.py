"""Commands of `onecard` as somebody types them: each a process of its own, from a foundry that has them loaded."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess

from tests.support.foundry import Foundry

PATIENCE_S = 240.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class RunningCommand:
    """A command that goes on until it is told to end."""

    foundry: Foundry
    pid: int
    log: Path

    def ended(self) -> int | None:
        """Its exit status, or minus the signal that killed it; None while it runs."""
        return self.foundry.ended(self.pid)

    def wait(self) -> int:
        """Wait until it ends by itself; its exit status."""
        return self.foundry.wait(self.pid, timeout_s=PATIENCE_S)

    def end(self, number: signal.Signals) -> int:
        """Send it a signal and wait until it has ended; its exit status."""
        return self.foundry.end(self.pid, number, timeout_s=PATIENCE_S)

    def said(self) -> str:
        """What it has said so far, of errors too."""
        return self.log.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class TypedCommands:
    """Commands with the same settings in their environment; `folder` is for what they say and read."""

    foundry: Foundry
    folder: Path
    settings: dict[str, str]

    def __call__(
        self, home: Path, *words: str | Path, typed: str = "", **environment: str
    ) -> CompletedProcess[str]:
        """Run one in a home to its end, with `typed` as what it reads."""
        said, wrong, read = (self.folder / name for name in ("said", "wrong", "read"))
        for file, text in ((said, ""), (wrong, ""), (read, typed)):
            file.write_text(text, encoding="utf-8")
        command = [str(word) for word in words]
        pid = self.foundry.start(
            "onecard", command, self._settings(home, environment), said, errors=wrong, typed=read
        )
        status = self.foundry.wait(pid, timeout_s=PATIENCE_S)
        return CompletedProcess(command, status, said.read_text("utf-8"), wrong.read_text("utf-8"))

    @contextmanager
    def running(self, home: Path, *words: str | Path, **environment: str) -> Iterator[RunningCommand]:
        """Start one in a home; it is killed where it still runs when the block ends."""
        log = self.folder / f"log-{next(_numbers)}"
        command = [str(word) for word in words]
        pid = self.foundry.start("onecard", command, self._settings(home, environment), log)
        try:
            yield RunningCommand(self.foundry, pid, log)
        finally:
            self.foundry.end(pid, signal.SIGKILL)

    def _settings(self, home: Path, environment: dict[str, str]) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        return {**ours, **self.settings, "ONECARD_HOME": str(home), **environment}


@contextmanager
def typed_commands(foundry: Foundry, **settings: str) -> Iterator[TypedCommands]:
    """Commands with these settings, each with its output in a file, in which no table is narrow."""
    with tempfile.TemporaryDirectory(prefix="onecard-typed-") as folder:
        yield TypedCommands(foundry, Path(folder), settings)

"""`onecard card virtual` as a process of its own, and real PC/SC programs that speak with what lies in its reader."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from city.pcsc import READER, SOCKET_VARIABLE
from tests.support.typed_commands import TypedCommands
from tests.support.waiting import wait_until

CARD_SLOT, SAM_SLOT = f"{READER} 00 00", f"{READER} 00 01"


@dataclass(frozen=True, slots=True)
class VirtualReader:
    """The daemon's socket, and the city that the command runs in."""

    commands: TypedCommands
    home: Path
    socket_path: str

    def onecard(self, *words: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Another command of ours, in the same city and with the same reader."""
        return self.commands(self.home, *words, typed=typed, **{SOCKET_VARIABLE: self.socket_path})

    def run(self, *words: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Any program that uses PC/SC."""
        return subprocess.run(
            words,
            env=os.environ | {SOCKET_VARIABLE: self.socket_path},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@contextmanager
def virtual_reader(commands: TypedCommands, home: Path, *words: str | Path) -> Iterator[VirtualReader]:
    """Run the command until the block ends; it must end well, and leave nothing."""
    home.mkdir(parents=True, exist_ok=True)
    ready = home / "ready"
    ready.unlink(missing_ok=True)
    command = ("card", "virtual", "--ready-file", ready, *words)
    with commands.running(home, *command) as reader:
        wait_until(lambda: ready.exists() or reader.ended() is not None)
        assert ready.exists(), reader.said()
        socket_path = ready.read_text().strip()
        yield VirtualReader(commands, home, socket_path)
        assert reader.end(signal.SIGTERM) == 0
    assert not Path(socket_path).parent.exists()

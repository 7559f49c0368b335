"""`onecard card virtual` as a process of its own, and real PC/SC programs that speak with what lies in its reader."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from city.pcsc import READER, SOCKET_VARIABLE

CARD_SLOT, SAM_SLOT = f"{READER} 00 00", f"{READER} 00 01"
START_S = 30.0


@dataclass(frozen=True, slots=True)
class VirtualReader:
    """The daemon's socket, and the city that the command runs in."""

    home: Path
    socket_path: str

    def onecard(self, *words: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Another command of ours, in the same city and with the same reader."""
        return self.run(Path(sys.executable).with_name("onecard"), *words, typed=typed)

    def run(self, *words: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Any program that uses PC/SC."""
        settled = {"ONECARD_HOME": str(self.home), SOCKET_VARIABLE: self.socket_path, "COLUMNS": "160"}
        return subprocess.run(
            words,
            env=os.environ | settled,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@contextmanager
def virtual_reader(home: Path, *words: str | Path) -> Iterator[VirtualReader]:
    """Run the command until the block ends; it must end well, and leave nothing."""
    home.mkdir(parents=True, exist_ok=True)
    ready = home / "ready"
    ready.unlink(missing_ok=True)
    command = [Path(sys.executable).with_name("onecard"), "card", "virtual", "--ready-file", ready, *words]
    process = subprocess.Popen(
        command, env=os.environ | {"ONECARD_HOME": str(home)}, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_S
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline, "the virtual reader did not start"
            time.sleep(0.01)
        socket_path = ready.read_text().strip()
        yield VirtualReader(home, socket_path)
    finally:
        process.terminate()
        ended = process.wait(timeout=20)
    assert ended == 0
    assert not Path(socket_path).parent.exists()

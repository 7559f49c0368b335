"""Two real HSMs with the same keys, lines to them on which all is heard, and a hand that mistreats them."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from card.hsm.addresses import Address
from city.processes import copy_hsm, wait_for_port
from tests.support.bad_lines import BadLine, Fate, Weather, Weights, frames

ROUGH: Final[Weights] = {Fate.PASS: 70, Fate.LATE: 20, Fate.TORN: 5, Fate.CUT: 5}
"""What becomes of answers while the weather is not calm."""


class HsmProcess:
    """One `hsm-sim`, which may be killed, frozen and started again on the port it had."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens. Raises ChildProcessError where it ends before."""
        port_file, log_file = self.home / "port", self.home / "hsm.log"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "hsm_sim", "serve", "--home", str(self.home)]
        command += ["--port", str(self.port), "--port-file", str(port_file)]
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.port = wait_for_port(self._process, port_file, log_file)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def freeze(self) -> None:
        """Let it hang: it keeps its connections, and does nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


class TappedLine(BadLine):
    """A line on which every question is written down with its answer; answers may be late, torn or cut off."""

    def __init__(self, name: str, weather: Weather, process: HsmProcess) -> None:
        self.asked: list[bytes] = []
        """Command and fields of every question."""
        self.said: list[tuple[bytes, bytes]] = []
        """The same of every question that the HSM answered, with error and fields of its answer."""
        super().__init__(name, weather, lambda: process.port, ROUGH)

    def serve(self, near: socket.socket) -> None:
        """Dial, and carry both ways until either side hangs up."""
        far = self.dial()
        questions: dict[bytes, bytes] = {}
        back = threading.Thread(target=self._carry_answers, args=(far, near, questions), daemon=True)
        back.start()
        with suppress(OSError, ValueError):
            for frame in frames(near):
                header, body = _opened(frame)
                questions[header] = body
                self.asked.append(body)
                far.sendall(frame)
        self.hang_up(near)
        self.hang_up(far)
        back.join()

    def _carry_answers(self, far: socket.socket, near: socket.socket, questions: dict[bytes, bytes]) -> None:
        with suppress(OSError, ValueError):
            for frame in frames(far):
                header, body = _opened(frame)
                self.said.append((questions[header], body[2:]))
                fate = self.fate(f"answer of {len(frame)} bytes")
                if fate is Fate.LATE:
                    time.sleep(self.weather.late_s)
                if fate is Fate.TORN:
                    near.sendall(frame[: len(frame) // 2])
                if fate in (Fate.TORN, Fate.CUT):
                    break
                near.sendall(frame)
        self.hang_up(near)
        self.hang_up(far)


@dataclass(frozen=True, slots=True)
class HsmPair:
    """Both HSMs, the line to each, and the weather on both lines, which is calm until it is not."""

    first: HsmProcess
    second: HsmProcess
    lines: tuple[TappedLine, TappedLine]
    weather: Weather

    @property
    def addresses(self) -> list[Address]:
        """Where a client finds them: at the near ends of the lines."""
        return [Address("127.0.0.1", line.port) for line in self.lines]

    def asked(self, command: bytes) -> list[bytes]:
        """The fields of every question of one command, on either line."""
        return [body[2:] for line in self.lines for body in line.asked if body[:2] == command]

    def said(self, command: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of every answered question of one command, with error and fields of the answer."""
        return [
            (asked[2:], answer) for line in self.lines for asked, answer in line.said if asked[:2] == command
        ]


@contextmanager
def hsm_pair(home: Path, keys_of: Path, *, seed: int) -> Iterator[HsmPair]:
    """Start two HSMs with the keys of the one in `keys_of`; they are gone when the block ends."""
    homes = home / "first", home / "second"
    for each in homes:
        copy_hsm(keys_of, each)
    first, second = map(HsmProcess, homes)
    weather = Weather(seed, late_s=0.05, stray_s=0.0, tell=lambda _: None)
    weather.calm = True
    try:
        first.start()
        second.start()
        lines = TappedLine("first", weather, first), TappedLine("second", weather, second)
        yield HsmPair(first, second, lines, weather)
        for line in lines:
            line.close()
    finally:
        for process in (first, second):
            process.thaw()
            process.kill()


def _opened(frame: bytes) -> tuple[bytes, bytes]:
    """Header and the rest of a frame."""
    body = frame[6:] if frame[:2] == b"\xff\xff" else frame[2:]
    return body[:4], body[4:]

"""Programs started in a moment: an interpreter that has imported them all forks one for every start.

A program runs as it would by itself: own process, own memory, arguments, environment and log, and it can be
killed like any other. Only the second that an interpreter takes to import everything is spent once.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from api.cli import COMMANDS
from city.processes import PROJECT, Program, by_itself

PROGRAMS: Mapping[str, str] = {
    "onecard": "api.cli:main",
    "hsm-sim": "hsm_sim.cli:main",
    "bank": "city.bank:live",
    "insurer": "city.insurer:serve",
    "biller": "city.biller:main",
    "centre": "city.centre:serve",
    "till": "city.till:work",
    "caller": "city.caller:work",
    "depot": "city.depot:work",
    "yard": "city.yard:serve",
}
"""What can be started, and where it begins; a function that is not called `main` is a Typer command."""
MODULES: Mapping[str, str] = {
    "hsm_sim": "hsm-sim",
    "city.bank": "bank",
    "city.insurer": "insurer",
    "city.biller": "biller",
    "city.centre": "centre",
    "city.yard": "yard",
}
"""Those of them that other code of ours starts as `python -m MODULE`."""
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


class Foundry:
    """The side of whoever starts programs. Safe to use from any thread; ends are heard on one of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._changed = threading.Condition()
        self._started: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._asked = 0
        self._asking = threading.Lock()
        threading.Thread(target=self._hear, daemon=True).start()

    @property
    def pid(self) -> int:
        """The foundry's own process."""
        return self._process.pid

    def start(
        self,
        program: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        errors: Path | None = None,
        typed: Path | None = None,
    ) -> int:
        """Start a program with these arguments, and only these variables beside PATH; its process id.

        What it says goes to `log`, or what it says of errors to a file of its own; it reads `typed`, or nothing.
        """
        order = {
            "program": program,
            "words": list(words),
            "environment": dict(environment),
            "log": str(log),
            "errors": str(errors or log),
            "typed": str(typed or os.devnull),
        }
        assert self._process.stdin is not None
        with self._asking:
            self._asked += 1
            asked = self._asked
            self._process.stdin.write(json.dumps(order | {"asked": asked}) + "\n")
            self._process.stdin.flush()
        with self._changed:
            if not self._changed.wait_for(lambda: asked in self._started, timeout=60):
                raise TimeoutError(f"{program} was not started within 60 s")
            return self._started[asked]

    def start_module(self, module: str, words: Sequence[str | Path], log_file: Path) -> Program:
        """Start what `python -m module` is, in the environment that this process has now."""
        if module not in MODULES:
            return by_itself(module, words, log_file)
        said = [str(word) for word in words]
        return FoundryProgram(self, self.start(MODULES[module], said, os.environ, log_file))

    def ended(self, pid: int) -> int | None:
        """How a program ended: its exit status, or minus the signal that killed it; None while it runs."""
        with self._changed:
            return self._ended.get(pid)

    def wait(self, pid: int, *, timeout_s: float = 60.0) -> int:
        """Wait until a program has ended by itself, or by somebody else. Raises TimeoutError where it has not."""
        with self._changed:
            if not self._changed.wait_for(lambda: pid in self._ended, timeout=timeout_s):
                raise TimeoutError(f"process {pid} goes on after {timeout_s:g} s")
            return self._ended[pid]

    def end(self, pid: int, number: signal.Signals, *, timeout_s: float = 10.0) -> int:
        """Send a program a signal and wait until it has ended. Raises TimeoutError where it does not."""
        with self._changed:
            if pid not in self._ended:
                os.kill(pid, number)
            if not self._changed.wait_for(lambda: pid in self._ended, timeout=timeout_s):
                raise TimeoutError(f"process {pid} goes on {timeout_s:g} s after {number.name}")
            return self._ended[pid]

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._changed:
                if "ended" in told:
                    self._ended[told["ended"]] = told["status"]
                else:
                    # An earlier program may have had this number, and is not this one's end.
                    self._ended.pop(told["pid"], None)
                    self._started[told["asked"]] = told["pid"]
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class FoundryProgram:
    """A started program as `subprocess` would have it."""

    foundry: Foundry
    pid: int

    def poll(self) -> int | None:
        """How it ended, if it has."""
        return self.foundry.ended(self.pid)

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Make it end."""
        self._send(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """How it has ended. Raises subprocess.TimeoutExpired where it has not."""
        try:
            return self.foundry.wait(self.pid, timeout_s=timeout or 60.0)
        except TimeoutError as late:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 60.0) from late

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


@contextmanager
def running_foundry(before: Sequence[str] = ()) -> Iterator[Foundry]:
    """A foundry while the block runs; with it end all programs that it started. `before` are words of a wrapper."""
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "tests.support.foundry"],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "COLUMNS"}
        | {"OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Foundry(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=20)


def serve() -> None:
    """The foundry itself: orders come in on standard input, starts and ends go out on standard output."""
    for place in (*PROGRAMS.values(), *(late.place for late in COMMANDS.values()), "ledger.migration"):
        importlib.import_module(place.partition(":")[0])
    gc.collect()
    gc.freeze()  # no child is to look through, and so to copy, what they all have from here
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    living: set[int] = set()
    unread = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _tell_ends(living)
        if 0 not in readable:
            continue
        if not (data := os.read(0, 65_536)):
            break
        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            living.add(pid := _forked(order, (woken, wake)))
            _tell({"asked": order["asked"], "pid": pid})
    for pid in living:
        os.kill(pid, signal.SIGKILL)


def _tell_ends(living: set[int]) -> None:
    for pid in list(living):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            living.discard(pid)
            _tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _tell(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _forked(order: dict[str, Any], ours: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        _become(order, ours)
        _main(order["program"])()
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except KeyboardInterrupt:  # before it has begun
        print("Aborted.", file=sys.stderr)
        status = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become(order: dict[str, Any], ours: tuple[int, int]) -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in ours:
        os.close(descriptor)
    typed = os.open(order["typed"], os.O_RDONLY)
    log, errors = (
        os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for name in ("log", "errors")
    )
    for source, target in ((typed, 0), (log, 1), (errors, 2)):
        os.dup2(source, target)
    path = os.environ["PATH"]
    os.environ.clear()
    os.environ.update({"PATH": path} | order["environment"])
    sys.argv = [order["program"], *order["words"]]


def _main(program: str) -> Callable[[], None]:
    module, _, name = PROGRAMS[program].partition(":")
    begin: Callable[[], None] = getattr(sys.modules[module], name)
    return begin if program in ("onecard", "hsm-sim") else lambda: typer.run(begin)


if __name__ == "__main__":
    serve()

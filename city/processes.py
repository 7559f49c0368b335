"""Peers of the city that are programs of their own: the HSM, and a private PostgreSQL to try things on."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ledger.loaded import let_stay

START_TIMEOUT_S = 20.0
AUTHORISED = ("--authorised-for", "24h")
"""What lets an HSM with demo keys personalise cards and enrol terminals without two operators' word."""
PROJECT = Path(__file__).resolve().parent.parent
ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM")
"""The words before a command that is told to end by the kernel when the thread that has started it ends."""

SHORT_PATHS = Path("/tmp")
"""Where a server's folder is made: the path of the socket in it may have 107 bytes."""
MODEST = {"max_connections": "60", "shared_buffers": "128MB"}
FLEETING = MODEST | {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}
"""For databases that need not outlive the machine. What is committed outlives every process all the same."""


class Program(Protocol):
    """A process that was started here, as `subprocess` has it."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


Start = Callable[[str, Sequence[str | Path], Path], Program]
"""Starts a module with these words as a program whose output is added to a log."""


def by_itself(module: str, words: Sequence[str | Path], log_file: Path) -> Program:
    """Start `python -m module …`. It is asked to end when this process has, and be it killed."""
    with log_file.open("ab") as log:
        command = [*ENDS_WITH_US, sys.executable, "-m", module, *words]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=PROJECT)


_start: ContextVar[Start] = ContextVar("start", default=by_itself)


@contextmanager
def started_by(start: Start) -> Iterator[None]:
    """Let programs be started so until the block ends: by whoever starts so many that it has them loaded."""
    token = _start.set(start)
    try:
        yield
    finally:
        _start.reset(token)


@dataclass(frozen=True, slots=True)
class RunningHsm:
    """Where the HSM listens, and the file with the transport key that a card factory shares with it."""

    host: str
    port: int
    home: Path
    transport_key_file: Path


@contextmanager
def running_hsm(home: Path) -> Iterator[RunningHsm]:
    """Start `hsm-sim` with demo keys on a free loopback port, making its state in `home` the first time.

    A demo's cards are personalised without operators, so it is authorised for as long as it may be.
    """
    home.mkdir(parents=True, exist_ok=True)
    transport_key_file = home / "transport.key"
    if not (home / "keys.json").exists():
        run_program("hsm_sim", home, "init", "--demo", "--transport-key-file", transport_key_file)
    serve = ("serve", "--port", "0", *AUTHORISED)
    with running_program("hsm_sim", home, *serve) as (port, _):
        yield RunningHsm("127.0.0.1", port, home, transport_key_file)


def run_program(module: str, home: Path, *words: str | Path) -> None:
    """Run `python -m module … --home HOME` to its end. Raises ChildProcessError where it fails."""
    home.mkdir(parents=True, exist_ok=True)
    log_file = home / f"{module}.log"
    if ended := _start.get()(module, (*words, "--home", home), log_file).wait():
        raise ChildProcessError(f"{module} ended with {ended}; see {log_file}")


def copy_hsm(home: Path, other: Path) -> None:
    """Lay down in `other` what another HSM needs to have the keys of the one in `home`."""
    shutil.copytree(home, other, ignore=shutil.ignore_patterns("port", "*.log", "console.*", "audit*"))


@contextmanager
def running_program(module: str, home: Path, *words: str | Path) -> Iterator[tuple[int, Program]]:
    """Run `python -m module … --home HOME --port-file …` until the block ends: its port, and its process.

    Its output goes to `module.log` in `home`. Raises ChildProcessError where it ends before it listens.
    """
    home.mkdir(parents=True, exist_ok=True)
    port_file, log_file = home / "port", home / f"{module}.log"
    port_file.unlink(missing_ok=True)
    process = _start.get()(module, (*words, "--home", home, "--port-file", port_file), log_file)
    try:
        yield wait_for_port(process, port_file, log_file), process
    finally:
        end_program(process)


def end_program(process: Program) -> None:
    """Ask a program to end, make it where it does not, and wait until it has."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL of our own in a folder, which it listens in on a Unix socket."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def url(self) -> str:
        """The URL of its database `onecard`."""
        return f"postgresql+psycopg://onecard@/onecard?host={self.folder}"

    @property
    def pid_file(self) -> Path:
        """The file whose first line is the number of its first process, while it runs."""
        return self.folder / "data" / "postmaster.pid"

    def make(self) -> None:
        """Make an empty cluster in the folder."""
        self._run("initdb", "-D", self.folder / "data", "-U", "onecard", "-A", "trust", "--no-sync", "-E", "UTF8",
                  "--locale=C.UTF-8", "--lc-collate=C")  # fmt: skip

    def start(self) -> None:
        """Start it, also after a crash, and wait until it answers."""
        chosen = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        options = f"-k {self.folder} -c listen_addresses= {chosen}"
        self._run(
            "pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start"
        )

    def create_database(self) -> None:
        """Create its empty database `onecard`."""
        self._run("createdb", "-h", self.folder, "-U", "onecard", "onecard")

    def stop(self) -> None:
        """Stop it at once, if it runs."""
        self._run("pg_ctl", *self.ending, check=False)

    @property
    def ending(self) -> Sequence[str | Path]:
        """What `pg_ctl` is told to stop it."""
        return "-D", self.folder / "data", "-m", "immediate", "stop"

    def command(self, program: str, *words: str | Path) -> list[str | Path]:
        """A command of PostgreSQL's own, as who runs the server."""
        return [*_as_postgres_owner(), postgres_binaries() / program, *words]

    def _run(self, program: str, *words: str | Path, check: bool = True) -> None:
        subprocess.run(self.command(program, *words), check=check, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def private_server(
    settings: Mapping[str, str] = MODEST, under: Path = SHORT_PATHS
) -> Iterator[PostgresServer]:
    """Start a PostgreSQL of our own with an empty database `onecard`; it is gone when the block ends.

    It has a folder of its own in `under`, which everybody must be able to enter.
    """
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="onecard-pg-", dir=under)), settings)
    if _as_postgres_owner():
        shutil.chown(server.folder, "nobody", "nogroup")
    with _guarded(server):
        server.make()
        server.start()
        server.create_database()
        yield server


@contextmanager
def _guarded(server: PostgresServer) -> Iterator[None]:
    """End with a server and clear its folder away; where this process is killed, a guard does.

    The guard waits for a word on a pipe that only we hold, and hears us die. ENDS_WITH_US would not do: `pg_ctl`
    leaves a server to itself, and its folder would stay.
    """
    clear = 'read -r _; "$@"; rm -rf "$0"'
    guard = subprocess.Popen(
        ["sh", "-c", clear, server.folder, *server.command("pg_ctl", *server.ending)],
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
        guard.kill()
        guard.communicate()


@contextmanager
def private_postgres(settings: Mapping[str, str] = MODEST, under: Path = SHORT_PATHS) -> Iterator[str]:
    """Start a PostgreSQL of our own on a Unix socket; yields the URL of its empty database `onecard`."""
    with private_server(settings, under) as server:
        yield server.url


def _as_postgres_owner() -> list[str]:
    """The words before a command of PostgreSQL, which refuses to run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


def postgres_binaries() -> Path:
    """The folder of the newest installed PostgreSQL's own programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("no PostgreSQL under /usr/lib/postgresql; install the package `postgresql`")
    return found[-1].parent


def keep_loaded() -> None:
    """Leave what a server has loaded by now out of the collector's rounds, which else look at all of it again.

    It is most of what there is, it stays until the program ends, and each round over it makes everybody wait.
    """
    gc.collect()
    let_stay()


def write_port(port_file: Path | None, port: int) -> None:
    """Tell who waits for `port_file` where this program listens; the file is there whole or not at all."""
    if port_file is not None:
        draft = port_file.with_name(f".{port_file.name}.{os.getpid()}")
        draft.write_text(f"{port}\n", encoding="ascii")
        draft.replace(port_file)


def wait_for_port(process: Program, port_file: Path, log_file: Path) -> int:
    """The port that a program has written, once it has.

    Raises ChildProcessError where it ends before, TimeoutError where it takes too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if port_file.exists() and (text := port_file.read_text()).endswith("\n"):
            return int(text)
        if (ended := process.poll()) is not None:
            raise ChildProcessError(f"it ended with {ended} before it listened; see {log_file}")
        time.sleep(0.01)
    raise TimeoutError(f"it did not listen within {START_TIMEOUT_S:.0f} s; see {log_file}")

"""Peers of the city that are programs of their own: the HSM, and a private PostgreSQL to try things on."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 20.0
PROJECT = Path(__file__).resolve().parent.parent


MODEST = {"max_connections": "60", "shared_buffers": "128MB"}


@dataclass(frozen=True, slots=True)
class RunningHsm:
    """Where the HSM listens, and the file with the transport key that a card factory shares with it."""

    host: str
    port: int
    home: Path
    transport_key_file: Path


@contextmanager
def running_hsm(home: Path) -> Iterator[RunningHsm]:
    """Start `hsm-sim` with demo keys on a free loopback port, making its state in `home` the first time."""
    home.mkdir(parents=True, exist_ok=True)
    transport_key_file = home / "transport.key"
    if not (home / "keys.json").exists():
        subprocess.run(
            [
                *_program("hsm_sim"),
                "init",
                "--home",
                home,
                "--demo",
                "--transport-key-file",
                transport_key_file,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    with running_program("hsm_sim", home, "serve", "--port", "0") as (port, _):
        yield RunningHsm("127.0.0.1", port, home, transport_key_file)


@contextmanager
def running_program(
    module: str, home: Path, *words: str | Path
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `python -m module … --home HOME --port-file …` until the block ends: its port, and its process.

    Its output goes to `module.log` in `home`. Raises ChildProcessError where it ends before it listens.
    """
    home.mkdir(parents=True, exist_ok=True)
    port_file, log_file = home / "port", home / f"{module}.log"
    port_file.unlink(missing_ok=True)
    command = [*_program(module), *words, "--home", home, "--port-file", port_file]
    with log_file.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=PROJECT)
    try:
        yield wait_for_port(process, port_file, log_file), process
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def private_postgres(settings: Mapping[str, str] = MODEST) -> Iterator[str]:
    """Start a PostgreSQL of our own on a Unix socket; yields the URL of its empty database `onecard`."""
    binaries = postgres_binaries()
    folder = Path(tempfile.mkdtemp(prefix="onecard-pg-", dir="/tmp"))
    # PostgreSQL refuses to run as root.
    as_owner = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    if as_owner:
        shutil.chown(folder, "nobody", "nogroup")

    def run(*words: str | Path, check: bool = True) -> None:
        subprocess.run([*as_owner, *words], check=check, stdout=subprocess.DEVNULL, cwd="/")

    data = folder / "data"
    chosen = " ".join(f"-c {name}={value}" for name, value in settings.items())
    options = f"-k {folder} -c listen_addresses= {chosen}"
    try:
        run(binaries / "initdb", "-D", data, "-U", "onecard", "-A", "trust", "--no-sync", "-E", "UTF8",
            "--locale=C.UTF-8")  # fmt: skip
        run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        run(binaries / "createdb", "-h", folder, "-U", "onecard", "onecard")
        yield f"postgresql+psycopg://onecard@/onecard?host={folder}"
    finally:
        run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def postgres_binaries() -> Path:
    """The folder of the newest installed PostgreSQL's own programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("no PostgreSQL under /usr/lib/postgresql; install the package `postgresql`")
    return found[-1].parent


def write_port(port_file: Path | None, port: int) -> None:
    """Tell who waits for `port_file` where this program listens; the file is there whole or not at all."""
    if port_file is not None:
        draft = port_file.with_name(f".{port_file.name}.{os.getpid()}")
        draft.write_text(f"{port}\n", encoding="ascii")
        draft.replace(port_file)


def _program(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def wait_for_port(process: subprocess.Popen[bytes], port_file: Path, log_file: Path) -> int:
    """The port that a program has written, once it has.

    Raises ChildProcessError where it ends before, TimeoutError where it takes too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if port_file.exists() and (text := port_file.read_text()).endswith("\n"):
            return int(text)
        if process.poll() is not None:
            raise ChildProcessError(f"it ended with {process.returncode} before it listened; see {log_file}")
        time.sleep(0.01)
    raise TimeoutError(f"it did not listen within {START_TIMEOUT_S:.0f} s; see {log_file}")

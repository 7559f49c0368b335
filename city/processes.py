"""Peers of the city that are programs of their own: the HSM, and a private PostgreSQL to try things on."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 20.0


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
    port_file = home / "port"
    port_file.unlink(missing_ok=True)
    log = (home / "hsm.log").open("ab")
    process = subprocess.Popen(
        [*_program("hsm_sim"), "serve", "--home", home, "--port", "0", "--port-file", port_file],
        stdout=log,
        stderr=log,
    )
    try:
        port = _wait_for_port(process, port_file, home / "hsm.log")
        yield RunningHsm("127.0.0.1", port, home, transport_key_file)
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


@contextmanager
def private_postgres() -> Iterator[str]:
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
    options = f"-k {folder} -c listen_addresses= -c max_connections=60 -c shared_buffers=128MB"
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


def _program(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _wait_for_port(process: subprocess.Popen[bytes], port_file: Path, log_file: Path) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if port_file.exists() and (text := port_file.read_text()).endswith("\n"):
            return int(text)
        if process.poll() is not None:
            raise ChildProcessError(f"hsm-sim ended with {process.returncode}; its log is {log_file}")
        time.sleep(0.01)
    raise TimeoutError(f"hsm-sim did not listen within {START_TIMEOUT_S:.0f} s; its log is {log_file}")

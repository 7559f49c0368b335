"""The program from outside: run to its end, or serving; and how a secret might show."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.support.foundry import Foundry

_foundry: Final[ContextVar[Foundry | None]] = ContextVar("foundry", default=None)


def program(
    *words: str | Path, typed: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end; `typed` are the lines that it is given when it asks."""
    environment = {**os.environ, **variables}
    lines = "".join(f"{line}\n" for line in typed)
    if (foundry := _foundry.get()) is not None:
        return _founded(foundry, [*map(str, words)], lines, environment)
    command = [sys.executable, "-m", "hsm_sim", *map(str, words)]
    return subprocess.run(
        command, input=lines, capture_output=True, text=True, timeout=30, env=environment, check=False
    )


@contextmanager
def run_by(foundry: Foundry) -> Iterator[None]:
    """Let the foundry run what is run to its end, until the block ends: half of that is an interpreter's start."""
    token = _foundry.set(foundry)
    try:
        yield
    finally:
        _foundry.reset(token)


def _founded(
    foundry: Foundry, words: Sequence[str], lines: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory() as folder:
        typed, said, errors = (Path(folder) / name for name in ("typed", "said", "errors"))
        typed.write_text(lines)
        pid = foundry.start("hsm-sim", words, environment, said, errors=errors, typed=typed)
        status = foundry.wait(pid, timeout_s=30)
        return subprocess.CompletedProcess(words, status, said.read_text(), errors.read_text())


def authorise(home: Path, *words: str, **phrases: str) -> subprocess.CompletedProcess[str]:
    """Operators give their word, each with a passphrase."""
    typed = [line for pair in phrases.items() for line in pair]
    return program("authorise", "--home", home, *words, typed=typed)


@contextmanager
def serving(home: Path, *words: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A running HSM of one's own: its process and port; its output goes to `home`/log."""
    port_file = home / "port"
    port_file.unlink(missing_ok=True)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hsm_sim",
        "serve",
        "--home",
        home,
        "--port",
        "0",
        "--port-file",
        port_file,
    ]
    with (home / "log").open("ab") as log:
        environment = {**os.environ, **variables}
        process = subprocess.Popen([*command, *words], stdout=log, stderr=log, env=environment)
    try:
        deadline_s = time.monotonic() + 20
        while not port_file.exists():
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        yield process, int(port_file.read_text())
    finally:
        process.terminate()
        process.wait(timeout=10)


def forms(secret: bytes) -> set[bytes]:
    """A key, and each half of it, as they might be written somewhere."""
    half = len(secret) // 2
    found = set()
    for part in (secret, secret[:half], secret[half:]):
        hexed = part.hex().encode()
        found |= {part, hexed, hexed.upper(), base64.b64encode(part).rstrip(b"="), repr(part)[2:-1].encode()}
    return found

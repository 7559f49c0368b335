"""The program from outside: run to its end, or serving; and how a secret might show."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def program(
    *words: str | Path, typed: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end; `typed` are the lines that it is given when it asks."""
    environment = {**os.environ, **variables}
    command = [sys.executable, "-m", "hsm_sim", *map(str, words)]
    lines = "".join(f"{line}\n" for line in typed)
    return subprocess.run(
        command, input=lines, capture_output=True, text=True, timeout=30, env=environment, check=False
    )


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

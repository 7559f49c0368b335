"""A PC/SC daemon of our own with a virtual reader of two slots, for cards that are programs.

It is the real `pcscd` with the real driver of `vsmartcard-vpcd`. The daemon gets its socket from us (as file
descriptor 3, the way systemd hands one over), so that any account may run it and any number of them run side
by side. Its driver listens for cards on two neighbouring ports, which we keep for it from before it starts
until it has ended: no two daemons can meet on a port.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from city.processes import end_program
from city.vpcd import Slot

DAEMON = "/usr/sbin/pcscd"
DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"
"""What every PC/SC program reads to find its daemon."""
READER = "Onecard Virtual Reader"
_HAND_OVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3);"
    " os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
)


class NoPcsc(Exception):
    """The Debian packages of PC/SC are not installed; the message names them."""


@dataclass(frozen=True, slots=True)
class PcscReader:
    """A running daemon: the socket it is asked on, and the two slots of its reader, for card and SAM."""

    socket_path: Path
    card: Slot
    sam: Slot
    daemon: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to speak with this daemon and no other."""
        return {SOCKET_VARIABLE: str(self.socket_path)}


@contextmanager
def private_pcscd() -> Iterator[PcscReader]:
    """Run a daemon with an empty reader until the block ends; then nothing of it is left.

    Raises NoPcsc where the programs are not installed.
    """
    missing = [package for package, path in (("pcscd", Path(DAEMON)), ("vsmartcard-vpcd", DRIVER))
               if not path.exists()]  # fmt: skip
    if missing:
        raise NoPcsc(f"a virtual reader needs Debian packages: apt-get install {' '.join(missing)}")
    with ExitStack() as stack:
        # A Unix socket's path may have 107 characters, which a folder of a test's own easily exceeds.
        folder = Path(tempfile.mkdtemp(prefix="onecard-pcsc-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        port = stack.enter_context(_two_ports())
        daemon = stack.enter_context(_daemon(folder, port))
        card, sam = (stack.enter_context(Slot(port + beside)) for beside in (0, 1))
        yield PcscReader(folder / "pcscd.comm", card, sam, daemon)


@contextmanager
def _daemon(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    readers = folder / "readers"
    readers.mkdir()
    (readers / "virtual").write_text(
        f'FRIENDLYNAME "{READER}"\nDEVICENAME /dev/null:{port}\nLIBPATH {DRIVER}\nCHANNELID {port}\n'
    )
    with socket.socket(socket.AF_UNIX) as asked, (folder / "pcscd.log").open("wb") as log:
        asked.bind(str(folder / "pcscd.comm"))
        asked.listen(16)
        command = [sys.executable, "-c", _HAND_OVER, str(asked.fileno()), DAEMON, "--foreground", "--info"]
        process = subprocess.Popen(
            [*command, "--config", readers],
            pass_fds=(asked.fileno(),),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        end_program(process)


@contextmanager
def _two_ports() -> Iterator[int]:
    """Keep a port P and P + 1, where the driver listens for a reader's two slots, until the block ends.

    They are bound alone and only then marked as shared: nobody else gets them, and the driver, which asks to
    share, does.
    """
    with ExitStack() as kept:
        while True:
            first, second = (kept.enter_context(socket.socket()) for _ in range(2))
            with suppress(OSError, OverflowError):
                first.bind(("127.0.0.1", 0))
                port: int = first.getsockname()[1]
                second.bind(("127.0.0.1", port + 1))
                break
            first.close()
        for reserved in (first, second):
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield port

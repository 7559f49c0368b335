"""A disk of a few megabytes that really can be full: a tmpfs that only a foundry's programs have mounted.

It lies in a mount namespace of its own, which needs no privilege where the kernel lets users have namespaces.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.foundry import Foundry, running_foundry
from tests.support.waiting import wait_until

FILLER: Final = "filler"


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """`inside` is where programs in the namespace find it, `outside` where everybody else does.

    Where the kernel lets nobody have one it is an ordinary folder, which is not `small` and is never filled.
    """

    inside: Path
    outside: Path
    small: bool

    def fill(self, room_bytes: int) -> None:
        """Let something else take all that is free, but for `room_bytes` at the most."""
        with (self.outside / FILLER).open("wb") as filler:
            while (taken := self._free_bytes() - room_bytes) > 0:
                # Whoever else writes meanwhile may be quicker; then less is to be had.
                with suppress(OSError):
                    os.posix_fallocate(filler.fileno(), 0, taken)
                    return

    def _free_bytes(self) -> int:
        there = os.statvfs(self.outside)
        return there.f_bavail * there.f_frsize

    def make_room(self) -> None:
        """Remove what took it."""
        (self.outside / FILLER).unlink()


def mounting(folder: Path, mib: int) -> Sequence[str]:
    """The words before a command that has a disk of `mib` mounted at `folder`, for itself and what it starts."""
    mount = f'mount -t tmpfs -o size={mib}m tmpfs "$1" && shift && exec "$@"'
    # Root mounts as root: in a user namespace of its own it could not go where a database of another user listens.
    alone = "-m" if os.geteuid() == 0 else "-rm"
    return ("unshare", alone, "sh", "-c", mount, "sh", str(folder))


def can_mount(folder: Path) -> bool:
    """Whether this kernel lets this user have such a disk."""
    tried = subprocess.run([*mounting(folder, 1), "true"], check=False, stderr=subprocess.DEVNULL)
    return tried.returncode == 0


@contextmanager
def foundry_with_disk(folder: Path, mib: int) -> Iterator[tuple[Foundry, SmallDisk]]:
    """A foundry whose programs find a disk of so many megabytes at `folder`."""
    small = can_mount(folder)
    with running_foundry(mounting(folder, mib) if small else ()) as foundry:
        outside = Path(f"/proc/{foundry.pid}/root{folder}") if small else folder
        wait_until(lambda: not small or outside.stat().st_dev != folder.stat().st_dev)
        yield foundry, SmallDisk(folder, outside, small)

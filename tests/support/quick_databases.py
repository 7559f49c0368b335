"""PostgreSQL databases by the hundred: where a test's server keeps them, and how one is copied from another."""

import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
"""Where every commit of a test is durable at once, without a disk to wait for: tests end processes, not machines."""
ELSEWHERE: Final = Path("/tmp")


def servers_folder() -> Path:
    """Where servers make their folders: in memory when tests write there, else where a socket's path is short."""
    return MEMORY if Path(tempfile.gettempdir()) == MEMORY else ELSEWHERE


def copying(template: str, name: str) -> str:
    """The statement that makes the database `name` a copy of `template`, which must have nobody in it."""
    # Its files are copied as they are. By default each of their pages would go through the log of a server that
    # nobody ever recovers, which takes several times as long.
    return f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"

"""One night at a time: a file lock on this machine, an advisory lock in the database for all machines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

NIGHT_LOCK: Final = 0x0CA2E
"""Key of PostgreSQL's session advisory lock that a night holds from its first step to its last."""

LOCK_FILE: Final = "night.lock"
_LINGER_MS: Final = 1_500
_LOOK_S: Final = 0.5
"""For how long somebody who looks whether a night runs may be mistaken for one."""


class NightRunning(Exception):
    """Somebody else's night holds the lock."""


@contextmanager
def exclusive(engine: Engine, folder: Path) -> Iterator[None]:
    """Hold both locks, or raise NightRunning. `folder` is the one that all nights' folders lie in."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=_LOOK_S)
    except Timeout as held:
        raise NightRunning(f"{folder / LOCK_FILE} is locked by another process") from held
    try:
        if engine.dialect.name == "postgresql":
            with _session_lock(engine):
                yield
        else:
            yield
    finally:
        lock.release()


def is_running(engine: Engine, folder: Path) -> bool:
    """Whether some process holds the lock of the night at this moment; `folder` as for `exclusive`."""
    if (folder / LOCK_FILE).exists():
        lock = FileLock(folder / LOCK_FILE)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
    if engine.dialect.name != "postgresql":
        return False
    with engine.connect() as conn:
        held = text(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND classid = 0 AND objid = :key"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        )
        return bool(conn.execute(held, {"key": NIGHT_LOCK}).scalar_one())


@contextmanager
def _session_lock(engine: Engine) -> Iterator[None]:
    # The lock lives in a session of its own, outside any transaction, and dies with the connection.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        # A killed night's server process may need a moment to notice that its client is gone.
        conn.execute(text(f"SET lock_timeout = {_LINGER_MS}"))
        try:
            conn.execute(text("SELECT pg_advisory_lock(:key)"), {"key": NIGHT_LOCK})
        except OperationalError as held:
            raise NightRunning("another process holds the database's lock of the night") from held
        conn.execute(text("RESET lock_timeout"))
        try:
            yield
        finally:
            conn.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": NIGHT_LOCK})

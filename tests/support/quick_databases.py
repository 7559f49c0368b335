"""Databases by the hundred: books that many tests begin with are made once, and copied for each."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import URL, Engine, text

from ledger.db import make_engine

Furnish = Callable[[Engine], object]
"""Puts into migrated books what a test begins with."""
Live = Callable[[Engine, Path], object]
"""Does so, and fills a home that goes with them."""

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


class Copies(ABC):
    """Databases of a kind; the homes that go with them are kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @abstractmethod
    def copied(self, name: str, furnish: Furnish) -> AbstractContextManager[str]:
        """The URL of a copy of the books `name`, which are furnished when first asked for; it goes with the block."""

    @contextmanager
    def lived(self, name: str, live: Live, home: Path) -> Iterator[str]:
        """The same of books that have a home, of which `home` becomes a copy."""
        kept = self._folder / name
        with self.copied(name, lambda engine: live(engine, kept)) as url:
            shutil.copytree(kept, home)
            yield url


class SqliteCopies(Copies):
    """Files in a folder, copied from a migrated one."""

    def __init__(self, migrated: Path, folder: Path) -> None:
        super().__init__(folder)
        self._migrated = migrated

    @contextmanager
    def copied(self, name: str, furnish: Furnish) -> Iterator[str]:
        """See `Copies`."""
        template = self._folder / f"{name}.db"
        if not template.exists():
            draft = Path(shutil.copyfile(self._migrated, template.with_suffix(".draft")))
            engine = make_engine(f"sqlite:///{draft}")
            furnish(engine)
            engine.dispose()  # closing the last connection takes the write-ahead log into the file
            draft.rename(template)
        copy = Path(shutil.copyfile(template, self._folder / f"copy-{uuid4().hex}.db"))
        yield f"sqlite:///{copy}"
        for file in self._folder.glob(f"{copy.name}*"):
            file.unlink()


class PostgresCopies(Copies):
    """Databases of a server, copied from a migrated one."""

    def __init__(self, migrated: URL, folder: Path) -> None:
        super().__init__(folder)
        self._migrated = migrated
        self._made: set[str] = set()
        self._left: str | None = None
        # One connection for all copies: a new one for each would cost as much as to copy.
        self._admin = make_engine(self._url("postgres")).execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def copied(self, name: str, furnish: Furnish) -> Iterator[str]:
        """See `Copies`."""
        template = f"template_{name}"
        if name not in self._made:
            self._run(copying(f"{self._migrated.database}", template))
            engine = make_engine(self._url(template))
            furnish(engine)
            engine.dispose()
            self._made.add(name)
        copy = f"copy_{uuid4().hex}"
        self._run(copying(template, copy))
        yield self._url(copy)
        self._leave(copy)

    def _leave(self, copy: str) -> None:
        """Drop the copy that was left before this one: the server would wait a tenth of a second for who leaves now.

        The last one goes with the server.
        """
        before, self._left = self._left, copy
        if before is not None:
            self._run(f"DROP DATABASE {before} WITH (FORCE)")

    def close(self) -> None:
        """Leave the server."""
        self._admin.dispose()

    def _url(self, database: str) -> str:
        return self._migrated.set(database=database).render_as_string()

    def _run(self, statement: str) -> None:
        with self._admin.connect() as conn:
            conn.execute(text(statement))

"""How every command gets at its settings and the books, and how it speaks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console, ConsoleOptions
from rich.text import Text
from sqlalchemy import Engine

from ledger.archive import Archive
from ledger.db import make_engine, migrate

if TYPE_CHECKING:
    from api.settings import Settings

DEMO_MARK = "demo.city"
"""The file by which a home is known to keep a demonstration."""
PIPE_COLUMNS: Final = 100_000
"""So wide that no line of a table has to be broken."""


class Screen(Console):
    """Where commands write: a terminal of its width, or a pipe or file, in which every line is as long as it needs.

    COLUMNS says otherwise, as `watch` does. What is wider than a terminal goes over its edge and is never cut. Words
    are shown as they are: brackets in a reference or a path are no markup. A Text brings its own style.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, **how)

    @property
    def options(self) -> ConsoleOptions:
        """How what is printed is laid out; in lines without an end where nobody's terminal ends them."""
        found = super().options
        if self._width is not None or self.is_terminal or os.environ.get("COLUMNS", "").isdigit():
            return found
        return found.update(width=PIPE_COLUMNS)

    def print(self, *objects: Any, crop: bool = False, **how: Any) -> None:
        """Print as Rich does, but cut no line."""
        super().print(*objects, crop=crop, **how)


console = Screen()
errors = Screen(stderr=True)


class Refused(Exception):
    """The command cannot be done as asked; the message says what was wrong and what to do."""


def settings() -> "Settings":
    """The settings in the environment. Raises Refused for one that cannot be."""
    from pydantic import ValidationError  # a help asks for no setting, and what reads them is slow to load

    from api.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"ONECARD_{where.upper()}: {first['msg']}") from error


def now() -> datetime:
    """This instant: the only clock below the command line."""
    return datetime.now(UTC)


@contextmanager
def books() -> Iterator[Engine]:
    """The books of the settings, made or upgraded, without an HSM."""
    chosen = settings()
    chosen.home.mkdir(parents=True, exist_ok=True)
    engine = make_engine(chosen.database_url())
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


def archive() -> Archive:
    """The ledger's archived months, in the home of the settings."""
    return Archive(settings().city_home().ledger_archive)


def write_text(path: Path, text: str) -> None:
    """Write a file that the user named. Raises Refused where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}; give another path") from error


def fail(message: object) -> typer.Exit:
    """Say on the error stream what was wrong; the exit to raise."""
    errors.print(Text.assemble(("onecard:", "red"), f" {message}"), soft_wrap=True)
    return typer.Exit(1)

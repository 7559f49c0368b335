"""How every command gets at its settings and the books, and how it speaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy import Engine

from ledger.archive import Archive
from ledger.db import make_engine, migrate

if TYPE_CHECKING:
    from api.settings import Settings

DEMO_MARK = "demo.city"
"""The file by which a home is known to keep a demonstration."""

console = Console()
errors = Console(stderr=True)


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
    errors.print(f"[red]onecard:[/red] {escape(str(message))}", highlight=False, soft_wrap=True, markup=True)
    return typer.Exit(1)

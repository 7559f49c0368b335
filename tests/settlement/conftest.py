"""A running HSM's client, a prepared day on either database, and one finished night to read from."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.context import Night
from ledger.db import make_engine
from settlement.night import NightReport, run_night
from tests.settlement.small_day import night_of, prepare
from tests.support.quick_databases import Copies, Live


@dataclass(frozen=True, slots=True)
class PreparedDay:
    """A database with the small day in it, its home folder, and its night."""

    database_url: str
    engine: Engine
    home: Path
    night: Night


@dataclass(frozen=True, slots=True)
class FinishedNight:
    """A small day after its night."""

    engine: Engine
    home: Path
    night: Night
    report: NightReport

    @property
    def out(self) -> Path:
        """What the night handed out."""
        return self.night.folder / "out"


@pytest.fixture(scope="session")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


@pytest.fixture
def day(copies: Copies, hsm: Hsm, tmp_path: Path) -> Iterator[PreparedDay]:
    """The small day before its night."""
    with _copied(copies, "small_day", partial(_prepared, hsm), hsm, tmp_path / "home") as found:
        yield found


@pytest.fixture
def settled(copies: Copies, hsm: Hsm, tmp_path: Path) -> Iterator[PreparedDay]:
    """The small day after its night, which nothing has disturbed."""
    with _copied(copies, "small_night", partial(_slept, hsm), hsm, tmp_path / "home") as found:
        yield found


@contextmanager
def _copied(copies: Copies, name: str, live: Live, hsm: Hsm, home: Path) -> Iterator[PreparedDay]:
    with copies.lived(name, live, home) as url:
        engine = make_engine(url)
        yield PreparedDay(url, engine, home, night_of(home, hsm))
        engine.dispose()


def _prepared(hsm: Hsm, engine: Engine, home: Path) -> None:
    prepare(engine, hsm, home)


def _slept(hsm: Hsm, engine: Engine, home: Path) -> None:
    prepare(engine, hsm, home)
    run_night(engine, night_of(home, hsm))


@pytest.fixture(scope="session")
def finished(
    sqlite_template: Path, hsm: Hsm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FinishedNight]:
    """One uninterrupted night on SQLite; tests read it and leave it as it is."""
    home = tmp_path_factory.mktemp("finished")
    shutil.copyfile(sqlite_template, home / "onecard.db")
    engine = make_engine(f"sqlite:///{home / 'onecard.db'}")
    prepare(engine, hsm, home)
    night = night_of(home, hsm)
    report = run_night(engine, night)
    yield FinishedNight(engine, home, night, report)
    engine.dispose()

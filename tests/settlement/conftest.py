"""A running HSM's client, a prepared day on either database, and one finished night to read from."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.context import Night
from ledger.db import make_engine
from settlement.night import NightReport, run_night
from tests.settlement.small_day import night_of, prepare


@dataclass(frozen=True, slots=True)
class PreparedDay:
    """A database with the small day in it, its home folder, and its night."""

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
def day(engine: Engine, hsm: Hsm, tmp_path: Path) -> PreparedDay:
    home = tmp_path / "home"
    prepare(engine, hsm, home)
    return PreparedDay(engine, home, night_of(home, hsm))


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

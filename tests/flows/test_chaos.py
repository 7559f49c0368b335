"""Chaos: bad lines between all processes, any of them killed at random; nothing is lost, nothing is doubled."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, text

from card.hsm.client import Hsm
from city.processes import RunningHsm
from ledger.db import make_engine
from tests.city.chaos_story import Stage, set_stage, tell_story
from tests.support.foundry import Foundry, running_foundry

SEEDS = range(1, 21)
PROGRAMS_AT_LEAST_CARRIED = 150


@pytest.fixture(scope="session")
def foundry() -> Iterator[Foundry]:
    with running_foundry() as running:
        yield running


@pytest.fixture(scope="session")
def sqlite_stage(
    foundry: Foundry,
    hsm_process: RunningHsm,
    city_hsm: Hsm,
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stage:
    """The town on SQLite; a copy is a copy of its file."""
    folder = tmp_path_factory.mktemp("chaos-sqlite")
    template = folder / "town.db"
    shutil.copyfile(sqlite_template, template)
    engine = make_engine(f"sqlite:///{template}")

    def copied(name: str) -> str:
        copy = folder / f"{name}-{uuid4().hex}.db"
        shutil.copyfile(template, copy)
        return f"sqlite:///{copy}"

    stage = set_stage(foundry, hsm_process, city_hsm, folder / "home", engine, copied)
    engine.dispose()
    return stage


@pytest.fixture(scope="session")
def postgres_stage(
    foundry: Foundry,
    hsm_process: RunningHsm,
    city_hsm: Hsm,
    postgres_template: URL,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stage:
    """The town on PostgreSQL; a copy is made from it as from a template."""
    admin = make_engine(postgres_template.set(database="postgres").render_as_string())

    def copied(name: str, template: str = "town") -> str:
        with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
            conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return postgres_template.set(database=name).render_as_string()

    engine = make_engine(copied("town", str(postgres_template.database)))
    home = tmp_path_factory.mktemp("chaos-postgresql") / "home"
    stage = set_stage(foundry, hsm_process, city_hsm, home, engine, copied)
    engine.dispose()
    admin.dispose()
    return stage


@pytest.fixture
def stage_of(request: pytest.FixtureRequest) -> Callable[[int], Stage]:
    """Every third story is played on PostgreSQL, the others on SQLite."""

    def of(seed: int) -> Stage:
        stage: Stage = request.getfixturevalue("sqlite_stage" if seed % 3 else "postgres_stage")
        return stage

    return of


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nothing_is_doubled(
    seed: int, stage_of: Callable[[int], Stage], tmp_path: Path
) -> None:
    ended = tell_story(stage_of(seed), seed, tmp_path / "story")
    assert ended.differences == [], str(ended)

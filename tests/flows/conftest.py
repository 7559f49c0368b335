"""The stages that stories of chaos are played on: a town on either kind of database, and programs ready to start."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, text

from card.hsm.client import Hsm
from city.processes import RunningHsm
from ledger.db import make_engine
from tests.city import night_stage as evenings
from tests.city.chaos_story import Stage, set_stage
from tests.support.foundry import Foundry
from tests.support.quick_databases import copying
from tests.support.small_disk import foundry_with_disk

DISK_MIB = 48
"""Of the disk that nights of chaos have; one needs some five."""


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

    @contextmanager
    def copied() -> Iterator[str]:
        copy = folder / f"{uuid4().hex}.db"
        shutil.copyfile(template, copy)
        yield f"sqlite:///{copy}"
        for file in folder.glob(f"{copy.name}*"):
            file.unlink()

    stage = set_stage(foundry, hsm_process, city_hsm, folder / "home", engine, copied)
    engine.dispose()  # closing the last connection takes the write-ahead log into the file
    return stage


@pytest.fixture(scope="session")
def postgres_stage(
    foundry: Foundry,
    hsm_process: RunningHsm,
    city_hsm: Hsm,
    postgres_template: URL,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """The town on PostgreSQL; a copy is made from it as from a template."""
    admin = make_engine(postgres_template.set(database="postgres").render_as_string())

    def run(statement: str) -> None:
        with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
            conn.execute(text(statement))

    @contextmanager
    def copied(template: str = "town") -> Iterator[str]:
        name = f"story_{uuid4().hex}"
        run(copying(template, name))
        yield postgres_template.set(database=name).render_as_string()
        run(f"DROP DATABASE {name} WITH (FORCE)")

    run(copying(f"{postgres_template.database}", "town"))
    engine = make_engine(postgres_template.set(database="town").render_as_string())
    home = tmp_path_factory.mktemp("chaos-postgresql") / "home"
    stage = set_stage(foundry, hsm_process, city_hsm, home, engine, copied)
    engine.dispose()
    yield stage
    run("DROP DATABASE town WITH (FORCE)")
    admin.dispose()


@pytest.fixture(scope="session")
def night_stage(
    hsm_process: RunningHsm,
    make_city: evenings.MakeCity,
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[evenings.Stage]:
    """The evening before nights of chaos, with a disk that can be full and a PostgreSQL that can be killed."""
    folder = tmp_path_factory.mktemp("night-chaos")
    with (
        foundry_with_disk(tmp_path_factory.mktemp("small-disk"), DISK_MIB) as (foundry, disk),
        evenings.night_stage(foundry, disk, hsm_process, make_city, sqlite_template, folder) as stage,
    ):
        yield stage

"""What the tests of the API may ask for beside the common fixtures."""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from card.vault import open_vault
from clearing.sectors.utilities.catalogue import register_billers
from ledger.db import make_engine, writing
from tests.api.http_doors import Doors, one_api, open_doors
from tests.api.page_visitor import Visitor, visiting
from tests.support.clearing_day import at
from tests.support.foundry import Foundry
from tests.support.typed_commands import TypedCommands, typed_commands
from tests.support.utility_day import GAS, WATER, near_biller


@pytest.fixture(scope="session")
def onecard(foundry: Foundry) -> Iterator[TypedCommands]:
    """Run one command to its end, in a home that is named."""
    with typed_commands(foundry) as commands:
        yield commands


@pytest.fixture
def doors(engine: Engine, city_hsm: Hsm) -> Iterator[Doors]:
    """The HTTP API on fresh books of either kind of database."""
    vault = open_vault(engine, city_hsm, random=secrets.token_bytes, at=at(0))
    with open_doors(engine, city_hsm, vault, api=one_api()) as opened:
        yield opened


@pytest.fixture(scope="module")
def standing_doors(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, city_hsm: Hsm
) -> Iterator[Doors]:
    """One HTTP API for all tests of a module that leave nothing behind, as the many of bad input do."""
    path = tmp_path_factory.mktemp("standing") / "onecard.db"
    shutil.copyfile(sqlite_template, path)
    engine = make_engine(f"sqlite:///{path}")
    vault = open_vault(engine, city_hsm, random=secrets.token_bytes, at=at(0))
    with open_doors(engine, city_hsm, vault) as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def visitor(doors: Doors, tmp_path: Path) -> Iterator[Visitor]:
    """Somebody at the pages of a city with a top-up channel and two billers."""
    billers = {one.id: near_biller(tmp_path, one) for one in (WATER, GAS)}
    with writing(doors.engine) as conn:
        register_billers(conn, [WATER, GAS], at=at(0))
    doors.institution("BANKAPP", "topups:write")
    connected = replace(doors, deps=replace(doors.deps, peers={"billers": billers}))
    with visiting(connected, tmp_path) as opened:
        yield opened

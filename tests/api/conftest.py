"""What the tests of the API may ask for beside the common fixtures."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from card.vault import open_vault
from ledger.db import make_engine
from tests.api.http_doors import Doors, one_api, open_doors
from tests.support.clearing_day import at


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

"""What the tests of the API may ask for beside the common fixtures."""

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from card.vault import open_vault
from tests.api.http_doors import Doors, open_doors
from tests.support.clearing_day import at


@pytest.fixture
def doors(engine: Engine, city_hsm: Hsm) -> Iterator[Doors]:
    """The HTTP API on fresh books of either kind of database."""
    vault = open_vault(engine, city_hsm, random=secrets.token_bytes, at=at(0))
    with open_doors(engine, city_hsm, vault) as opened:
        yield opened

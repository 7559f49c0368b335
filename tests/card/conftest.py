"""What tests of holders may ask for: a vault whose data keys the real HSM made."""

import os

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from card.vault import Vault, open_vault
from tests.card.people import NOW


@pytest.fixture
def vault(engine: Engine, city_hsm: Hsm) -> Vault:
    """The vault of this database, as a program opens it."""
    return open_vault(engine, city_hsm, random=os.urandom, at=NOW)

"""Who runs the program to its end in the tests of the HSM."""

from collections.abc import Iterator

import pytest

from tests.hsm_sim.machine_room import run_by
from tests.support.foundry import Foundry


@pytest.fixture(scope="session", autouse=True)
def run_in_a_moment(foundry: Foundry) -> Iterator[None]:
    """What is run to its end comes from the foundry; what serves is started as the program that it is."""
    with run_by(foundry):
        yield

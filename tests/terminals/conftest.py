"""A depot in Shenzhen for the tests of terminals: a real HSM behind every SAM, real cards on the chip's side."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from card.hsm.client import Hsm
from city.processes import RunningHsm
from terminals.outbox import Outbox
from tests.terminals.depot import Depot


@pytest.fixture(scope="session")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", "off") as opened:
        yield opened


@pytest.fixture
def depot(hsm: Hsm, hsm_process: RunningHsm, outbox: Outbox) -> Depot:
    return Depot(hsm, bytes.fromhex(hsm_process.transport_key_file.read_text()), outbox)

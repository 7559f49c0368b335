"""`onecard intake` as operations runs it: once, and in rounds until it is told to stop."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from card.hsm.client import Hsm
from clearing.drop_folder import drop_folder
from clearing.wire.names import batch_name
from tests.support.clearing_day import TAP, SmallCity, signed
from tests.support.ledger_cli import ledger_cli


@pytest.fixture
def city(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, database_url: str, hsm_address: str
) -> Iterator[SmallCity]:
    """A city whose home is that of the commands."""
    city = SmallCity(engine, city_hsm, tmp_path / "var")
    city.furnish()
    with ledger_cli(city.home, database_url, hsm_address):
        yield city


def told() -> str:
    ended = CliRunner().invoke(app, ["intake"])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_a_round_takes_what_is_finished_and_says_what_it_did(city: SmallCity) -> None:
    folder = drop_folder(city.inbox, "BUS-1")
    folder.mkdir(parents=True)
    assert "0 files were taken" in told()
    (folder / batch_name("BUS-1", 1)).write_bytes(city.batch("BUS-1", 1, [signed(TAP)]))
    (folder / batch_name("METRO-1", 1)).write_bytes(city.batch("METRO-1", 1, []))
    shown = told()
    assert "BUS-1: BUS-1-00000001.ocb waiting" in shown
    assert "METRO-1-00000001.ocb was turned away, other_operator" in shown and "2 files were taken" in shown
    city.clear()
    assert "0 files were taken" in told()
    assert '"accepted"' in (folder / "acks" / f"{batch_name('BUS-1', 1)}.ack").read_text()


def test_rounds_go_on_past_a_folder_in_trouble_until_the_program_is_told_to_stop(city: SmallCity) -> None:
    broken, folder = (drop_folder(city.inbox, operator) for operator in ("BUS-1", "METRO-1"))
    bank = city.inbox / "bank"
    for one in (broken, folder, bank):
        one.mkdir(parents=True)
    (bank / "no-statement.xml").write_bytes(b"<a/>")
    os.utime(bank / "no-statement.xml", (1, 1))
    (broken / "acks").write_bytes(b"no folder")
    (broken / batch_name("METRO-1", 1)).write_bytes(city.batch("METRO-1", 1, []))
    os.utime(broken / batch_name("METRO-1", 1), (1, 1))
    words = [sys.executable, "-u", "-c", "from api.cli import main; main()", "intake", "--every-s", "0.05"]
    with Popen(words, stdout=PIPE, text=True) as program:
        assert program.stdout is not None
        heard = (line for line in program.stdout)
        assert any("looked through every 0.05 s" in line for line in heard)
        assert any("a folder was left out" in line and "BUS-1" in line for line in heard)
        assert any("no-statement.xml" in line and "root element" in line for line in heard)
        (folder / batch_name("METRO-1", 2)).write_bytes(city.batch("METRO-1", 2, []))
        assert any("METRO-1-00000002.ocb" in line and "waiting" in line for line in heard)
        program.send_signal(signal.SIGTERM)
        assert "Traceback" not in "".join(heard), "and its last words are heard to the end"
    assert program.returncode == 0
    assert (city.inbox / batch_name("METRO-1", 2)).exists()

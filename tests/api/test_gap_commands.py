"""`onecard terminals gaps`, `silent` and `explain` on books of either kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused
from card.hsm.client import Hsm
from settlement.night_lock import exclusive
from tests.support.clearing_day import SmallCity, terminal_no
from tests.support.ledger_cli import ledger_cli
from tests.support.numbered_taps import numbered


@pytest.fixture
def cleared(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, database_url: str, hsm_address: str
) -> Iterator[SmallCity]:
    """A night cleared after a bus that lost two taps, in the environment of the commands."""
    city = SmallCity(engine, city_hsm, tmp_path / "city")
    city.furnish(cards=40)
    city.present("BUS-1", 1, [numbered(number) for number in (1, 4)])
    city.clear()
    with ledger_cli(tmp_path / "var", database_url, hsm_address):
        yield city


def told(*words: str) -> str:
    ended = CliRunner().invoke(app, ["terminals", *words])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_missing_taps_and_silent_terminals_are_listed_as_of_a_day(cleared: SmallCity) -> None:
    shown = told("gaps", "--on", "2018-09-03")
    assert "not presented: 2 taps" in shown
    for cell in ("BUS-1", terminal_no(1), "2018-09-01", "2018-10-01"):
        assert cell in shown
    assert "too late" in told("gaps", "--on", "2018-10-02")
    assert "not presented: 0 taps" in told("gaps", "METRO-1")
    shown = told("silent", "BUS-1", "--on", "2018-09-03")
    assert terminal_no(2) in shown and "never" in shown
    assert terminal_no(1) not in shown and terminal_no(3) not in shown
    assert terminal_no(1) in told("silent", "--on", "2018-09-04")


def test_numbers_are_explained_unless_a_night_runs(cleared: SmallCity, tmp_path: Path) -> None:
    words = ("explain", "BUS-1", terminal_no(1), "2", "3", "--by", "lin", "--why", "torn")
    nights = tmp_path / "var" / "nights"
    with exclusive(cleared.engine, nights):
        ended = CliRunner().invoke(app, ["terminals", *words])
        assert isinstance(ended.exception, Refused) and "a night is running" in str(ended.exception)
    assert "2 numbers of" in told(*words)
    assert "not presented: 0 taps" in told("gaps")
    ended = CliRunner().invoke(app, ["terminals", *words])
    assert isinstance(ended.exception, Refused) and "is missing; `onecard terminals gaps`" in str(
        ended.exception
    )

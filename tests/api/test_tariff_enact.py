"""`onecard tariff enact`: what nights price by changes from a day on, and never for a day that was."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused
from city.home import Home
from city.world import tariffs_of
from tests.support.clearing_day import TARIFF_FILE
from tests.support.fare_examples import FARES
from tests.support.ledger_cli import ledger_cli

ONE, TWO = FARES / "example-city-1.json", FARES / "example-city-2.json"


@pytest.fixture
def home(tmp_path: Path, hsm_address: str) -> Iterator[Home]:
    """The home of the commands, without books."""
    with ledger_cli(tmp_path / "var", f"sqlite:///{tmp_path / 'onecard.db'}", hsm_address):
        yield Home(tmp_path / "var")


def told(*words: str | Path) -> str:
    ended = CliRunner().invoke(app, ["tariff", "enact", *map(str, words)])
    assert ended.exit_code == 0, ended.output
    return ended.output


def refused(*words: str | Path) -> str:
    ended = CliRunner().invoke(app, ["tariff", "enact", *map(str, words)])
    assert isinstance(ended.exception, Refused), ended.output
    return str(ended.exception)


def changed(to: Path, of: Path = ONE, **members: object) -> Path:
    """A tariff's file with other members."""
    to.write_text(json.dumps(json.loads(of.read_text(encoding="utf-8")) | members), encoding="utf-8")
    return to


def in_force(home: Home) -> dict[tuple[str, int], date | None]:
    return {(one.name, one.version): one.valid_to for one in tariffs_of(home)}


def test_tariffs_of_both_formats_are_put_in_force_once(home: Home) -> None:
    assert "holds from 2018-01-01 on" in told(TARIFF_FILE)
    assert "holds from" in told(ONE) and "in force as it was" in told(ONE)
    assert "holds from 2026-07-01 on" in told(TWO)
    assert len(in_force(home)) == 3
    assert {path.read_bytes() for path in home.tariffs.iterdir()} == {
        path.read_bytes() for path in (TARIFF_FILE, ONE, TWO)
    }


def test_a_version_in_force_is_never_another(home: Home, tmp_path: Path) -> None:
    told(ONE)
    before = in_force(home)
    assert "give the file a higher version" in refused(changed(tmp_path / "one.json", caps=[]))
    assert in_force(home) == before


def test_an_older_version_without_an_end_is_ended_only_where_that_is_said(home: Home, tmp_path: Path) -> None:
    told(changed(tmp_path / "one.json", valid_to=None))
    why = refused(TWO)
    assert "end it before 2026-07-01" in why and "--end-older ends the one before" in why
    assert list(in_force(home).values()) == [None]
    assert "ends with 2026-06-30" in told(TWO, "--end-older")
    assert date(2026, 6, 30) in in_force(home).values() and len(in_force(home)) == 2


def test_days_that_are_priced_get_no_other_tariff(home: Home) -> None:
    ended = CliRunner().invoke(app, ["city", "open", "2026-07-02"])
    assert ended.exit_code == 0
    assert "days before 2026-07-02 are priced; let it begin on 2026-07-02 or later" in refused(TWO)
    assert in_force(home) == {}


def test_what_no_night_could_price_by_is_refused_with_its_flaws(home: Home, tmp_path: Path) -> None:
    assert "zone" in refused(changed(tmp_path / "one.json", zone="Asia/Nowhere"))
    (tmp_path / "old.json").write_text('{"name": ""}', encoding="utf-8")
    assert "old.json: " in refused(tmp_path / "old.json")
    assert "cannot be a file's" in refused(changed(tmp_path / "one.json", name="../one"))
    assert in_force(home) == {}

"""`onecard products`: what is offered, sales taken in and taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused
from card.hsm.client import Hsm
from tests.support.clearing_day import SmallCity, card_no
from tests.support.fare_examples import FARES
from tests.support.ledger_cli import ledger_cli

HEADER = "reference,card_no,product,bought_at\n"


@pytest.fixture
def home(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, database_url: str, hsm_address: str
) -> Iterator[Path]:
    """The home of a city with cards, whose tariff sells a day pass."""
    SmallCity(engine, city_hsm, tmp_path / "city").furnish(cards=3)
    tariffs = tmp_path / "var" / "tariffs"
    tariffs.mkdir(parents=True)
    (tariffs / "example-city-1.json").write_bytes((FARES / "example-city-1.json").read_bytes())
    with ledger_cli(tmp_path / "var", database_url, hsm_address):
        yield tmp_path / "var"


def told(*words: str) -> str:
    ended = CliRunner().invoke(app, ["products", *words])
    assert ended.exit_code == 0, ended.output
    return ended.output


def refused(*words: str) -> str:
    ended = CliRunner().invoke(app, ["products", *words])
    assert isinstance(ended.exception, Refused)
    return str(ended.exception)


def test_a_city_lists_what_its_tariffs_sell(home: Path) -> None:
    shown = told("list")
    assert "day pass" in shown and "8.00" in shown and "1 day" in shown
    (home / "tariffs" / "example-city-1.json").unlink()
    assert "No tariff has a product" in told("list")


def test_sales_are_taken_in_once_and_taken_back_with_a_reason(home: Path) -> None:
    file = home / "sales.csv"
    file.write_text(
        HEADER + "".join(f"S{n},{card_no(n)},day pass,2026-03-0{n}T07:40\n" for n in (1, 2)), encoding="utf-8"
    )
    assert "2 sales taken in, 0 known before" in told("take", str(file))
    assert "0 sales taken in, 2 known before" in told("take", str(file))
    assert "2026-03-01 07:40:00" in told("of", card_no(1))
    assert "has bought nothing" in told("of", card_no(3))
    words = ("withdraw", "S1", "--by", "lin", "--why", "wrong card")
    assert f"day pass of card {card_no(1)} is taken back" in told(*words)
    assert "by lin: wrong card" in told("of", card_no(1))
    assert "was taken back by lin" in refused(*words)
    assert "no sale 'S9'" in refused("withdraw", "S9", "--by", "lin", "--why", "wrong card")
    assert "says nothing" in refused("withdraw", "S2", "--by", "lin", "--why", " ")


def test_a_file_with_a_wrong_cell_is_refused_whole(home: Path) -> None:
    file = home / "sales.csv"
    file.write_text(
        HEADER + f"S1,{card_no(1)},day pass,2026-03-01T07:40\nS2,{card_no(2)},year pass,2026-03-01T07:40\n",
        encoding="utf-8",
    )
    assert "sales.csv: row 3 product" in refused("take", str(file))
    assert "has bought nothing" in told("of", card_no(1))
    file.write_text(HEADER + f"S1,{card_no(1)},day pass,2026-03-01T07:40\n", encoding="utf-8")
    told("take", str(file))
    file.write_text(HEADER + f"S1,{card_no(2)},day pass,2026-03-01T07:40\n", encoding="utf-8")
    assert "give it a reference of its own" in refused("take", str(file))
    assert "cannot be read" in refused("take", str(home / "nowhere.csv"))

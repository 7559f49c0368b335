"""`onecard suspense` on books of either kind of database: listed, proposed by one person, decided by another."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused
from card.hsm.client import Hsm
from settlement.night_lock import exclusive
from tests.support.clearing_day import TAP, SmallCity, card_no, signed, terminal_no
from tests.support.ledger_cli import ledger_cli

STRANGE = replace(TAP, terminal=terminal_no(9))


@pytest.fixture
def cleared(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, database_url: str, hsm_address: str
) -> Iterator[SmallCity]:
    """A night cleared after three taps by a terminal that nobody registered, in the environment of the commands."""
    city = SmallCity(engine, city_hsm, tmp_path / "city")
    city.furnish()
    city.present("BUS-1", 1, [signed(replace(STRANGE, card_no=card_no(n))) for n in (1, 2, 3)])
    city.clear()
    with ledger_cli(tmp_path / "var", database_url, hsm_address):
        yield city


def told(*words: str) -> str:
    ended = CliRunner().invoke(app, ["suspense", *words])
    assert ended.exit_code == 0, ended.output
    return ended.output


def refused(*words: str) -> str:
    ended = CliRunner().invoke(app, ["suspense", *words])
    assert isinstance(ended.exception, Refused), ended.output
    return str(ended.exception)


WHY = ("--reason", "the depot has it", "--by", "lin")
GROUP = ("--verdict", "device_unknown", "--presented", "2018-09-01")


def test_what_is_in_suspense_is_listed_by_group_and_tap_by_tap(cleared: SmallCity) -> None:
    shown = told("list")
    assert "device_unknown" in shown and "3 taps of 4.80 yuan are in suspense" in shown
    shown = told("list", "--taps", "--operator", "BUS-1", "--verdict", "device_unknown")
    for place in ("1:0", "1:1", "1:2", card_no(2), terminal_no(9)):
        assert place in shown
    assert "No such tap is" in told("list", "--operator", "METRO-1")
    assert "No such tap is" in told("list", "--min-age", "100000")
    assert "suspends no tap; give one of device_unknown" in refused("list", "--verdict", "accepted")


def test_one_person_proposes_and_another_decides(cleared: SmallCity, tmp_path: Path) -> None:
    assert "No proposal waits" in told("proposals")
    made = told("propose", "pay", "BUS-1", "--tap", "1:0", "--yuan", "1.50", *WHY)
    assert "Proposal 1, pay 1 tap of BUS-1" in made and "1.50 of 1.60 yuan" in made
    assert "Proposal 1" in told("show", "1") and "the depot has it" in told("show", "1")
    assert "1.50" in told("proposals")
    assert "let another person decide it" in refused("approve", "1", "--by", "lin")
    with exclusive(cleared.engine, tmp_path / "var" / "nights"):
        assert "a night is running" in refused("approve", "1", "--by", "chen")
    assert "approved by chen, on 2018-09-02" in told("approve", "1", "--by", "chen")
    assert "2 taps of 3.20 yuan are in suspense" in told("list")
    assert "reject 2 taps of BUS-1" in told("propose", "reject", "BUS-1", *GROUP, *WHY)
    assert "turned down by chen: not yet" in told("refuse", "2", "--by", "chen", "--why", "not yet")
    assert "that stands" in refused("approve", "2", "--by", "wu")
    told("propose", "reject", "BUS-1", *GROUP, *WHY)
    told("approve", "3", "--by", "chen")
    assert "No tap is in suspense" in told("list")
    shown = told("proposals", "--done-too")
    assert "turned down by chen" in shown and "approved by chen" in shown


def row_of(shown: str, place: str) -> list[str]:
    """The cells that are not empty of the one row of a table with a cell that says `place`."""
    rows = [re.split("  +", line.strip()) for line in shown.splitlines()]
    (row,) = [cells for cells in rows if place in cells]
    return row


def test_what_waits_in_a_proposal_is_marked_until_its_proposer_withdraws_it(cleared: SmallCity) -> None:
    assert row_of(told("list"), "device_unknown")[-2:] == ["3", "4.80"]
    told("propose", "pay", "BUS-1", "--tap", "1:1", *WHY)
    assert row_of(told("list"), "device_unknown")[-1] == "1 of 3 taps"
    assert [row_of(told("list", "--taps"), place)[-1] for place in ("1:0", "1:1", "1:2")] == [
        "1.60",
        "1",
        "1.60",
    ]
    assert "lin's to withdraw, and not chen's" in refused("withdraw", "1", "--by", "chen")
    assert "or withdraw it" in refused("refuse", "1", "--by", "lin", "--why", "a slip")
    for _ in range(2):  # said again, it stands
        assert "pay 1 tap of BUS-1" in (gone := told("withdraw", "1", "--by", " Lin"))
        assert "withdrawn by lin" in gone
    assert "proposal 1 is withdrawn by lin; that stands" in refused("approve", "1", "--by", "chen")
    assert "withdrawn by lin" in told("proposals", "--done-too")
    assert row_of(told("list"), "device_unknown")[-1] == "4.80"
    told("propose", "reject", "BUS-1", *GROUP, *WHY)
    assert row_of(told("list"), "device_unknown")[-1] == "2"
    told("approve", "2", "--by", "chen")
    assert "that stands" in refused("withdraw", "2", "--by", "lin")
    assert "no proposal has number 9" in refused("withdraw", "9", "--by", "lin")


def test_a_single_tap_in_suspense_is_counted_as_one(cleared: SmallCity) -> None:
    for place in ("1:0", "1:1"):
        told("propose", "reject", "BUS-1", "--tap", place, *WHY)
    assert row_of(told("list"), "device_unknown")[-1] == "2 of 3 taps"
    for number in ("1", "2"):
        told("approve", number, "--by", "chen")
    assert "1 tap of 1.60 yuan is in suspense" in told("list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --tap, or --verdict and --presented"),
        (("--tap", "1:0", *GROUP), "leave --verdict and --presented out"),
        (("--tap", "first"), "give SEQUENCE:POSITION"),
        (("--tap", "1:9"), "`onecard suspense list` names what is"),
        (("--tap", "1:0", "--yuan", "much"), "give yuan and fen"),
        (("--tap", "1:0", "--yuan", "1.61"), "give at most 1.60"),
    ],
)
def test_a_proposal_that_cannot_be_meant_is_refused_with_the_remedy(
    cleared: SmallCity, words: tuple[str, ...], said: str
) -> None:
    assert said in refused("propose", "pay", "BUS-1", *words, *WHY)
    assert "No proposal waits" in told("proposals")

"""`onecard bank` and `onecard trace` on books of either kind: read, listed, shown, resolved by two people, traced."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused
from card.hsm.client import Hsm
from tests.settlement.small_day import card_no
from tests.support.bank_days import FIRST, METRO, BankedCity, banked_url
from tests.support.ledger_cli import ledger_cli

WHY = ("--reason", "as they wrote", "--by", "lin")


database_url = banked_url


@pytest.fixture
def city(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, database_url: str, hsm_address: str
) -> Iterator[BankedCity]:
    """A city whose payments have left, in the environment of the commands."""
    home = tmp_path / "home"
    with ledger_cli(home, database_url, hsm_address):
        yield BankedCity(engine, city_hsm, home)


def told(*words: object, status: int = 0) -> str:
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == status, ended.output
    return re.sub(r"\s+", " ", ended.output)


def refused(*words: object) -> str:
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(ended.exception, Refused), ended.output
    return str(ended.exception)


def test_before_the_bank_says_anything_every_list_says_so(city: BankedCity) -> None:
    assert "No statement was read yet" in told("bank", "statements")
    assert "No proposal waits" in told("bank", "proposals")
    assert "Nobody has proposed anything" in told("bank", "proposals", "--done-too")
    assert "No statement was read yet" in told("bank", "reserve", "2018-09-01")
    # The nights are long ago: what no statement has spoken of is overdue.
    assert "2 points are open" in told("bank", "list")
    assert "No such point is open; 2 others are" in told("bank", "list", "--kind", "gap")


def test_files_are_read_and_each_says_what_it_did(city: BankedCity) -> None:
    left = city.first_day()
    said = told("bank", "read", *left)
    assert "statuses of OC-20180901-01: 2 moved an instruction" in said
    assert "statement 20180903-00001 closes 2018-09-03" in said and "2 paid, 1 in the books already" in said
    assert "nothing changes" in told("bank", "read", city.home / "bank" / "out")
    assert "Nothing is open with the bank" in told("bank", "list")
    assert "20180903-00001" in told("bank", "statements")
    shown = told("bank", "reserve")
    assert "agree, but for what is listed" in shown and "custodian's balance" in shown
    shown = told("bank", "show", METRO)
    assert f"{METRO} is paid" in shown and "ACSP" in shown and "it pays this" in shown
    assert "Nothing of it is open" in shown


def test_a_file_that_is_none_of_the_banks_is_refused_and_listed_until_explained(
    city: BankedCity, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.xml"
    wrong.write_bytes(b"<a/>")
    said = told("bank", "read", wrong, status=1)
    assert "wrong.xml: refused: the root element '{}a'" in said and "1 file was refused" in said
    assert "the root element" in told("bank", "list", "--kind", "file")
    assert "F1 is refused" in told("bank", "show", "F1")
    assert "no such file" in refused("bank", "read", tmp_path / "none.xml").lower()
    told("bank", "resolve", "F1", "explain", *WHY)
    assert "explained" not in told("bank", "list")
    told("bank", "approve", "1", "--by", "chen")
    assert "F1 is explained" in told("bank", "show", "F1")
    assert "No such point is open" in told("bank", "list", "--kind", "file")


def test_a_rejected_payment_is_paid_again_by_two_people_who_see_the_account_change(city: BankedCity) -> None:
    told("bank", "read", *city.first_day("--reject", f"{METRO}=AC04"))
    shown = told("bank", "list", "--participant", "METRO-1")
    assert "rejected" in shown and "AC04" in shown and "1 point is open" in shown
    assert "onecard bank pay-again" in told("bank", "show", METRO)
    assert "bank_code '12' is not possible" in refused("bank", "pay-again", METRO, *WHY, "--bank-code", "12")
    assert "cannot be decided by 'explain'; give pay_again" in refused(
        "bank", "resolve", METRO, "explain", *WHY
    )
    assert "give `onecard bank pay-again ID`" in refused("bank", "resolve", METRO, "pay_again", *WHY)
    said = told("bank", "pay-again", METRO, *WHY, "--account-no", "755900009999999")
    assert "on account 755900009999999: waits for a second person" in said
    assert "waits in proposal 1; have that one" in refused("bank", "pay-again", METRO, *WHY)
    assert "before 755912345678901" in told("bank", "proposals")
    assert "let another person decide it" in refused("bank", "approve", "1", "--by", "Lin")
    assert "`onecard bank refuse 1`" in refused("bank", "withdraw", "1", "--by", "chen")
    said = told("bank", "approve", "1", "--by", "chen")
    assert "approved by chen" in said and "20180901-METRO-1-02 leaves in" in said
    told("bank", "read", *city.bank(FIRST + timedelta(days=1)))
    assert "Nothing is open" in told("bank", "list")
    shown = told("bank", "show", METRO)
    assert "paid again as 20180901-METRO-1-02" in shown and "pay again, proposed by lin" in shown


def test_a_proposal_is_turned_down_or_withdrawn_and_its_point_stays_open(city: BankedCity) -> None:
    told("bank", "read", *city.first_day("--short", f"{METRO}=1"))
    (line,) = city.open()
    for refusal, word in (
        (("resolve", line, "book", "--to", "purse:1"), "cannot be booked to 'purse:1'"),
        (("resolve", line, "book", "--to", "agent:NOBODY"), "cannot be booked to 'agent:NOBODY'"),
        (("resolve", line, "offset", "--with", "S9:9"), "S9:9 does not undo"),
        (("resolve", "S9:9", "settle"), "nothing is open under 'S9:9'"),
    ):
        assert word in refused("bank", *refusal, *WHY)
    assert "a reason of 0 characters" in refused(
        "bank", "resolve", line, "settle", "--reason", " ", "--by", "lin"
    )
    told("bank", "resolve", line, "settle", *WHY)
    assert "turned down by chen: not yet" in told("bank", "refuse", "1", "--by", "chen", "--why", "not yet")
    told("bank", "resolve", line, "settle", *WHY)
    assert "withdrawn by lin" in told("bank", "withdraw", "2", "--by", "lin")
    assert "that stands" in refused("bank", "approve", "2", "--by", "chen")
    assert line in city.open() and "waits for nobody" not in told("bank", "list")
    assert "turned down by chen" in told("bank", "proposals", "--done-too")
    assert "nothing is known under 'S9'" in refused("bank", "show", "S9")


def test_one_tap_is_traced_to_the_line_that_paid_it(city: BankedCity) -> None:
    before = told("trace", "METRO-1", "1:1")
    assert "SHA-256" in before and "entry net:2018-09-01:METRO-1" in before and METRO in before
    assert "it pays this" not in before
    told("bank", "read", *city.first_day())
    shown = told("trace", "METRO-1", "1:1")
    assert "entry batch:METRO-1:1" in shown and "from purse:" in shown
    assert "statement 20180903-00001, line" in shown and "it pays this" in shown
    assert told("trace", card_no(1), "2") == shown
    assert "suspended: 0.00 yuan" in told("trace", "BUS-1", "1:2")
    assert "no tap 9:9 of BUS-1 was presented" in refused("trace", "BUS-1", "9:9")
    assert "is no place of a tap" in refused("trace", "BUS-1", "nine")
    assert "is no counter of a card" in refused("trace", card_no(1), "1:1")


def test_the_folder_is_emptied_listed_and_retried(city: BankedCity, tmp_path: Path) -> None:
    folder = city.home / "inbox" / "bank"
    assert "No file was there to take" in told("bank", "take")
    assert f"none lies in {folder}" in told("bank", "files")
    for file in city.first_day():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "wrong.xml").write_bytes(b"<a/>")
    said = told("bank", "take")
    assert "2 moved an instruction" in said and "2 paid" in said and "wrong.xml" not in said
    assert "wrong.xml" in (listed := told("bank", "files")) and "taken when it can be read" in listed
    os.utime(folder / "wrong.xml", (1, 1))
    assert "wrong.xml: refused: the root element" in told("bank", "take", status=1)
    assert "refused" in (listed := told("bank", "files")) and "F3" in listed and "F1" not in listed
    assert "F1" in told("bank", "files", "--all")
    assert "wrong.xml: refused" in told("bank", "retry", status=1)
    assert "was taken on" in refused("bank", "retry", "F1")
    assert "no file has number F9" in refused("bank", "retry", "F9")
    assert "'x' is no file's number" in refused("bank", "retry", "x")


def test_a_folder_that_the_settings_name_is_used_and_told_of_where_it_is_not_there(
    city: BankedCity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "share"
    monkeypatch.setenv("ONECARD_BANK_FOLDER", str(share))
    said = told("bank", "take", status=1)
    assert f"{share} cannot be emptied" in said and "put right the folder" in said
    share.mkdir()
    statement = city.first_day()[-1]
    (share / "statement.xml").write_bytes(statement.read_bytes())
    assert "statement.xml: statement 20180903-00001 closes" in told("intake")
    assert [path.name for path in (share / "taken").iterdir()] == ["F1-statement.xml"]
    assert "No file of the bank's is refused" in told("bank", "files")

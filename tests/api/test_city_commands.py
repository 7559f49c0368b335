"""`onecard city` on books of either kind of database: a city is set up, and changed, without a line of code."""

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused
from city.registers.device_rows import COLUMNS
from city.registers.file import read_city_file
from clearing.sectors.healthcare.cover_file import CoverLine, write_cover_file
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.socialsecurity.schedule import parse_schedule
from clearing.sectors.socialsecurity.sheet import Flawed
from tests.support.changed_json import changed_json
from tests.support.ledger_cli import ledger_cli
from tests.support.sector_city import SCHEDULE, identity

BANK = {"bank_code": "102584000013", "bank_name": "ICBC"}
TERMS = {"participant": "BUS-1", "fee_bp": 60, "cycle": "T+1", "valid_from": "2026-12-01"}
CITY = {
    "participants": [
        {"id": name, "name": name.title(), "account_no": f"40000{place}", **BANK}
        for place, name in enumerate(("SCHEME", "BUS-1", "GAS-1"))
    ],
    "agreements": [TERMS],
    "billers": [{"id": "GAS-1", "name": "Gas", "kind": "gas"}],
    "agents": ["COUNTER-1"],
    "bank_years": [{"year": 2040, "holidays": ["2040-01-02"]}],
}
DEVICES = (
    f"{','.join(COLUMNS)}\n0000000A0001,BUS-1,2026-03-01,,2000\n0000000A0002,BUS-1,2026-03-01T04:00+08:00,,\n"
)
ACCOUNT = ("--account-no", "777", "--bank-code", "308584000013", "--bank-name", "CMB", "--reason", "a letter")


@pytest.fixture
def home(tmp_path: Path, database_url: str, hsm_address: str) -> Iterator[Path]:
    """The environment of the commands, with a city file and a file of devices at hand."""
    (tmp_path / "city.json").write_text(json.dumps(CITY), encoding="utf-8")
    (tmp_path / "devices.csv").write_text(DEVICES, encoding="utf-8")
    with ledger_cli(tmp_path / "var", database_url, hsm_address):
        yield tmp_path


def told(*words: str | Path) -> str:
    ended = CliRunner().invoke(app, ["city", *map(str, words)])
    assert ended.exit_code == 0, ended.output
    return ended.output


def refused(*words: str | Path) -> tuple[str, str]:
    """What the command was refused with, and what it had said before."""
    ended = CliRunner().invoke(app, ["city", *map(str, words)])
    assert isinstance(ended.exception, Refused), ended.output
    return str(ended.exception), ended.output


def cells(shown: str) -> set[tuple[str, ...]]:
    """The rows of a table, by their cells that are not empty."""
    _, below = re.split("─+\n", shown)
    return {tuple(re.split("  +", line)) for line in below.splitlines()}


def test_a_city_is_entered_from_files_shown_and_entered_elsewhere(home: Path) -> None:
    files = home / "city.json", home / "devices.csv"
    dry = told("apply", *files, "--dry-run")
    assert "nothing is kept" in dry and ("city.json", "participants", "3", "3") in cells(dry)
    assert "There are no participants" in told("show", "participants")
    assert ("devices.csv", "devices", "2", "2") in cells(told("apply", *files))
    assert {row[3] for row in cells(told("apply", *files))} == {"0"}
    assert ("agents", "1", "who takes money for us: counters, payment channels") in cells(told("show"))
    assert ("0000000A0002", "BUS-1", "2026-03-01 04:00") in cells(told("show", "devices"))
    assert ("2040", "2040-01-02") in cells(told("show", "bank_years"))
    assert "COUNTER-1" in told("show", "agents")
    (home / "again.json").write_text(told("show", "--json"), encoding="utf-8")
    assert {row[3] for row in cells(told("apply", home / "again.json"))} == {"0"}
    only = read_city_file(told("show", "devices", "--json"))
    assert only == read_city_file(json.dumps({"devices": json.loads(told("show", "--json"))["devices"]}))


def test_files_with_flaws_enter_nothing_and_every_flaw_is_named(home: Path) -> None:
    told("apply", home / "city.json")
    (home / "other.json").write_text(
        json.dumps({"agents": ["B"], "agreements": [TERMS | {"fee_bp": 70}]}),
        encoding="utf-8",
    )
    why, said = refused("apply", home / "devices.csv", home / "other.json")
    assert why == f"{home / 'other.json'} has a flaw; nothing was entered"
    assert (
        "agreements.0: agreement of BUS-1 is registered otherwise: fee_bp is 60, not 70; end the one" in said
    )
    assert "There are no devices" in told("show", "devices") and "B" not in told("show", "agents").split()
    (home / "rows.csv").write_text(DEVICES + "x,BUS-1,2026-03-01,,\n" * 60, encoding="utf-8")
    why, said = refused("apply", home / "rows.csv")
    assert "60 flaws" in why and "line 4: terminal 'x' is not 12 hex digits" in said and "and 10 more" in said
    (home / "gbk.json").write_bytes('{"agents": ["中国"]}'.encode("gbk"))
    assert "is not text in UTF-8" in refused("apply", home / "gbk.json")[0]


def test_the_schema_says_every_register_and_what_it_is_for(home: Path) -> None:
    schema = json.loads(told("schema"))
    assert set(schema["properties"]) == set(json.loads(told("show", "--json")))
    assert all(one["description"] for one in schema["properties"].values())
    assert schema["additionalProperties"] is False


def test_the_first_business_day_is_opened_once(home: Path) -> None:
    assert "Business day 2026-12-01 is open; " in told("open", "2026-12-01")
    assert "is open already" in told("open", "2026-12-01")
    assert "its night opens the next one" in refused("open", "2026-12-02")[0]


def test_a_device_is_withdrawn_and_an_agreement_ended_before_another_begins(home: Path) -> None:
    told("apply", home / "city.json", home / "devices.csv")
    assert "give a later instant" in refused("retire", "0000000A0001", "BUS-1", "--at", "2026-02-01")[0]
    assert "ends at 2026-03-05 00:00" in told("retire", "0000000A0001", "BUS-1", "--at", "2026-03-05")
    assert "has no device 0000000A0001 in use" in refused("retire", "0000000A0001", "BUS-1")[0]
    assert "no agreement on 2026-11-30" in refused("end", "BUS-1", "--on", "2026-11-30")[0]
    assert "ends with 2026-12-31" in told("end", "BUS-1", "--on", "2026-12-31")
    terms = TERMS | {"fee_bp": 70, "cycle": "T+0", "valid_from": "2027-01-01"}
    (home / "terms.json").write_text(json.dumps({"agreements": [terms]}), encoding="utf-8")
    told("apply", home / "terms.json")
    rows = cells(told("show", "agreements"))
    assert ("BUS-1", "60", "2026-12-01", "2026-12-31", "T+1", "0") in rows
    assert ("BUS-1", "70", "2027-01-01", "T+0", "0") in rows


def test_a_bank_account_is_changed_by_two_people(home: Path) -> None:
    told("apply", home / "city.json")
    assert "No bank account waits" in told("proposals")
    assert "waits for a second person" in told("account", "BUS-1", *ACCOUNT, "--by", "lin")
    assert "change 1 of BUS-1 waits" in refused("account", "BUS-1", *ACCOUNT, "--by", "wang")[0]
    assert "proposal 1 is lin's own" in refused("approve", "1", "--by", "lin")[0]
    waiting = told("proposals")
    assert (
        "BUS-1 paid on 777 at CMB (308584000013) and not on 400001 at ICBC" in waiting
        and "a letter" in waiting
    )
    assert "approved by wang" in told("approve", "1", "--by", "wang")
    assert ("BUS-1", "Bus-1", "777", "308584000013", "CMB") in cells(told("show", "participants"))
    back = ("--account-no", "400001", *ACCOUNT[2:])
    told("account", "BUS-1", *back, "--by", "wang")
    assert "turned down by lin: asked there" in told("refuse", "2", "--by", "lin", "--why", "asked there")
    told("account", "BUS-1", *back, "--by", "wang")
    assert "withdrawn by wang" in told("withdraw", "3", "--by", "wang")
    assert "No bank account waits" in told("proposals") and "Change 2" in told("proposals", "--done-too")


def test_an_agencys_terms_are_entered_once(home: Path) -> None:
    schedule = SCHEDULE.read_text(encoding="utf-8")
    brackets = parse_schedule(schedule)
    assert not isinstance(brackets, Flawed)
    many = len(brackets)
    assert f"{many} of {many} brackets are new" in told("schedule", SCHEDULE)
    assert f"0 of {many} brackets are new" in told("schedule", SCHEDULE)
    (home / "flawed.json").write_text(changed_json(schedule, "year", to="x"), encoding="utf-8")
    assert "year" in refused("schedule", home / "flawed.json")[0]
    (home / "other.json").write_text(
        changed_json(schedule, "brackets", 0, "amount_fen", to=1), encoding="utf-8"
    )
    assert "is already Bracket(" in refused("schedule", home / "other.json")[0]


def test_an_authoritys_list_names_who_is_not_enrolled_and_every_flaw(home: Path) -> None:
    number = identity(7)
    line = CoverLine(3, number, Category.RESIDENT, date(2026, 1, 1))
    (home / "list.csv").write_bytes(write_cover_file([line]))
    shown = told("covers", home / "list.csv")
    assert (
        "lines: 1; 0 periods begin, 0 end" in shown and "is not enrolled here; bring the list again" in shown
    )
    assert number[8:14] not in shown
    (home / "list.csv").write_bytes(write_cover_file([line]).replace(b"resident", b"student"))
    assert (
        "category: 'student' is not possible; give one of employee" in refused("covers", home / "list.csv")[0]
    )

"""`onecard centres`: centres and their answers registered, listed and ended."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused
from card.hsm.client import Hsm
from clearing.interop.tables import centre_file, centre_odd_line
from ledger.db import reading, writing
from settlement.agreements import agreements_on
from settlement.participants import participants_of
from tests.support.clearing_day import DAY, ISSUER, SmallCity, at
from tests.support.ledger_cli import ledger_cli

KUNMING = (
    "add", "KUNMING", "--name", "Kunming Clearing", "--account-no", "871900000000001", "--bank-code",
    "102731000010", "--bank-name", "ICBC Kunming", "--from", "2018-01-01", "--issuer", "02021000", "--most", "50",
)  # fmt: skip


@pytest.fixture
def home(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, database_url: str, hsm_address: str
) -> Iterator[Path]:
    """The home of a city with cards."""
    SmallCity(engine, city_hsm, tmp_path / "city").furnish(cards=1)
    with ledger_cli(tmp_path / "var", database_url, hsm_address):
        yield tmp_path / "var"


def told(*words: str) -> str:
    ended = CliRunner().invoke(app, ["centres", *words])
    assert ended.exit_code == 0, ended.output
    return ended.output


def refused(*words: str) -> str:
    ended = CliRunner().invoke(app, ["centres", *words])
    assert isinstance(ended.exception, Refused), ended.output
    return str(ended.exception)


def test_a_centre_is_added_with_the_account_it_is_paid_on(home: Path, engine: Engine) -> None:
    assert "No centre is registered" in told("list")
    assert "KUNMING is registered" in told(*KUNMING)
    assert "KUNMING is as it was" in told(*KUNMING)
    shown = told("list")
    assert all(word in shown for word in ("Kunming Clearing", "02021000", "2018-01-01", "50.00"))
    with reading(engine) as conn:
        assert participants_of(conn)["KUNMING"].account_no == "871900000000001"
        assert agreements_on(conn, date(2018, 9, 1))["KUNMING"].fee_bp == 0


def test_what_the_register_does_not_take_leaves_nothing_behind(home: Path, engine: Engine) -> None:
    assert "ours" in refused(*KUNMING, "--issuer", ISSUER)
    assert "no amount" in refused(*KUNMING, "--most", "much")
    assert "CNAPS" in refused(*KUNMING, "--bank-code", "1")
    with reading(engine) as conn:
        assert "KUNMING" not in participants_of(conn)
    assert "No centre is registered" in told("list")


def test_issuers_come_to_a_centre_and_leave_it_by_day(home: Path) -> None:
    told(*KUNMING)
    assert "answers for cards of 03031000" in told("answers", "KUNMING", "03031000", "--from", "2018-06-01")
    assert "no longer answers" in told("end", "KUNMING", "--issuer", "03031000", "--on", "2018-07-01")
    assert "does not answer" in refused("end", "KUNMING", "--issuer", "03031000", "--on", "2018-08-01")
    assert "not registered" in refused("answers", "DALI", "04041000", "--from", "2018-06-01")
    assert "is ended from 2018-09-01" in told("end", "KUNMING", "--on", "2018-09-01")
    assert told("list").count("2018-09-01") == 2


def test_what_is_open_with_a_centre_is_listed_and_lines_are_settled_with_why(
    home: Path, engine: Engine
) -> None:
    told(*KUNMING)
    assert "left to take" in told("files") and "fits its tap" in told("lines")
    with writing(engine) as conn:
        conn.execute(
            insert(centre_file).values(
                centre="KUNMING", kind="presented", number=1, digest="0" * 64, business_date=DAY, made_at=at(20),
                record_count=1, amount_fen=160, registered_on=DAY, attempts=2, last_word="no answer: [gone]",
            )
        )  # fmt: skip
        conn.execute(
            insert(centre_odd_line).values(
                centre="KUNMING", result=4, line=2, number=9, place=0, amount_fen=160, code=0, why="tap_unknown",
                found_on=DAY,
            )
        )  # fmt: skip
    shown = told("files")
    assert all(
        word in shown for word in ("KUNMING-00000001.ocp", "not delivered", "1.60", "no answer: [gone]")
    )
    shown = told("lines", "KUNMING")
    assert "KUNMING-00000004.ocr" in shown and "tap_unknown" in shown
    assert "no odd line 3" in refused("settle", "KUNMING", "4", "3", "--by", "li", "--why", "a mistake")
    assert "says nothing" in refused("settle", "KUNMING", "4", "2", "--by", "li", "--why", " ")
    assert "is settled" in told("settle", "KUNMING", "4", "2", "--by", "li", "--why", "sent by mistake")
    assert "fits its tap, or is settled" in told("lines")

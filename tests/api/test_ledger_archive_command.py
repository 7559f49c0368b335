"""Months archived from the command line, on both kinds of database, signed by a real HSM."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from tests.ledger.sealed_books import book, load, open_books, ride, seal_until
from tests.support.ledger_cli import LedgerCli, ledger_cli

FIRST, LAST = date(2018, 8, 31), date(2018, 9, 1)


@pytest.fixture
def cli(
    engine: Engine, tmp_path: Path, database_url: str, hsm_address: str, city_hsm: Hsm
) -> Iterator[LedgerCli]:
    """Commands on books of which August is over."""
    open_books(engine, FIRST)
    book(engine, load(FIRST, "1", 5000), ride(FIRST, "batch:1", ("1", 205), ("1", 315)))
    seal_until(engine, FIRST, FIRST, city_hsm.sign)
    book(engine, ride(LAST, "batch:2", ("1", 50)))
    with ledger_cli(tmp_path / "var", database_url, hsm_address) as commands:
        yield commands


def test_a_month_goes_into_the_archive_and_every_command_still_finds_it(
    cli: LedgerCli, city_hsm: Hsm, tmp_path: Path
) -> None:
    file = cli.home / "ledger-archive" / "lines-2018-08.parquet"
    before = {
        words: cli(*words).output for words in (("account", "purse:1"), ("export", "--format", "hledger"))
    }
    assert f"3 lines of 2018-08 archived in {file}" in cli("archive", "2018-08").text
    assert f"2018-08 was archived before, in {file}; nothing changed." in cli("archive", "2018-08").text
    assert {words: cli(*words).output for words in before} == before
    assert "every signature holds" in cli("verify").text
    proof = tmp_path / "proof.json"
    cli("prove", "batch:1", "--out", proof)
    key = city_hsm.public_key()[1].hex()
    assert "The proof holds." in cli("verify-proof", proof, "--public-key", key).text
    file.write_bytes(file.read_bytes() + b"\n")
    told = cli("verify")
    assert "was changed: its SHA-256 is" in told.text and "findings: 1" in told.refused


def test_a_month_that_cannot_be_archived_yet_is_told_why(cli: LedgerCli) -> None:
    assert "2018-09 is not over" in cli("archive", "2018-09").refused
    assert not (cli.home / "ledger-archive").exists()

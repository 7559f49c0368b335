"""Opening balances from the command line, on both kinds of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger.balances import balances
from ledger.db import reading
from tests.ledger.sealed_books import FIRST, open_books
from tests.support.ledger_cli import LedgerCli, ledger_cli


@pytest.fixture
def cli(engine: Engine, tmp_path: Path, database_url: str, hsm_address: str) -> Iterator[LedgerCli]:
    open_books(engine)
    with ledger_cli(tmp_path / "var", database_url, hsm_address) as commands:
        yield commands


def test_a_file_of_balances_is_booked_once(cli: LedgerCli, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "opening.csv"
    file.write_text("code,balance_yuan\nbank:reserve,100\npurse:1,60.5\n")
    words = ("import-opening", file, "--date", FIRST)
    assert cli(*words).text.strip() == "opening:2018-09-01 booked: 2 accounts against equity:opening"
    assert "was booked before with these balances; nothing changed." in cli(*words).text
    file.write_text("code,balance_yuan\nbank:reserve,100\npurse:1,60.6\n")
    assert "entry opening:2018-09-01 is already" in cli(*words).refused
    with reading(engine) as conn:
        found = {one.code: one.balance_fen for one in balances(conn) if one.debits_fen or one.credits_fen}
    assert found == {"bank:reserve": 10_000, "purse:1": 6_050, "equity:opening": 3_950}


def test_every_flaw_of_a_file_is_printed_and_nothing_booked(
    cli: LedgerCli, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "opening.csv"
    file.write_text("code,balance_yuan\npurse:1,-1\n[red]x,2\npurse:2,3\n")
    told = cli("import-opening", file, "--date", FIRST)
    assert "row 2, balance_yuan '-1.00': the account's limit is no_debit_balance" in told.text
    assert "row 3, code '[red]x': start it with one of agent" in told.text
    assert "nothing was booked; put right what is listed, 2 in all" in told.refused
    assert "nowhere.csv cannot be read" in cli("import-opening", "nowhere.csv", "--date", FIRST).refused
    with reading(engine) as conn:
        assert not any(one.debits_fen or one.credits_fen for one in balances(conn))

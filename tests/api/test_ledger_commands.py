"""Balances along the hierarchy, at any date and instant, from the command line on both kinds of database."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger.balances import balance_on, roll_up
from ledger.db import reading
from tests.ledger.archived_books import tamper
from tests.ledger.sealed_books import book, load, open_books, ride, seal_day
from tests.support.ledger_cli import LedgerCli, ledger_cli

FIRST, SECOND = date(2018, 9, 1), date(2018, 9, 2)


@pytest.fixture
def cli(engine: Engine, tmp_path: Path, database_url: str, hsm_address: str) -> Iterator[LedgerCli]:
    """Commands on books of a closed day and an open one."""
    open_books(engine)
    book(engine, load(FIRST, "1", 5000), load(FIRST, "2", 3000), ride(FIRST, "batch:1", ("1", 205)))
    seal_day(engine, FIRST)
    book(engine, ride(SECOND, "batch:2", ("1", 100), ("2", 50)), load(SECOND, "3", 1))
    with ledger_cli(tmp_path / "var", database_url, hsm_address) as commands:
        yield commands


def test_the_trial_balance_is_that_of_any_date(cli: LedgerCli) -> None:
    told = cli("trial-balance")
    assert "clearing liability 0.00 3.55 3.55" in told.text
    assert "income:fee income 0.00 0.00 0.00" in told.text
    assert "Difference: 0.00 yuan" in told.text
    told = cli("trial-balance", "--on", FIRST)
    assert "Trial balance at the end of 2018-09-01, yuan" in told.text
    assert "clearing liability 0.00 2.05 2.05" in told.text


@pytest.mark.parametrize("on", [None, FIRST, SECOND])
@pytest.mark.parametrize(
    ("under", "depth"), [("purse", None), ("", 1), ("", 2), ("purse:1", 1), ("clear", 3)]
)
def test_rows_roll_up_to_any_depth_as_json(
    cli: LedgerCli, engine: Engine, on: date | None, under: str, depth: int | None
) -> None:
    words = [*(("--on", on) if on else ()), *(("--depth", depth) if depth else ())]
    found = json.loads(cli("trial-balance", "--json", "--under", under, *words).output)
    with reading(engine) as conn:
        rows = roll_up(conn, under, depth=depth or 9, on=on)
    assert [tuple(row.values()) for row in found["rows"]] == [
        (row.code, row.kind.value, row.debits_fen, row.credits_fen, row.balance_fen) for row in rows
    ]
    assert found["difference_fen"] == sum(row.net_fen for row in rows)
    assert (found["on"], found["under"]) == (on.isoformat() if on else None, under)
    assert rows and (under or found["difference_fen"] == 0)


def test_a_date_in_the_past_rolls_up_to_the_balances_of_that_date(cli: LedgerCli, engine: Engine) -> None:
    with reading(engine) as conn:
        for day in (FIRST, SECOND):
            for row in roll_up(conn, depth=9, on=day):
                assert row == balance_on(conn, row.code, day)


def test_rows_under_a_prefix_are_not_said_to_differ(cli: LedgerCli) -> None:
    assert (
        "Debits less credits under clearing: -3.55 yuan" in cli("trial-balance", "--under", "clearing").text
    )
    assert "No account starts with nothing." in cli("trial-balance", "--under", "nothing").text


def test_one_account_is_shown_now_on_a_date_and_at_an_instant(cli: LedgerCli) -> None:
    told = cli("account", "purse:1", "--on", FIRST, "--at", "2018-09-01T12:00:00", "--history", "2")
    assert "purse:1 now: 46.95 yuan (debits 3.05, credits 50.00)" in told.text
    assert "purse:1 at the end of 2018-09-01: 47.95 yuan (debits 2.05, credits 50.00)" in told.text
    # The batch was booked at five minutes past one in the afternoon, city time, together with the loads.
    assert "purse:1 at 2018-09-01 12:00:00: 0.00 yuan" in told.text
    assert "batch:2" in told.text and "batch:1" in told.text and "load:1" not in told.text
    assert "batch:2" not in cli("account", "purse:1", "--history", "0").text


def test_an_account_that_is_not_there_is_said_so(cli: LedgerCli) -> None:
    assert cli("account", "purse:nobody").refused == "no account purse:nobody; open it first"


def test_a_check_names_what_it_found_in_the_books_own_words(cli: LedgerCli, engine: Engine) -> None:
    """A reference is free text: what looks like markup in it is shown, and ends no check."""
    book(engine, ride(SECOND, "batch[/red]3", ("2", 7)))
    tamper(engine, "UPDATE ledger_line SET amount_fen = 8 WHERE item = 'batch[/red]3'")
    told = cli("check")
    assert "entry 'batch[/red]3' was changed after it was booked" in told.text
    assert "nothing was changed: find their cause" in told.refused

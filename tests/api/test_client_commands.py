"""Clients of the API from the command line: let in with a secret shown once, listed, shut out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.client_commands import demo_clients
from api.doors import DEMO_MARK, Refused
from api.groups.registers import clients
from api.http.clients import authenticate
from ledger.db import reading
from tests.support.ledger_cli import ledger_cli

SHOP = ("--participant", "SHOP-1", "--scope", "payments:read", "--scope", "payments:write")


@pytest.fixture
def home(engine: Engine, tmp_path: Path, database_url: str, hsm_address: str) -> Iterator[Path]:
    """A home whose books are ready, in the environment of the commands."""
    home = tmp_path / "var"
    with ledger_cli(home, database_url, hsm_address):
        yield home


def told(*words: str) -> str:
    """What a command prints; Refused where it refuses."""
    ended = CliRunner().invoke(clients, words)
    if isinstance(ended.exception, Refused):
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_a_client_that_is_added_gets_in_with_the_secret_that_was_shown(home: Path, engine: Engine) -> None:
    shown = told("add", "till-1", *SHOP)
    assert "Client till-1 of SHOP-1 may payments:read payments:write" in shown
    secret = shown.split("secret: ")[1].strip()
    with reading(engine) as conn:
        found = authenticate(conn, "till-1", secret)
        assert found is not None and found.participant == "SHOP-1"
        assert authenticate(conn, "till-1", secret[:-1]) is None
    assert "till-1" in told("list") and secret not in told("list")
    assert told("disable", "till-1").strip() == "Client till-1 is shut out"
    with reading(engine) as conn:
        assert authenticate(conn, "till-1", secret) is None


def test_a_client_that_cannot_be_is_refused_with_what_to_do(home: Path) -> None:
    told("add", "till-1", *SHOP)
    for words, why in (
        (("add", "till-1", *SHOP), "client till-1 is there already; disable it"),
        (("add", "till 2", *SHOP), "client_id 'till 2' is not possible; use 1 to 32"),
        (("add", "till-2", "--participant", "shop", "--scope", "payments:read"), "participant 'shop' is not"),
        (("add", "till-2", "--participant", "SHOP-1", "--scope", "all"), "scopes all are not known; choose"),
        (("disable", "till-9"), "no client till-9; register it first"),
    ):
        with pytest.raises(Refused, match=why):
            told(*words)
    assert "till-2" not in told("list")


def test_production_takes_nothing_of_the_demonstration(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECARD_PRODUCTION", "1")
    with pytest.raises(Refused, match="is one of the demonstration's; give the program another name"):
        told("add", demo_clients()[0], *SHOP)
    assert "may payments:read" in told("add", "till-1", *SHOP)
    (home / DEMO_MARK).write_text("")
    with pytest.raises(Refused, match="keeps a demonstration; set ONECARD_HOME"):
        told("add", "till-2", *SHOP)

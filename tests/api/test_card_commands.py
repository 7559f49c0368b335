"""`onecard cards`, `onecard counter` and `onecard loads`, as a clerk uses them on a city's own home."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.doors import Refused, now
from city.home import CITY_ZONE, Home
from city.processes import RunningHsm, running_hsm, running_program
from clearing.online.wallet_load import LoadReturn, return_loads
from ledger.day import begin_close, current_day, finish_close, open_day
from ledger.db import make_engine, writing
from tests.support.rotation import rotate

runner = CliRunner()
FIRST = "03104870000000000100"
SECOND, THIRD = (f"{int(FIRST) + step:020d}" for step in (1, 2))


def run(*words: str) -> str:
    ended = runner.invoke(app, list(words))
    if isinstance(ended.exception, Refused):
        raise ended.exception
    assert ended.exit_code in (0, 1), ended.output
    return ended.output


@pytest.fixture
def home(
    tmp_path: Path,
    sqlite_template: Path,
    hsm_process: RunningHsm,
    hsm_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Home]:
    """A city's home with a day open, the running HSM, and its transport key where the factory looks for it."""
    place = Home(tmp_path)
    place.hsm.mkdir(parents=True)
    (place.hsm / "transport.key").write_text(hsm_process.transport_key_file.read_text())
    for name, value in (("HOME", str(tmp_path)), ("HSM", hsm_address)):
        monkeypatch.setenv(f"ONECARD_{name}", value)
    monkeypatch.setenv("COLUMNS", "250")
    shutil.copyfile(sqlite_template, tmp_path / "onecard.db")
    engine = make_engine(place.database_url)
    with writing(engine) as conn:
        open_day(conn, now().astimezone(CITY_ZONE).date(), at=now())
    engine.dispose()
    yield place


def in_hand(count: int = 2) -> None:
    run("cards", "receive", "2026-03", FIRST, "5", "--by", "ann")
    run("cards", "personalise", str(count), "--by", "ann")
    run("cards", "issue", FIRST, "--by", "ann", "--deposit-fen", "2000", "--fee-fen", "500")


def days_pass(home: Home, days: int) -> None:
    engine = make_engine(home.database_url)
    first = now().astimezone(CITY_ZONE).date()
    with writing(engine) as conn:
        for step in range(days):
            begin_close(conn, first + timedelta(days=step), at=now())
            finish_close(conn, first + timedelta(days=step), at=now())
    engine.dispose()


def returned_as_earlier(home: Home, reference: str) -> None:
    """Give a load back to where its money came from, as was done once."""
    engine = make_engine(home.database_url)
    with writing(engine) as conn:
        return_loads(conn, [LoadReturn(reference, current_day(conn), now(), "as it was")], at=now())
    engine.dispose()


def test_a_card_from_the_batch_to_its_replacement_and_balance(home: Home) -> None:
    assert "No card is in stock" in run("cards", "stock")
    in_hand()
    assert "nothing changed" in run("cards", "receive", "2026-03", FIRST, "5", "--by", "ann")
    assert "personalised" in run("cards", "stock")
    assert "are at COUNTER-1" in run("cards", "ship", "1", "COUNTER-1", "--by", "ann")
    assert "Loaded ¥50.00. Balance ¥50.00" in run("counter", "--card", FIRST, "load", "5000")
    run("cards", "issue", SECOND, "--by", "ann", "--deposit-fen", "0", "--inactive")
    assert "can be moved from" in run("cards", "replace", FIRST, SECOND, "--by", "ann", "--why", "bent")
    assert SECOND in run("cards", "replacements")
    assert "No replaced card's balance is due" in run("cards", "move-balance", "--by", "ann")
    with pytest.raises(Refused, match="come again on"):
        run("cards", "move-balance", FIRST, "--by", "ann")
    days_pass(home, 9)
    assert f"waits as load migration:{FIRST}" in run("cards", "move-balance", "--by", "ann")
    assert "Nothing of a replaced card's balance was left" in run("cards", "left-behind")
    returned_as_earlier(home, f"migration:{FIRST}")
    listed = run("cards", "left-behind")
    assert f"of card {FIRST}, now card {SECOND} (active)" in listed
    assert f"onecard cards move-again migration:{FIRST} --by NAME" in listed
    again = run("cards", "move-again", f"migration:{FIRST}", "--by", "ann")
    assert f"50.00 yuan of {FIRST} to {SECOND}: waits as load migration:{FIRST}:again" in again
    with pytest.raises(Refused, match="left nothing in suspense"):
        run("cards", "move-again", f"migration:{FIRST}", "--by", "ann")
    assert f"migration:{FIRST}" in run("loads")
    assert "50.00元" in run("counter", "--card", SECOND, "look")
    assert "Balance ¥50.00" in run("counter", "--card", SECOND, "complete")
    assert "No load waits" in run("loads")
    lived = run("cards", "life", FIRST)
    assert [word in lived for word in ("closed", "bent", "ann", "personalise", "replace")] == [True] * 5


def test_a_card_is_blocked_lost_found_and_handed_in(home: Home) -> None:
    in_hand()
    assert "No card is on the hotlist" in run("cards", "hotlist")
    assert "is blocked" in run("cards", "block", FIRST, "--by", "bob", "--why", "held up at a gate")
    assert "spreading" in run("cards", "hotlist")
    assert "on the hotlist" in run("counter", "--card", FIRST, "load", "100")
    assert "is active" in run("cards", "unblock", FIRST, "--by", "bob", "--why", "cleared up")
    assert FIRST in run("cards", "lose", FIRST, "--by", "bob")
    assert "In use again" in run("cards", "find", FIRST, "--by", "bob")
    assert "less 3.00 yuan" in run("cards", "hand-in", FIRST, "--by", "bob", "--wear-fen", "300")
    days_pass(home, 9)
    assert "is closed" in run("cards", "refund", FIRST, "--by", "bob")
    assert "is spoilt" in run("cards", "spoil", SECOND, "--by", "bob", "--why", "scratched")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("cards", "life", "123"), "not known here"),
        (("cards", "issue", THIRD, "--by", "ann"), "possible is: personalise, ship, spoil"),
        (("cards", "block", "123", "--by", "ann", "--why", "x"), "look at its number"),
        (("cards", "receive", "other", "12", "5", "--by", "ann"), "20 digits"),
        (("cards", "ship", "9", "COUNTER-1", "--by", "ann"), "not 9"),
        (("cards", "lose", "H1", "--by", "ann"), "no holder H1"),
        (("cards", "find", FIRST, "--by", "ann"), "nothing to lift"),
        (("cards", "replace", FIRST, THIRD, "--by", "ann", "--why", "x"), "issued and not in use yet"),
        (("cards", "refund", FIRST, "--by", "ann"), "neither replaced nor handed in"),
        (("cards", "hand-in", FIRST, "--by", "ann", "--to", "purse:1"), "agent:COUNTER"),
        (("cards", "hand-in", FIRST, "--by", "ann", "--wear-fen", "9000"), "the deposit, 2000 fen"),
        (("counter", "look"), "--card with its 20 digits"),
        (("counter", "--card", "1", "look"), "has no card '1'"),
        (("counter", "--reader", "nowhere", "look"), "host:port"),
        (("counter", "--reader", "127.0.0.1:1", "look"), "put one on the reader"),
        (("counter", "--terminal", "X", "--card", FIRST, "look"), "12 hex characters"),
        (("counter", "--card", FIRST, "complete"), "no load waits for this card"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_remedy(home: Home, words: tuple[str, ...], remedy: str) -> None:
    in_hand()
    with pytest.raises(Refused, match=remedy):
        run(*words)


def test_a_load_that_waits_is_listed_and_given_back(home: Home) -> None:
    in_hand()
    assert f"No load waits for card {FIRST}" in run("loads", FIRST)
    assert "No such load" in run("counter", "--card", FIRST, "return", "unknown")


def test_the_hsm_gives_no_keys_to_a_chip_that_two_operators_have_not_authorised(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hsm(tmp_path / "strict") as running:
        assert running.transport_key_file.exists()
    with running_program("hsm_sim", tmp_path / "strict", "serve", "--port", "0") as (port, _):
        monkeypatch.setenv("ONECARD_HSM", f"127.0.0.1:{port}")
        with pytest.raises(Refused, match="two operators must authorise personalisation at the HSM"):
            run("card", "init", FIRST)


def test_a_chip_is_not_made_under_roots_whose_newest_versions_differ(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hsm(tmp_path / "apart") as running:
        assert running.transport_key_file.exists()
    rotate(tmp_path / "apart", "PK", "LK", "TK")
    with running_hsm(tmp_path / "apart") as running:
        monkeypatch.setenv("ONECARD_HSM", f"{running.host}:{running.port}")
        with pytest.raises(Refused, match="rotate PK, LK, TK and AK together"):
            run("card", "init", FIRST)

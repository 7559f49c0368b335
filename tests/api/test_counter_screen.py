"""`onecard counter` at a keyboard: a clerk's keys against a real home, card, HSM and gateway."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.city_doors import city
from api.cli import app
from api.doors import Refused, now
from api.http.app import make_api
from api.web import doors_of, serving
from city.drawer import Drawer
from city.factory import Factory
from city.home import Home
from city.world import open_city
from clearing.wire.batch import Ride, read_batch
from tests.api.test_card_commands import FIRST, SECOND, home, in_hand, run
from tests.support.counter_city import card_no, found_city

__all__ = ["home"]
ENTER, ESC = "\r", "\x1b"


def at_keyboard(keys: str, *options: str) -> str:
    """Open the screen, press keys, and quit; everything that was shown."""
    ended = CliRunner().invoke(app, ["counter", *options], input=keys)
    assert ended.exception is None, ended.output
    return ended.output


def test_a_clerk_loads_a_card_and_prints_the_receipt(home: Home) -> None:
    in_hand()
    shown = at_keyboard(f"{ENTER}150{ENTER}{ENTER}p{ESC}{ESC}q", "--card", FIRST, "--clerk", "ann")
    assert "Loaded ¥50.00. Balance ¥50.00" in shown
    assert "余额 50.00 元" in shown
    folder = home.world / "counters" / "receipts"
    (text,), (pdf,) = folder.glob("*.txt"), folder.glob("*.pdf")
    assert [part in text.read_text() for part in ("充值", "50.00 元", "ann", "031048**********0100")] == [
        True
    ] * 4
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert pdf.stat().st_size > 2_000


def test_a_clerk_issues_loses_finds_and_replaces_cards(home: Home) -> None:
    in_hand()
    shown = at_keyboard(
        f"n{SECOND}{ENTER}0{ENTER}{ENTER}{ESC}"  # issued for a replacement
        f"g{FIRST}{ENTER}{ENTER}{ESC}"  # lost
        f"f{FIRST}{ENTER}{ENTER}{ESC}"  # found
        f"x{FIRST}{ENTER}{SECOND}{ENTER}bent{ENTER}{ENTER}{ESC}q",
        "--clerk",
        "ann",
    )
    for part in (
        "Issued, not activated",
        "Locked: 1 cards",
        "In use again: 1 cards",
        "Replaced; the balance",
    ):
        assert part in shown
    assert "replace: active → replaced, by ann at COUNTER-1: bent" in run("cards", "life", FIRST)


def test_a_clerk_blocks_and_unlocks_the_card_on_the_reader_and_takes_it_back(home: Home) -> None:
    in_hand()
    shown = at_keyboard(
        f"{ENTER}52bent{ENTER}{ENTER}{ESC}53straight{ENTER}{ENTER}{ESC}540.50{ENTER}gone{ENTER}{ENTER}{ESC}{ESC}q",
        "--card",
        FIRST,
    )
    for part in ("Blocked and on the hotlist", "Unblocked", "the deposit is paid back", "已退卡"):
        assert part in shown


def test_what_cannot_be_done_is_said_on_the_screen_and_nothing_ends(home: Home) -> None:
    in_hand()
    shown = at_keyboard(f"{ENTER}35{ENTER}{ENTER}{ESC}42{ENTER}1{ENTER}{ENTER}{ESC}{ESC}q", "--card", FIRST)
    assert "no purchase terminal; start it with --pos" in shown
    assert "put one on the reader" in at_keyboard(f"{ENTER}q", "--reader", "127.0.0.1:1")
    assert "--card with its 20 digits" in at_keyboard(f"{ENTER}q")
    assert "possible is" in at_keyboard(f"n{FIRST}{ENTER}20{ENTER}{ENTER}{ESC}q")


def test_the_screen_ends_when_the_keyboard_is_gone(home: Home, tmp_path: Path) -> None:
    assert "Put a card on the reader" in at_keyboard("")


def test_what_is_sold_out_of_the_chips_purse_goes_to_clearing_as_a_batch(home: Home) -> None:
    in_hand()
    run("counter", "--card", FIRST, "load", "5000")
    at_counter = ("counter", "--terminal", "518000000009", "--card", FIRST)
    assert "Paid ¥12.50. Balance ¥37.50" in run(*at_counter, "sell", "1250")
    assert "Balance ¥37.50" in run("counter", "--card", FIRST, "look")
    assert "1 batches made, 1 sent, 0 acknowledged" in run(*at_counter, "upload", "SHOP-1")
    (path,) = home.inbox.glob("*.ocb")
    (record,) = [read_batch(path.read_bytes()).tap(0)]
    assert (path.name, record.ride, record.card_no, record.amount_fen) == (
        "SHOP-1-00000001.ocb", Ride.PURCHASE, FIRST, 1_250,
    )  # fmt: skip
    assert "0 batches made, 1 sent, 0 acknowledged" in run(*at_counter, "upload", "SHOP-1")
    shown = at_keyboard(f"{ENTER}67.50{ENTER}{ENTER}{ESC}{ESC}q", *at_counter[1:])
    assert "Paid ¥7.50. Balance ¥30.00" in shown and "余额 30.00 元" in shown
    assert "Paid" not in at_keyboard(f"{ENTER}6999{ENTER}{ENTER}{ESC}{ESC}q", *at_counter[1:])
    assert "1 batches made, 2 sent, 0 acknowledged" in run(*at_counter, "upload", "SHOP-1")
    assert "Paid" not in run(*at_counter, "sell", "99999")
    run("cards", "block", FIRST, "--by", "ann", "--why", "bent")
    assert "Paid" not in run(*at_counter, "sell", "100")
    with pytest.raises(Refused, match="a till needs the city's HSM"):
        run("counter", "--office", "https://office", "--card", FIRST, "sell", "100")


def test_two_tills_of_one_shop_never_put_one_batch_in_the_place_of_the_other(home: Home) -> None:
    in_hand()
    run("counter", "--card", FIRST, "load", "5000")
    tills = [("counter", "--terminal", f"51800000000{n}", "--card", FIRST) for n in (8, 9)]
    for at_till, fen in zip(tills, ("100", "200"), strict=True):
        run(*at_till, "sell", fen)
        assert "1 batches made, 1 sent" in run(*at_till, "upload", "SHOP-1")
    found = {path.name: read_batch(path.read_bytes()).tap(0) for path in home.inbox.glob("*.ocb")}
    assert {name: record.amount_fen for name, record in found.items()} == {
        "SHOP-1-00000001.ocb": 100, "SHOP-1-00000002.ocb": 200,
    }  # fmt: skip


def test_a_batch_that_clearing_has_turned_away_is_said_at_every_upload(home: Home) -> None:
    in_hand()
    run("counter", "--card", FIRST, "load", "5000")
    at_till = ("counter", "--terminal", "518000000009", "--card", FIRST)
    run(*at_till, "sell", "100")
    run(*at_till, "upload", "SHOP-1")
    (sent,) = home.inbox.glob("*.ocb")
    answer = {"status": "rejected", "sha256": sha256(sent.read_bytes()).hexdigest(), "message": "no device"}
    (home.inbox / "acks").mkdir()
    (home.inbox / "acks" / f"{sent.name}.ack").write_text(json.dumps(answer), encoding="utf-8")
    for _ in range(2):
        said = CliRunner().invoke(app, [*at_till, "upload", "SHOP-1"])
        assert said.exit_code == 1
        assert "batch 1 of SHOP-1, 1 sales, is held: no device" in said.output


def test_a_clerk_whose_office_is_elsewhere_does_the_same_by_the_same_keys(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hand()
    secret = run("clients", "add", "hall", "--participant", "HALL-1", "--scope", "counter:write")
    monkeypatch.setenv("ONECARD_OFFICE_CLIENT", "hall")
    monkeypatch.setenv("ONECARD_OFFICE_SECRET", secret.split("secret: ")[1].strip())
    with city(home) as opened, doors_of(opened) as doors, serving(make_api(doors)) as address:
        there = ("--office", address, "--card", FIRST, "--clerk", "ann")
        shown = at_keyboard(f"{ENTER}150{ENTER}{ENTER}{ESC}52bent{ENTER}{ENTER}{ESC}{ESC}q", *there)
        assert "Loaded ¥50.00. Balance ¥50.00" in shown
        assert "Blocked and on the hotlist" in shown
        assert "a till needs the city's HSM" in at_keyboard(f"{ENTER}65{ENTER}{ENTER}{ESC}{ESC}q", *there)
        assert "Card is on the hotlist" in at_keyboard(f"{ENTER}11{ENTER}{ENTER}q", *there)
    assert "block: active → blocked, by ann at HALL-1: bent" in run("cards", "life", FIRST)
    assert "No answer from the office" in at_keyboard(f"{ENTER}q", *there)


@pytest.mark.parametrize(
    ("settings", "address", "remedy"),
    [
        ({}, "https://office", "set ONECARD_OFFICE_CLIENT and ONECARD_OFFICE_SECRET"),
        ({}, "office:8000", "--office is 'office:8000'; give http://host:port or https://host"),
        ({"PRODUCTION": "1", "HSM": "127.0.0.1:1"}, "http://office", "would go in clear; give https://"),
        (
            {"OFFICE_CLIENT": "a", "OFFICE_SECRET": "b", "OFFICE_CA": "/nowhere.pem"},
            "https://office",
            "ONECARD_OFFICE_CA /nowhere.pem",
        ),
    ],
)
def test_an_office_that_cannot_be_asked_so_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], address: str, remedy: str
) -> None:
    for name, value in (settings | {"HOME": str(tmp_path)}).items():
        monkeypatch.setenv(f"ONECARD_{name}", value)
    with pytest.raises(Refused, match=re.escape(remedy)):
        run("counter", "--office", address, "--reader", "127.0.0.1:1", "look")


@pytest.mark.parametrize("key", ["?", "l"])
def test_help_and_language_are_a_key_away(home: Home, key: str) -> None:
    expected = {"?": "A load counts when the card proves it", "l": "City one card: counter  城市一卡通"}[key]
    assert expected in at_keyboard(f"{key}{ESC}q")


def test_a_clerk_sells_and_takes_back_through_the_terminal_beside_the_counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONECARD_HOME", str(tmp_path))
    with open_city(Home(tmp_path)) as opened:
        town = found_city(opened.engine, opened.hsm, opened.transport_key_file)
        town.now = now()
        drawer = Drawer(opened.home.world / "cards.db")
        drawer.put(
            [
                Factory(opened.hsm, opened.transport_key_file).personalise(
                    card_no(0), issuer="01011000", holder_class=1
                )
            ]
        )
        drawer.close()
        run("pos", "enrol", "POS00001", "SHOP-1")
        with town.serving() as port:
            there = f"127.0.0.1:{port}"
            run("pos", "sign-on", "POS00001", "--gateway", there)
            shown = at_keyboard(
                f"{ENTER}312.50{ENTER}{ENTER}{ESC}41{ENTER}2.50{ENTER}{ENTER}{ESC}49{ENTER}1{ENTER}{ENTER}{ESC}{ESC}q",
                *("--card", card_no(0), "--pos", "POS00001", "--gateway", there),
            )
        assert "Paid ¥12.50, ticket 1" in shown
        assert "Refunded ¥2.50" in shown
        assert "sold nothing under ticket 9" in shown
        assert (town.shop_fen, town.wallet_fen(0)) == (1_000, 9_000)
    assert len(list((Home(tmp_path).world / "counters" / "receipts").glob("*.txt"))) == 2

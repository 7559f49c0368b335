"""`onecard pos`, as a shopkeeper uses it against a gateway that really listens."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.doors import Refused, now
from api.groups.counters import pos
from city.home import Home
from city.world import open_city
from tests.support.counter_city import card_no, found_city

runner = CliRunner()


def run(*words: str) -> str:
    ended = runner.invoke(pos, list(words))
    if isinstance(ended.exception, Refused):
        raise ended.exception
    return ended.output


def test_a_counter_from_enrolment_to_refund(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECARD_HOME", str(tmp_path))
    with open_city(Home(tmp_path)) as opened:
        town = found_city(opened.engine, opened.hsm, opened.transport_key_file)
        town.now = now()
        assert "enrolled" in run("enrol", "POS00001", "SHOP-1")
        with town.serving() as port:
            there = ("--gateway", f"127.0.0.1:{port}")
            assert "new working key" in run("sign-on", "POS00001", *there)
            assert "Paid ¥12.50, ticket 1" in run("purchase", "POS00001", card_no(0), "1250", *there)
            assert "Balance ¥87.50" in run("balance", "POS00001", card_no(0), *there)
            assert "too low" in run("purchase", "POS00001", card_no(0), "99999", *there)
            assert "Refunded ¥2.50" in run("refund", "POS00001", "1", "250", *there)
            assert "Paid ¥1.00" in run("stand-in", "POS00001", card_no(1), "100", *there)
            assert "everything" in run("deliver", "POS00001", *there)
        listed = run("journal", "POS00001")
        assert [word in listed for word in ("refund", "stand_in", "declined")] == [True] * 3
        assert town.shop_fen == 1_100


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("purchase", "POS00009", card_no(0), "1"), "pos enrol POS00009"),
        (("purchase", "POS00001", "123", "1"), "20 digits"),
        (("purchase", "POS00001", card_no(0), "1", "--gateway", "nowhere"), "host:port"),
        (("refund", "POS00001", "9", "1"), "pos journal POS00001"),
        (("sign-on", "POS00001", "--gateway", "127.0.0.1:1"), "is it running"),
        (("enrol", "POS1", "SHOP-1"), "8 digits or capital letters"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_remedy(
    enrolled: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], remedy: str
) -> None:
    monkeypatch.setenv("ONECARD_HOME", str(enrolled))
    with pytest.raises(Refused, match=remedy):
        run(*words)


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("counter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECARD_HOME", str(home))
        run("enrol", "POS00001", "SHOP-1")
    return home

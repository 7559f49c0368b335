"""`onecard terminals` as its user runs it: what it publishes, a terminal takes."""

import json
from pathlib import Path

import pytest

from card.algorithms import Algorithm
from card.hotlist import HotlistEntry, hotlist_card
from clearing.wire.bcd import CITY_ZONE
from ledger.db import make_engine, migrate, writing
from terminals.holdings import Holdings, Receipt
from tests.support.clearing_day import at, card_no
from tests.support.typed_commands import TypedCommands
from tests.terminals.signed_files import settings_text, tariff_text


def test_what_the_command_publishes_a_terminal_takes(onecard: TypedCommands, tmp_path: Path) -> None:
    home = tmp_path / "var"
    home.mkdir()
    engine = make_engine(f"sqlite:///{home / 'onecard.db'}")
    migrate(engine)
    with writing(engine) as conn:
        hotlist_card(conn, HotlistEntry(card_no(1), at(7), at(8), "reported lost"))
    engine.dispose()
    (tmp_path / "tariff.json").write_text(tariff_text(version=3))
    (tmp_path / "settings.json").write_text(settings_text(version=2))

    first = onecard(home, "terminals", "hotlist")
    assert (first.returncode, "1 cards are listed" in first.stdout) == (0, True), first.stderr
    assert "nothing has changed" in onecard(home, "terminals", "hotlist").stdout
    assert onecard(home, "terminals", "publish", "tariff", tmp_path / "tariff.json").returncode == 0
    by_sm2 = ("publish", "settings", tmp_path / "settings.json", "--algorithm", "sm2")
    assert onecard(home, "terminals", *by_sm2).returncode == 0
    printed = json.loads(onecard(home, "terminals", "keys").stdout)
    keys = {
        (Algorithm[algorithm.upper()], int(version)): bytes.fromhex(key)
        for algorithm, versions in printed.items()
        for version, key in versions.items()
    }
    holdings = Holdings(tmp_path / "held", keys, "518000000001")
    taken = [holdings.take(path.read_bytes()) for path in sorted((home / "published").iterdir())]
    assert taken == [Receipt.TAKEN] * 3
    assert card_no(1) in holdings.hotlist.cards
    assert holdings.versions == {"hotlist": 1, "tariff": 3, "settings": 2}
    assert holdings.newest_made_at is not None
    assert holdings.newest_made_at.tzinfo is CITY_ZONE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (settings_text(ride="tram"), "settings field ride is 'tram'"),
        ("{", "settings field line 1"),
        (settings_text(line=2), "settings-00001.ocd says something else: give it the next version"),
    ],
)
def test_what_no_terminal_could_obey_is_not_published(
    onecard: TypedCommands, tmp_path: Path, text: str, said: str
) -> None:
    home, file = tmp_path / "var", tmp_path / "settings.json"
    file.write_text(settings_text())
    assert onecard(home, "terminals", "publish", "settings", file).returncode == 0
    before = sorted((home / "published").iterdir())
    file.write_text(text)
    ended = onecard(home, "terminals", "publish", "settings", file)
    assert ended.returncode == 1
    assert said in " ".join(ended.stderr.split())
    assert sorted((home / "published").iterdir()) == before

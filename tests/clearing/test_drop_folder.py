"""Folders that operators drop files into: what is finished, what is left, and nothing lost wherever it dies."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from clearing.archive import archived
from clearing.drop_folder import MOST_BYTES, Dropped, Round, drop_folder, sweep
from clearing.dropped_files import QUIET, TAKEN
from clearing.landing import Landing
from clearing.receipts import Status
from clearing.tables import rejected_file
from clearing.wire.names import batch_name
from ledger.db import make_engine
from ledger.sharing import Alone
from tests.support.clearing_day import DAY, TAP, SmallCity, signed
from tests.support.killed_before import Step, killed_before

NAME = batch_name("BUS-1", 1)


@pytest.fixture
def city(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Iterator[SmallCity]:
    small = SmallCity(engine, city_hsm, tmp_path / "city")
    small.furnish()
    drop_folder(small.inbox, "BUS-1").mkdir(parents=True)
    yield small


def landing(city: SmallCity) -> Landing:
    return Landing(city.inbox, city.home / "archive")


def swept(city: SmallCity, *, quiet: bool = False) -> list[Dropped]:
    """A round now, or when everything has been quiet for long."""
    now = datetime.now(UTC) + (2 * QUIET if quiet else timedelta())
    found = sweep(Round(city.engine, Alone(city.engine), landing(city), DAY, now))
    assert found.troubles == []
    return found.taken


def good(city: SmallCity, counter: int = 1) -> bytes:
    return city.batch("BUS-1", 1, [signed(replace(TAP, counter=counter))])


def dropped(city: SmallCity, name: str, content: bytes, operator: str = "BUS-1") -> Path:
    path = drop_folder(city.inbox, operator) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def told(city: SmallCity, name: str = NAME, operator: str = "BUS-1") -> dict[str, Any]:
    said: dict[str, Any] = json.loads(
        (drop_folder(city.inbox, operator) / "acks" / f"{name}.ack").read_text()
    )
    return said


def test_a_sound_batch_is_taken_at_once_cleared_by_night_and_answered_in_its_folder(city: SmallCity) -> None:
    path = dropped(city, NAME, good(city))
    (found,) = swept(city)
    assert (found.operator, found.receipt.status) == ("BUS-1", Status.WAITING)
    assert not path.exists() and (city.inbox / NAME).read_bytes() == good(city)
    assert (city.inbox / NAME).samefile(archived(landing(city).archive, found.receipt.sha256))
    city.clear()
    assert swept(city) == []
    assert told(city) == {"name": NAME, "sha256": sha256(good(city)).hexdigest(), "status": "accepted"}
    assert told(city) == json.loads((city.inbox / "acks" / f"{NAME}.ack").read_text())
    assert city.verdicts() == {("BUS-1", 1, 0): "accepted"}


def test_the_night_itself_takes_what_lies_there_finished_and_answers_it(city: SmallCity) -> None:
    path = dropped(city, NAME, good(city))
    half = dropped(city, batch_name("BUS-1", 2), good(city)[:100])
    assert city.clear()["collect"].counts["accepted"] == 1
    assert not path.exists() and half.exists(), "what may still grow is left"
    assert told(city)["status"] == "accepted"


@pytest.mark.parametrize("name", [f".{NAME}", f"{NAME}.part", f"{NAME}.filepart", f"{NAME}.TMP"])
def test_names_that_say_unfinished_are_left_for_ever_and_taken_when_renamed(
    city: SmallCity, name: str
) -> None:
    path = dropped(city, name, good(city))
    assert swept(city, quiet=True) == []
    path.rename(path.with_name(NAME))
    assert [one.receipt.status for one in swept(city)] == [Status.WAITING]


def test_a_file_that_arrives_slowly_is_taken_when_it_is_whole_and_not_before(city: SmallCity) -> None:
    whole = good(city)
    for end in range(0, len(whole), 48):
        path = dropped(city, NAME, whole[:end])
        assert swept(city) == [] and path.exists()
    dropped(city, NAME, whole)
    assert [one.receipt.status for one in swept(city)] == [Status.WAITING]
    assert (city.inbox / NAME).read_bytes() == whole


def test_a_file_set_down_at_full_length_is_not_taken_before_its_bytes_have_come(city: SmallCity) -> None:
    path = dropped(city, NAME, good(city)[:128] + bytes(len(good(city)) - 128))
    assert swept(city) == [] and path.exists()


def test_what_stays_a_fragment_is_turned_away_when_it_has_been_quiet_for_long(city: SmallCity) -> None:
    path = dropped(city, NAME, good(city)[:100])
    (found,) = swept(city, quiet=True)
    assert (found.receipt.status, found.receipt.reason) == (Status.REJECTED, "truncated")
    assert not path.exists()
    said = told(city)
    assert (said["reason"], said["offset"]) == ("truncated", 100) and said["remedy"]
    assert archived(city.home / "archive", said["sha256"]).read_bytes() == good(city)[:100]
    rows = city.look(lambda conn: list(conn.execute(select(rejected_file))))
    assert [(row.name, row.flaw, row.collected_on) for row in rows] == [(NAME, "truncated", DAY)]
    dropped(city, NAME, good(city))
    assert [one.receipt.status for one in swept(city)] == [Status.WAITING], "sent again, it is taken"


def test_an_operator_sends_its_own_files_only(city: SmallCity) -> None:
    dropped(city, NAME, good(city), operator="METRO-1")
    (found,) = swept(city, quiet=True)
    assert found.receipt.reason == "other_operator"
    assert told(city, operator="METRO-1")["reason"] == "other_operator"
    assert not (city.inbox / NAME).exists() and not (city.inbox / "acks").exists()


def test_other_content_under_a_number_that_waits_is_turned_away_and_both_are_kept(city: SmallCity) -> None:
    first, second = good(city), good(city, counter=2)
    dropped(city, NAME, first)
    swept(city)
    dropped(city, NAME, second)
    (found,) = swept(city)
    digests = [sha256(content).hexdigest() for content in (first, second)]
    assert found.receipt.reason == "batch_number_taken"
    assert all(digest in str(found.receipt.message) for digest in digests)
    assert all(archived(city.home / "archive", digest).exists() for digest in digests)
    assert (city.inbox / NAME).read_bytes() == first


def test_links_pipes_and_folders_are_no_files(city: SmallCity, tmp_path: Path) -> None:
    folder = drop_folder(city.inbox, "BUS-1")
    secret = tmp_path / "secret"
    secret.write_bytes(good(city))
    (folder / NAME).symlink_to(secret)
    os.mkfifo(folder / batch_name("BUS-1", 2))
    (folder / batch_name("BUS-1", 3)).mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / batch_name("BUS-2", 1)).write_bytes(good(city))
    (folder.parent / "BUS-2").symlink_to(elsewhere)
    assert swept(city, quiet=True) == []


def test_names_that_cannot_be_said_and_files_beyond_the_bound_stay_where_they_are(city: SmallCity) -> None:
    folder = drop_folder(city.inbox, "BUS-1")
    odd = [os.fsencode(folder) + b"/BUS-\xff.ocb", os.fsencode(folder) + b"/" + b"n" * 250]
    for path in odd:
        Path(os.fsdecode(path)).write_bytes(b"x")
    with (folder / NAME).open("wb") as long:
        long.truncate(MOST_BYTES + 1)
    assert swept(city, quiet=True) == []
    assert len([path for path in folder.iterdir() if path.is_file()]) == 3
    assert (told(city)["reason"], told(city)["offset"]) == ("too_long", MOST_BYTES)
    assert [path.name for path in (folder / "acks").iterdir()] == [f"{NAME}.ack"]


def test_a_folder_that_cannot_be_used_is_told_of_and_keeps_nobody_waiting(city: SmallCity) -> None:
    dropped(city, NAME, good(city)[:100])
    (drop_folder(city.inbox, "BUS-1") / "acks").write_bytes(b"a file where the folder of answers belongs")
    dropped(city, batch_name("METRO-1", 1), city.batch("METRO-1", 1, []), operator="METRO-1")
    now = datetime.now(UTC) + 2 * QUIET
    for _ in range(2):
        found = sweep(Round(city.engine, Alone(city.engine), landing(city), DAY, now))
        assert "BUS-1" in found.troubles[0] and "put right" in found.troubles[0]
        assert [one.operator for one in found.taken] == ["METRO-1"]
        assert dropped(city, batch_name("METRO-1", 1), city.batch("METRO-1", 1, []), "METRO-1").exists()
    assert (drop_folder(city.inbox, "BUS-1") / NAME).read_bytes() == good(city)[:100]


def test_a_sweep_killed_at_any_instant_loses_nothing_and_the_next_one_ends_it(
    city: SmallCity, database_url: str
) -> None:
    """Killed before its first, second, … change of a file or folder, until one comes through."""
    lies, place, kills, through = drop_folder(city.inbox, "BUS-1"), landing(city), 0, False
    while not through:
        whole = good(city, counter=kills + 1)
        fragment = whole[:90]
        dropped(city, NAME, whole)
        dropped(city, batch_name("BUS-1", 2), fragment)
        through = not _killed(database_url, place, change=kills)
        for content in (whole, fragment):
            held = [path.read_bytes() for path in [*lies.glob("*.ocb"), *lies.glob(f".*{TAKEN}")]]
            assert content in held or archived(place.archive, sha256(content).hexdigest()).exists()
        swept(city, quiet=True)
        assert (city.inbox / NAME).read_bytes() == whole
        said = told(city, batch_name("BUS-1", 2))
        assert (said["reason"], said["sha256"]) == ("truncated", sha256(fragment).hexdigest())
        assert [path.name for path in lies.iterdir()] == ["acks"]
        (city.inbox / NAME).unlink()
        kills += 1
    assert kills > 8


def _killed(database_url: str, place: Landing, *, change: int) -> bool:
    """Sweep in a process of its own that is killed before change number `change`; whether it was."""

    def work(_step: Step) -> None:
        engine = make_engine(database_url)
        sweep(Round(engine, Alone(engine), place, DAY, datetime.now(UTC) + 2 * QUIET))

    return killed_before(change, place.inbox.parent, work)

"""The bank's folder: what is finished, what is left, where it goes, nothing lost or booked twice wherever it dies."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from clearing.archive import archived
from clearing.dropped_files import QUIET, TAKEN
from ledger.db import make_engine, reading, writing
from settlement.bank.drop_folder import Round, Swept, lying, retry, sweep
from settlement.bank.points import PointKind
from settlement.bank.taking import Took
from settlement.bank.xml_reading import MOST_BYTES
from settlement.participants import SCHEME, correct_account, participants_of
from settlement.work_queue import Kind, State, items_of
from tests.support.bank_days import FIRST, METRO, RESERVE_NO, BankedCity, banked_city, banked_url
from tests.support.killed_before import Step, killed_before
from tests.support.night_books import everything

database_url, lived = banked_url, banked_city


@pytest.fixture
def city(lived: BankedCity) -> BankedCity:
    """The city, with its folder."""
    folder_of(lived).mkdir(parents=True)
    return lived


def folder_of(city: BankedCity) -> Path:
    return city.home / "inbox" / "bank"


def round_of(city: BankedCity, *, quiet: bool = False, engine: Engine | None = None) -> Round:
    now = datetime.now(UTC) + (2 * QUIET if quiet else timedelta())
    return Round(engine or city.engine, city.home / "archive", folder_of(city), now, city.today)


def swept(city: BankedCity, *, quiet: bool = False) -> list[tuple[str, Took]]:
    found = sweep(round_of(city, quiet=quiet))
    assert found.troubles == []
    return [(one.name, one.took) for one in found.taken]


def dropped(city: BankedCity, name: str, content: bytes) -> Path:
    path = folder_of(city) / name
    path.write_bytes(content)
    return path


def left(city: BankedCity, below: str = "") -> list[str]:
    place = folder_of(city) / below
    return sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []


def test_what_can_be_read_is_taken_at_once_and_moved_aside(city: BankedCity) -> None:
    files = city.first_day()
    for file in files:
        dropped(city, file.name, file.read_bytes())
    assert swept(city) == [(file.name, Took.TAKEN) for file in files], "in the order that they came"
    aside = [f"F{number}-{file.name}" for number, file in enumerate(files, 1)]
    assert left(city) == [] and left(city, "taken") == aside
    assert city.states()[METRO] == ("paid", city.amount_fen(METRO))
    for file in files:
        digest = sha256(file.read_bytes()).hexdigest()
        assert archived(city.home / "archive", digest).read_bytes() == file.read_bytes()


def test_a_file_that_comes_again_changes_nothing_says_so_and_leaves_the_folder(city: BankedCity) -> None:
    status, statement = city.first_day()
    for _ in range(2):
        dropped(city, statement.name, statement.read_bytes())
        before = everything(city.engine)
        swept(city)
    assert everything(city.engine) == before
    dropped(city, "again.xml", statement.read_bytes())
    (again,) = sweep(round_of(city)).taken
    assert again.took is Took.REPEATED and "nothing changes" in again.message
    assert left(city) == [] and left(city, "taken") == ["F1-again.xml", f"F1-{statement.name}"]
    assert status.name not in left(city, "taken")


def test_a_file_that_grows_is_taken_when_its_last_tag_is_there_and_not_before(city: BankedCity) -> None:
    whole = city.first_day()[-1].read_bytes()
    for end in range(0, len(whole), len(whole) // 7):
        path = dropped(city, "statement.xml", whole[:end])
        assert swept(city) == [] and path.exists()
    assert [one.name for one in lying(folder_of(city))] == ["statement.xml"]
    dropped(city, "statement.xml", whole)
    assert swept(city) == [("statement.xml", Took.TAKEN)] and lying(folder_of(city)) == []


@pytest.mark.parametrize("name", [".s.xml", "s.xml.part", "s.xml.filepart", "s.TMP"])
def test_names_that_say_unfinished_are_left_and_taken_when_renamed(city: BankedCity, name: str) -> None:
    path = dropped(city, name, city.first_day()[-1].read_bytes())
    assert swept(city, quiet=True) == []
    path.rename(path.with_name("s.xml"))
    assert swept(city) == [("s.xml", Took.TAKEN)]


def test_what_stays_unreadable_is_refused_when_it_is_quiet_with_field_value_and_remedy_beside_it(
    city: BankedCity,
) -> None:
    wrong = city.first_day()[-1].read_bytes().replace(b">CNY<", b">USD<").replace(b'"CNY"', b'"USD"')
    dropped(city, "wrong.xml", wrong)
    assert swept(city) == []
    assert swept(city, quiet=True) == [("wrong.xml", Took.REFUSED)]
    assert left(city) == [] and left(city, "refused") == ["F1-wrong.xml", "F1.txt"]
    said = (folder_of(city) / "refused" / "F1.txt").read_text()
    assert said.startswith("wrong.xml was refused: ") and "'USD'" in said and "line " in said
    assert "To do: " in said and "onecard bank retry F1" in said
    (point,) = [one for one in city.points() if one.kind is PointKind.FILE]
    with reading(city.engine) as conn:
        (item,) = [one for one in items_of(conn) if one.kind is Kind.BANK_FILE]
    assert (point.id, item.subject, item.state) == ("F1", "F1", State.OPEN)
    assert "'USD'" in item.what and item.remedy


def test_a_file_that_is_too_long_is_kept_whole_and_refused(city: BankedCity) -> None:
    path = folder_of(city) / "long.xml"
    with path.open("wb") as long:
        long.truncate(MOST_BYTES + 5)
    digest = sha256(path.read_bytes()).hexdigest()
    assert swept(city) == [] and swept(city, quiet=True) == [("long.xml", Took.REFUSED)]
    assert archived(city.home / "archive", digest).stat().st_size == MOST_BYTES + 5
    assert left(city, "refused") == ["F1-long.xml", "F1.txt"]
    (told,) = retry(round_of(city)).taken
    assert (told.number, told.took) == (1, Took.REFUSED)


def test_links_pipes_and_folders_are_no_files(city: BankedCity, tmp_path: Path) -> None:
    folder = folder_of(city)
    secret = tmp_path / "secret.xml"
    secret.write_bytes(city.first_day()[-1].read_bytes())
    (folder / "link.xml").symlink_to(secret)
    os.mkfifo(folder / "pipe.xml")
    (folder / "folder.xml").mkdir()
    assert swept(city, quiet=True) == [] and secret.exists()


def pay_from(city: BankedCity, account_no: str) -> None:
    with writing(city.engine) as conn:
        correct_account(conn, replace(participants_of(conn)[SCHEME], account_no=account_no))


def test_refused_files_are_retried_and_move_when_what_they_stumbled_over_is_put_right(
    city: BankedCity,
) -> None:
    statement = city.first_day()[-1]
    dropped(city, "statement.xml", statement.read_bytes())
    pay_from(city, "999")
    assert swept(city) == [("statement.xml", Took.REFUSED)]
    assert "the reserve is 999" in (folder_of(city) / "refused" / "F1.txt").read_text()
    pay_from(city, "998")
    assert [one.took for one in retry(round_of(city)).taken] == [Took.REFUSED]
    assert "the reserve is 998" in (folder_of(city) / "refused" / "F1.txt").read_text()
    pay_from(city, RESERVE_NO)
    assert retry(round_of(city), [7]) == Swept([], [])
    assert [one.took for one in retry(round_of(city), [1]).taken] == [Took.TAKEN]
    assert left(city, "refused") == [] and left(city, "taken") == ["F1-statement.xml"]
    assert retry(round_of(city)).taken == []
    with reading(city.engine) as conn:
        (item,) = [one for one in items_of(conn, tuple(State)) if one.kind is Kind.BANK_FILE]
    assert (item.state, item.cleared) == (State.DONE, True)
    assert city.states()[METRO][0] == "paid"


def test_what_was_refused_in_the_folder_and_taken_by_name_leaves_the_refused_ones(city: BankedCity) -> None:
    statement = city.first_day()[-1]
    dropped(city, "statement.xml", statement.read_bytes())
    pay_from(city, "999")
    swept(city)
    pay_from(city, RESERVE_NO)
    city.take([statement])
    assert left(city, "refused") == ["F1-statement.xml", "F1.txt"]
    assert swept(city) == [] and left(city, "refused") == [] and left(city, "taken") == ["F1-statement.xml"]


@pytest.mark.parametrize("name", ["taken", "refused"])
def test_nothing_is_moved_or_written_through_a_link(city: BankedCity, tmp_path: Path, name: str) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (folder_of(city) / name).symlink_to(elsewhere)
    dropped(city, "wrong.xml", b"<a/>")
    (trouble,) = sweep(round_of(city, quiet=True)).troubles
    assert f"{name} is a link, and no folder" in trouble
    assert left(city) == ["wrong.xml"] and not list(elsewhere.iterdir())


def test_several_rounds_at_once_take_each_file_once_and_leave_none_behind(city: BankedCity) -> None:
    for file in city.first_day():
        dropped(city, file.name, file.read_bytes())
    for number in range(8):
        dropped(city, f"wrong-{number}.xml", f"<a{number}/>".encode())
    with ThreadPoolExecutor(3) as rounds:
        given = round_of(city, quiet=True)
        done = list(rounds.map(sweep, [given] * 3))
    assert [one.troubles for one in done] == [[]] * 3
    taken = Counter(file.name for one in done for file in one.taken if file.took is Took.TAKEN)
    assert sorted(taken.values()) == [1, 1]
    swept(city, quiet=True)
    assert left(city) == [] and not list(folder_of(city).glob(f".*{TAKEN}"))
    assert len(left(city, "taken")) == 2 and len(left(city, "refused")) == 16
    assert city.states()[METRO] == ("paid", city.amount_fen(METRO))


def test_a_folder_that_is_not_there_is_told_of_with_what_to_do(city: BankedCity) -> None:
    folder_of(city).rmdir()
    (trouble,) = sweep(round_of(city)).troubles
    assert str(folder_of(city)) in trouble and "put right the folder" in trouble
    assert lying(folder_of(city)) == []


def test_a_round_killed_at_any_instant_loses_nothing_and_books_nothing_twice(
    city: BankedCity, database_url: str
) -> None:
    """Killed before its first, second, … change of a file, before and after each commit, until one comes through."""
    city.take(city.first_day())
    kills, through, day = 0, False, FIRST
    while not through:
        day += timedelta(days=1)
        statement = city.bank(day, "--deposit", f"NOBODY-{kills}=700")[-1].read_bytes()
        wrong = f"<no-message-{kills}/>".encode()
        dropped(city, "statement.xml", statement)
        dropped(city, "wrong.xml", wrong)
        through = not _killed(city, database_url, kills)
        for content in (statement, wrong):
            lies = [path.read_bytes() for path in folder_of(city).rglob("*.xml*") if path.is_file()]
            assert content in lies
        swept(city, quiet=True)
        kills += 1
        assert left(city) == [] and not list(folder_of(city).glob(f".*{TAKEN}"))
        # What a killed program was writing under a hidden name is nobody's file.
        aside = [name for name in left(city, "refused") if not name.startswith(".")]
        assert len(left(city, "taken")) == kills and len(aside) == 2 * kills
        assert -city.held_fen("suspense:bank") == 700 * kills
    assert kills > 12
    files = [one for one in city.points() if one.kind is PointKind.FILE]
    assert len(files) == kills and city.sound()


def _killed(city: BankedCity, url: str, change: int) -> bool:
    def work(step: Step) -> None:
        engine = make_engine(url)
        event.listen(engine, "commit", lambda _conn: step())
        event.listen(engine, "checkin", lambda *_: step())
        sweep(round_of(city, quiet=True, engine=engine))

    return killed_before(change, folder_of(city), work)

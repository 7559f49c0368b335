"""The night's commands as an operator of the night types them, on one small day from its plan to the work it leaves."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy import insert, select

from api.doors import now
from api.http.kept_answers import KEPT
from api.http.tables import answer
from api.interrupt import INTERRUPTED
from card.hsm.client import Hsm
from clearing.wire.interop import ResultLine
from clearing.wire.result_code import ResultCode
from ledger.db import make_engine, reading, writing
from settlement.night import STEPS
from settlement.night_lock import exclusive
from settlement.night_progress import PROGRESS_FILE
from tests.settlement.small_day import METRO_TAPS, ROOT, prepare, put
from tests.support.foundry import Foundry
from tests.support.night_books import contents
from tests.support.other_city import befriend, guest, put_results
from tests.support.typed_commands import typed_commands
from tests.support.waiting import wait_until

DAY = "2018-09-01"
NIGHT = ("night", DAY, "--at", "2018-09-02T00:30:00")
Command = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path, sqlite_template: Path, city_hsm: Hsm) -> Path:
    """The small day, with its files in the inbox."""
    home = tmp_path / "var"
    tariff = "shenzhen-2018.json"
    (home / "tariffs").mkdir(parents=True)
    shutil.copy(ROOT / "clearing" / "sectors" / "transit" / "tariffs" / tariff, home / "tariffs")
    shutil.copyfile(sqlite_template, home / "onecard.db")
    engine = make_engine(f"sqlite:///{home / 'onecard.db'}")
    prepare(engine, city_hsm, home)
    engine.dispose()
    return home


@pytest.fixture
def onecard(home: Path, foundry: Foundry, hsm_address: str) -> Iterator[Command]:
    """Run one command in that home."""
    with typed_commands(foundry, ONECARD_HSM=hsm_address) as commands:
        yield partial(commands, home)


def said(ended: "CompletedProcess[str]") -> str:
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_a_night_is_planned_run_dry_and_run_and_leaves_its_work_to_people(
    home: Path, onecard: Command
) -> None:
    before = contents(home / "inbox")
    plan = said(onecard("night", "plan", DAY))
    for words in (
        "METRO-1-00000001.ocb", "Will be turned away: METRO-1-00000002.ocb", "Missing: batch 2 of BUS-1",
        "12 taps before the night", "No night was timed before", "MiB free",
    ):  # fmt: skip
        assert words in plan
    dry = said(onecard("night", "dry-run", DAY, "--keep", home / "dry"))
    assert "Nothing was booked" in dry
    assert (home / "dry" / "night" / "work" / "priced.parquet").exists()
    assert contents(home / "inbox") == before
    assert "No night of 2018-09-01" in said(onecard("night", "status", DAY))
    ran = said(onecard(*NIGHT))
    assert "collect done in" in ran
    assert f"{len(STEPS)} of {len(STEPS)} steps" in ran
    assert "2018-09-01: finished" in ran
    assert "was finished before; nothing changed" in said(onecard("night", DAY))
    assert "Raised for people" in said(onecard("night", "exceptions", DAY))
    assert "By the pace of the last night." in said(onecard("night", "plan", "2018-09-02"))
    assert "it has booked" in onecard("night", "dry-run", DAY).stderr


def test_without_a_date_the_newest_night_is_meant_or_the_one_to_come(onecard: Command) -> None:
    for words in (("status",), ("night", "status"), ("night", "exceptions")):
        refused = onecard(*words)
        assert (refused.returncode, "no night has been run yet" in refused.stderr) == (1, True)
    assert said(onecard("night", "plan")) == said(onecard("night", "plan", DAY))
    assert "Nothing was booked" in said(onecard("night", "dry-run"))
    said(onecard(*NIGHT))
    for words in (("status",), ("night", "status"), ("night", "exceptions")):
        assert said(onecard(*words)) == said(onecard(*words, DAY))
    assert "taps before the night of 2018-09-02" in said(onecard("night", "plan"))


def test_no_night_is_to_come_before_a_first_day_is_open(
    onecard: Command, home: Path, sqlite_template: Path
) -> None:
    shutil.copyfile(sqlite_template, home / "onecard.db")
    for word in ("plan", "dry-run"):
        refused = onecard("night", word)
        assert (refused.returncode, "open one first: `onecard city open DATE`" in refused.stderr) == (1, True)


def test_plan_and_dry_run_tell_of_results_of_other_cities(
    home: Path, onecard: Command, city_hsm: Hsm, sqlite_template: Path
) -> None:
    shutil.copyfile(sqlite_template, home / "onecard.db")
    engine = make_engine(f"sqlite:///{home / 'onecard.db'}")
    befriend(engine, city_hsm, home, [guest(1), guest(2, amount_fen=200)])
    engine.dispose()
    said(onecard(*NIGHT))
    refused = ResultLine(1, 0, 160, ResultCode.HOTLISTED)
    put_results(home / "inbox", city_hsm, [refused, ResultLine(1, 1, 201, ResultCode.ACCEPTED)])
    bad = put_results(home / "inbox", city_hsm, [], 2)
    bad.write_bytes(b"")
    plan, dry = (said(onecard("night", word, "2018-09-02")) for word in ("plan", "dry-run"))
    for words in (
        "Files of results of other cities", "KUNMING-00000001.ocr", "Will be turned away: KUNMING-00000002.ocr",
        "1 of our files for a receipt, 0 for results", "0 lines of results for a tap that they fit",
    ):  # fmt: skip
        assert words in plan
    for words in (
        "results of other cities: results 1, results_rejected 1, taps_refused 1, lines_odd 1",
        "Would be turned away: KUNMING-00000002.ocr",
        "Would be refused by KUNMING: hotlisted, 1 of the taps of BUS-1, 1.60 yuan",
        "Would fit no tap: line 1 of KUNMING-00000001.ocr, on tap 1 of file 1, 2.01 yuan: amount_differs",
    ):
        assert words in dry


def test_a_night_drops_answers_of_the_api_that_are_older_than_promised(home: Path, onecard: Command) -> None:
    engine = make_engine(f"sqlite:///{home / 'onecard.db'}")
    ages = {"young": KEPT - timedelta(hours=1), "old": KEPT + timedelta(seconds=1)}
    rows = [
        {"subject": "client:a", "idempotency_key": key, "fingerprint": b"f" * 32, "begun_at": now() - age}
        for key, age in ages.items()
    ]
    with writing(engine) as conn:
        conn.execute(insert(answer), rows)
    said(onecard(*NIGHT))
    with reading(engine) as conn:
        assert conn.scalars(select(answer.c.idempotency_key)).all() == ["young"]
    engine.dispose()


def test_work_is_taken_done_and_given_back_by_name(onecard: Command) -> None:
    said(onecard(*NIGHT))
    listed = said(onecard("queue", "list"))
    assert "METRO-1-00000002.ocb" in listed
    assert "late days" in listed
    assert "Item 1 is taken" in said(onecard("queue", "take", "1", "--by", "Li"))
    refused = onecard("queue", "done", "1", "--by", "Wu", "--note", "sent again")
    assert (refused.returncode, "item 1 was taken by Li; have it given back first" in refused.stderr) == (
        1,
        True,
    )
    assert "Item 1 is done" in said(onecard("queue", "done", "1", "--by", "Li", "--note", "sent again"))
    assert "METRO-1-00000002.ocb" not in said(onecard("queue", "list"))
    assert "Item 1 is open" in said(onecard("queue", "back", "1", "--by", "Wu", "--note", "it was not"))
    shown = said(onecard("queue", "show", "1"))
    assert all(word in shown for word in ("raised", "taken", "sent again", "it was not", "To do:"))
    assert "no item has number 99" in onecard("queue", "take", "99", "--by", "Li").stderr
    assert "--by '' names nobody" in onecard("queue", "take", "1", "--by", "").stderr


def test_an_interrupted_night_shows_as_such_and_takes_a_replaced_batch(
    home: Path, onecard: Command, city_hsm: Hsm, tmp_path: Path
) -> None:
    for tariff in (home / "tariffs").iterdir():
        tariff.rename(home / tariff.name)
    refused = onecard(*NIGHT)
    assert (refused.returncode, "there is no tariff" in refused.stderr) == (1, True)
    assert "match: there is no tariff" in said(onecard("queue", "list"))
    engine = make_engine(f"sqlite:///{home / 'onecard.db'}")
    file = put(tmp_path / "again", city_hsm, "METRO-1", 1, METRO_TAPS[1:])
    words = ("night", "replace-batch", "METRO-1", "1", file, "--reason", "doubled", "--by", "Li")
    with exclusive(engine, home / "nights"):
        assert "a night is running" in onecard(*words).stderr
    engine.dispose()
    replaced = said(onecard(*words))
    assert "goes on at collect, and does collect, verify anew" in replaced
    for tariff in home.glob("*.json"):
        tariff.rename(home / "tariffs" / tariff.name)
    assert "2018-09-01: finished" in said(onecard("night", DAY))
    assert "Batch 1 of METRO-1 was replaced by Li: doubled" in said(onecard("night", "status", DAY))
    again = onecard(*words)
    assert (again.returncode, "under a new number" in again.stderr) == (1, True)
    assert "tac_wrong 1" in said(onecard("night", "retry", "BUS-1", "1"))
    assert "has no tap in suspense" in onecard("night", "retry", "METRO-1", "1").stderr


def test_a_killed_night_is_said_to_be_interrupted_and_goes_on(
    home: Path, onecard: Command, foundry: Foundry, hsm_address: str
) -> None:
    settings = {"ONECARD_HOME": str(home), "ONECARD_HSM": hsm_address}
    night = foundry.start("onecard", NIGHT, settings, home.with_name("log"))
    wait_until(lambda: (home / "nights" / PROGRESS_FILE).exists())
    os.kill(night, signal.SIGSTOP)
    running = onecard("night", "status", DAY)
    foundry.end(night, signal.SIGKILL)
    assert "The night of 2018-09-01 runs: " in said(running)
    assert "was interrupted: nobody runs it now" in said(onecard("night", "status", DAY))
    assert "2018-09-01: finished" in said(onecard("night", DAY))


def test_ctrl_c_ends_a_night_there_and_then_and_says_how_it_goes_on(
    home: Path, onecard: Command, foundry: Foundry, hsm_address: str
) -> None:
    log = home.with_name("log")
    night = foundry.start("onecard", NIGHT, {"ONECARD_HOME": str(home), "ONECARD_HSM": hsm_address}, log)
    wait_until(lambda: (home / "nights" / PROGRESS_FILE).exists())
    os.kill(night, signal.SIGSTOP)
    os.kill(night, signal.SIGINT)
    assert foundry.end(night, signal.SIGCONT) == INTERRUPTED
    *_, last = log.read_text(encoding="utf-8").splitlines()
    advice = f"nothing is lost: `onecard night {DAY}` goes on at the first step that is not done"
    assert last == f"onecard: interrupted; {advice}"
    assert "2018-09-01: finished" in said(onecard("night", DAY))

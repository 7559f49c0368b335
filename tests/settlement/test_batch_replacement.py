"""A batch replaced before its postings: the night books as if the right file had come first, and nothing is lost."""

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from city.processes import RunningHsm
from clearing.archive import fetch
from clearing.context import StepResult
from clearing.tables import rejected_file
from ledger.db import reading, writing
from settlement.batch_replacement import (
    Asked,
    ReplaceRefusal,
    ReplaceRefused,
    replace_batch,
)
from settlement.night import run_night
from settlement.night_lock import NightRunning, exclusive
from settlement.replaced_batches import Replaced, replacements_of
from settlement.reports import night_summary
from tests.settlement.conftest import PreparedDay
from tests.settlement.killed_night import killed
from tests.settlement.small_day import AT, DAY, METRO_TAPS, Ridden, put
from tests.support.night_books import everything


class Stop(Exception):
    """Stands for a crash that Python survives."""


def stopped_before(day: PreparedDay, step: str) -> None:
    def observe(name: str, state: str, _result: StepResult | None) -> None:
        if (name, state) == (step, "started"):
            raise Stop

    with pytest.raises(Stop):
        run_night(day.engine, day.night, observe=observe)


def corrected(day: PreparedDay, tmp_path: Path, taps: tuple[Ridden, ...] = METRO_TAPS[1:]) -> bytes:
    return put(tmp_path / "sent again", day.night.hsm, "METRO-1", 1, taps).read_bytes()


def asked_for(content: bytes, operator: str = "METRO-1", sequence: int = 1) -> Asked:
    return Asked(operator, sequence, content, "entries were doubled", "Wang", AT + timedelta(hours=1))


def ask(day: PreparedDay, asked: Asked) -> Replaced | ReplaceRefused:
    night = day.night
    return replace_batch(
        day.engine, asked, hsm=night.hsm, inbox=night.inbox, archive=night.archive, nights=night.folder.parent
    )


@pytest.mark.parametrize("step", ["verify", "price", "post"])
def test_the_night_goes_on_with_the_new_file_and_keeps_the_old(
    day: PreparedDay, tmp_path: Path, step: str
) -> None:
    old = (day.night.inbox / "METRO-1-00000001.ocb").read_bytes()
    stopped_before(day, step)
    content = corrected(day, tmp_path)
    replaced = ask(day, asked_for(content))
    assert isinstance(replaced, Replaced)
    assert (replaced.old_count, replaced.new_count, replaced.undone[0]) == (5, 4, "collect")
    report = run_night(day.engine, day.night)
    counts = {one.step: one.counts for one in report.steps}
    assert counts["post"]["taps"] == 4 + 5 + 2
    assert [fetch(day.night.archive, digest) for digest in (replaced.old_digest, replaced.new_digest)] == [
        old, content,
    ]  # fmt: skip
    with reading(day.engine) as conn:
        assert replacements_of(conn, DAY) == [replaced]
        assert (
            night_summary(conn, DAY).files_rejected == 1
        )  # the damaged METRO-1 2, and not the withdrawn one


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
def test_no_batch_is_replaced_once_the_night_has_kept_its_taps(
    day: PreparedDay, hsm_process: RunningHsm, tmp_path: Path
) -> None:
    assert killed(hsm_process, day.database_url, day.home, "post", "kept") == -signal.SIGKILL
    refused = ask(day, asked_for(corrected(day, tmp_path)))
    assert isinstance(refused, ReplaceRefused)
    assert refused.refusal is ReplaceRefusal.BOOKED
    assert f"the night of {DAY} stopped as it had kept its taps" in refused.message
    run_night(day.engine, day.night)
    with reading(day.engine) as conn:
        assert night_summary(conn, DAY).difference_fen == 0


def test_a_replaced_batch_is_paid_by_what_the_new_file_says(day: PreparedDay, tmp_path: Path) -> None:
    stopped_before(day, "post")
    ask(day, asked_for(corrected(day, tmp_path, METRO_TAPS[1:4])))
    run_night(day.engine, day.night)
    with reading(day.engine) as conn:
        gross_fen = {row.participant: row.gross_fen for row in night_summary(conn, DAY).operators}
    assert gross_fen["METRO-1"] == sum(tap.amount_fen for tap in METRO_TAPS[1:4])


def booked(day: PreparedDay, tmp_path: Path) -> Asked:
    run_night(day.engine, day.night)
    return asked_for(corrected(day, tmp_path))


def not_collected(day: PreparedDay, tmp_path: Path) -> Asked:
    return asked_for(corrected(day, tmp_path))


def damaged(day: PreparedDay, tmp_path: Path) -> Asked:
    stopped_before(day, "post")
    return asked_for(corrected(day, tmp_path)[:-1])


def another_batch(day: PreparedDay, tmp_path: Path) -> Asked:
    stopped_before(day, "post")
    return asked_for(corrected(day, tmp_path), "BUS-1", 3)


def forged(day: PreparedDay, tmp_path: Path) -> Asked:
    stopped_before(day, "post")
    content = bytearray(corrected(day, tmp_path))
    content[-28] ^= 1  # the first byte of the MAC
    return asked_for(bytes(content))


def the_same_again(day: PreparedDay, tmp_path: Path) -> Asked:
    stopped_before(day, "post")
    return asked_for(corrected(day, tmp_path, METRO_TAPS))


@pytest.mark.parametrize(
    ("ask_for", "refusal", "said"),
    [
        (not_collected, ReplaceRefusal.NOT_COLLECTED, "put it into the inbox as METRO-1-00000001.ocb"),
        (booked, ReplaceRefusal.BOOKED, "a batch under a new number"),
        (damaged, ReplaceRefusal.NOT_A_BATCH, "send the file again"),
        (another_batch, ReplaceRefusal.OTHER_BATCH, "give the file of BUS-1-3"),
        (forged, ReplaceRefusal.MAC_WRONG, "with its own key"),
        (the_same_again, ReplaceRefusal.SAME_CONTENT, "give the corrected file"),
    ],
)
def test_what_cannot_be_replaced_is_refused_with_the_remedy_and_changes_nothing(
    day: PreparedDay,
    tmp_path: Path,
    ask_for: Callable[[PreparedDay, Path], Asked],
    refusal: ReplaceRefusal,
    said: str,
) -> None:
    asked = ask_for(day, tmp_path)
    rows = everything(day.engine)
    answer = ask(day, asked)
    assert isinstance(answer, ReplaceRefused)
    assert (answer.refusal, said in answer.remedy) == (refusal, True)
    assert everything(day.engine) == rows


def test_a_batch_is_not_replaced_under_a_running_night(day: PreparedDay, tmp_path: Path) -> None:
    with exclusive(day.engine, day.night.folder.parent), pytest.raises(NightRunning):
        ask(day, asked_for(corrected(day, tmp_path)))
    with reading(day.engine) as conn:
        assert replacements_of(conn, DAY) == []


def test_a_withdrawn_file_that_comes_again_is_turned_away_under_its_old_number(
    day: PreparedDay, tmp_path: Path
) -> None:
    stopped_before(day, "post")
    ask(day, asked_for(corrected(day, tmp_path)))
    put(day.night.inbox, day.night.hsm, "METRO-1", 1, METRO_TAPS)
    run_night(day.engine, day.night)
    with reading(day.engine) as conn:
        flaws = conn.scalars(
            select(rejected_file.c.flaw).where(rejected_file.c.name == "METRO-1-00000001.ocb")
        )
        assert flaws.all() == ["number_taken"]


def test_what_was_replaced_stays_written_down(day: PreparedDay, tmp_path: Path) -> None:
    stopped_before(day, "post")
    ask(day, asked_for(corrected(day, tmp_path)))
    ask(day, asked_for(corrected(day, tmp_path, METRO_TAPS[:2])))
    with reading(day.engine) as conn:
        assert [one.new_count for one in replacements_of(conn, DAY)] == [4, 2]
    with pytest.raises(DBAPIError, match="append-only"), writing(day.engine) as conn:
        conn.execute(text("UPDATE batch_replacement SET reason = 'another'"))

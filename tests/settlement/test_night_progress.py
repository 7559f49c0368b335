"""A running night seen from another process: the step, rows done, rate, and when step and night will end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clearing.context import StepResult
from settlement.night import STEPS, run_night
from settlement.night_lock import is_running
from settlement.night_pace import Pace
from settlement.night_progress import PROGRESS_FILE, Progress, Watch, read_progress
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import DAY, night_of

BEGAN = datetime(2018, 9, 1, 16, 0, tzinfo=UTC)
PACE = {"collect": Pace(1_000, 0), "verify": Pace(0, 1_000), "post": Pace(4_000, 0)}


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = BEGAN

    def __call__(self) -> datetime:
        return self.at

    def passes(self, ms: int) -> None:
        self.at += timedelta(milliseconds=ms)


def watch(folder: Path, hand: Hand, taps: int = 2_000) -> Watch:
    return Watch(DAY, list(PACE), PACE, taps, folder=folder, clock=hand, show=lambda _told, _result: None)


def told(folder: Path) -> Progress:
    found = read_progress(folder)
    assert found is not None
    return found


def test_a_night_that_begins_ends_when_its_steps_are_expected_to(tmp_path: Path) -> None:
    hand = Hand()
    watch(tmp_path, hand).observe("collect", "started", None)
    assert told(tmp_path).step_ends_at == BEGAN + timedelta(seconds=1)
    assert told(tmp_path).night_ends_at == BEGAN + timedelta(seconds=1 + 2 + 4)


def test_where_nothing_can_be_written_the_night_goes_on_and_is_shown(tmp_path: Path) -> None:
    """Telling how far it is must not be what stops a night on a full disk."""
    shown: list[Progress] = []
    blocked = tmp_path / "a-file-where-a-folder-should-be"
    blocked.touch()
    hand = Hand()
    night = Watch(
        DAY, list(PACE), PACE, 10, folder=blocked, clock=hand, show=lambda told, _result: shown.append(told)
    )
    night.observe("collect", "started", None)
    assert [one.step for one in shown] == ["collect"]
    assert not (blocked / PROGRESS_FILE).exists()


def test_rows_that_are_done_tell_the_rate_and_the_end_of_the_step(tmp_path: Path) -> None:
    hand = Hand()
    night = watch(tmp_path, hand)
    night.observe("verify", "started", None)
    hand.passes(4_000)
    night.progress("TACs", 500, 2_000)
    now = told(tmp_path)
    assert (now.step, now.what, now.done, now.total, now.per_s) == ("verify", "TACs", 500, 2_000, 125)
    assert now.step_ends_at == hand.at + timedelta(seconds=12)
    assert now.night_ends_at == hand.at + timedelta(seconds=12 + 4)


def test_a_slow_night_is_expected_to_stay_slow_and_counts_its_own_taps(tmp_path: Path) -> None:
    hand = Hand()
    night = watch(tmp_path, hand)
    night.observe("collect", "started", None)
    hand.passes(2_000)  # twice what was expected
    night.observe("collect", "done", StepResult({"taps": 1_000}))
    assert told(tmp_path).steps_done == 1
    assert told(tmp_path).night_ends_at == hand.at + timedelta(seconds=2 * (1 + 4))


def test_the_file_is_not_renewed_for_every_row(tmp_path: Path) -> None:
    hand = Hand()
    night = watch(tmp_path, hand)
    night.observe("verify", "started", None)
    night.progress("TACs", 1, 2_000)
    assert told(tmp_path).done == 0
    night.progress("TACs", 2_000, 2_000)
    assert told(tmp_path).done == 2_000


def test_a_real_night_tells_every_step_and_others_see_that_it_runs(day: PreparedDay) -> None:
    folder = day.night.folder.parent
    hand, seen, running = Hand(), [], []

    def show(now: Progress, result: StepResult | None) -> None:
        if result is None:
            running.append(is_running(day.engine, folder))
        else:
            seen.append((now.step, now.steps_done, read_progress(folder) == now))

    names = [name for name, _ in STEPS]
    shown = Watch(DAY, names, {}, 0, folder=folder, clock=hand, show=show)
    night = night_of(day.home, day.night.hsm)
    assert not is_running(day.engine, folder)
    run_night(day.engine, night, observe=shown.observe)
    assert seen == [(name, place + 1, True) for place, name in enumerate(names)]
    assert set(running) == {True}
    assert not is_running(day.engine, folder)


def test_nothing_is_told_where_no_night_ever_ran(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    (tmp_path / PROGRESS_FILE).write_text("{}")
    with pytest.raises(ValueError, match="remove it"):
        read_progress(tmp_path)

"""Chaos over the night: itself, its HSM, its database struck at random instants, its disk full; it ends as if not.

Every seed has its own database, victims and instants; a seed that fails prints what happened. `make soak SEEDS=200
FIRST=1` plays more of them (NIGHT_SEEDS and NIGHT_FIRST here): the same blows again, though not to the millisecond.
"""

import os

import pytest

from settlement.work_queue import State
from tests.city.night_blows import LATEST, ON_POSTGRESQL, ON_SQLITE, Blow, Fate, Victim, fate
from tests.city.night_stage import Stage
from tests.city.night_story import End, differences, story

FIRST, NIGHTS = int(os.environ.get("NIGHT_FIRST", "1")), int(os.environ.get("NIGHT_SEEDS", "20"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + NIGHTS))
def test_a_night_struck_at_random_ends_like_one_that_was_not(
    seed: int, night_stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    befalls = fate(seed)
    evening, undisturbed = night_stage.on(befalls.database)
    with story(evening, tmp_path_factory.mktemp("night") / f"seed-{seed}") as told:
        told.play(befalls, undisturbed.work_s)
        found = differences(undisturbed.end, told.end())
    assert found == [], "\n".join([str(told), *found])
    assert told.struck >= 1, str(told)


@pytest.mark.parametrize("victim", [Victim.DISK, Victim.FILE_LIMIT])
def test_a_night_without_room_says_what_is_full_and_goes_on_after_room_is_made(
    night_stage: Stage, tmp_path_factory: pytest.TempPathFactory, victim: Victim
) -> None:
    """Its books are on another disk, so that the refusal is in the work queue, too, until the night is finished."""
    evening, undisturbed = night_stage.on("postgresql")
    no_room = Blow(victim, after=0.3, lull_ms=0.0, room_bytes=0, at_once=False)
    with story(evening, tmp_path_factory.mktemp("night") / f"full-{victim.name.lower()}") as told:
        told.play(Fate("postgresql", (no_room,)), undisturbed.work_s)
        found = differences(undisturbed.end, told.end())
        refusals = told.refusals()
    assert found == [], "\n".join([str(told), *found])
    (refusal,) = refusals
    assert refusal.state is State.DONE
    assert "there is no room: " in refusal.what and str(told.home) in refusal.remedy
    assert "make room on the disk of" in refusal.remedy and "goes on at this step" in refusal.remedy
    assert refusal.what in str(told) and refusal.remedy in str(told)


def test_twenty_seeds_in_a_row_strike_everybody_with_something_left_to_do() -> None:
    fates = [fate(seed) for seed in range(1, 21)]
    struck = {(one.database, blow.victim) for one in fates for blow in one.blows}
    assert struck == {("sqlite", one) for one in ON_SQLITE} | {("postgresql", one) for one in ON_POSTGRESQL}
    assert any(len(one.blows) > 1 for one in fates)
    assert all(0 < sum(blow.after for blow in one.blows) <= LATEST for one in fates)


def test_whatever_a_night_has_left_otherwise_is_told() -> None:
    calm = End({"tap": [(1, "paid"), (2, "none")]}, {"a.csv": b"1\r\n2\r\n", "b.csv": b""}, ())
    torn = End({"tap": [(1, "paid")]}, {"a.csv": b"1\r\n2\n", "c.csv": b""}, ("books: 0.01 too much",))
    assert differences(calm, calm) == []
    assert differences(calm, torn) == [
        "books: 0.01 too much",
        "tap: 1 rows for 2; too many [], missing [(2, 'none')]",
        "file a.csv: line 2 is b'2\\n', not b'2\\r\\n'",
        "file b.csv: only there",
        "file c.csv: only here",
    ]

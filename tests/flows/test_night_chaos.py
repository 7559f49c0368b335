"""Chaos over the night: itself, its HSM, its database struck at random instants, its disk full; it ends as if not.

Every seed has its own database, victims and instants; a seed that fails prints what happened. `make soak SEEDS=200
FIRST=1` plays more of them: the same blows again, though not to the millisecond.
"""

import os

import pytest

from tests.city.night_blows import fate
from tests.city.night_stage import Stage
from tests.city.night_story import differences, story

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

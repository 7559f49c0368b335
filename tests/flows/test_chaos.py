"""Chaos: bad lines between all processes, any of them killed at random; nothing is lost, nothing is doubled.

A seed that fails prints its story. `make soak SEEDS=200 FIRST=1` plays more of them, `make soak SEEDS=1 FIRST=57`
that one again: it proposes the same and has the same weather, though not to the millisecond.
"""

import os
from pathlib import Path

import pytest

from tests.city.chaos_story import Stage, told_story
from tests.support.bad_lines import Fate

FIRST, STORIES = int(os.environ.get("CHAOS_FIRST", "1")), int(os.environ.get("CHAOS_SEEDS", "20"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + STORIES))
def test_nothing_is_lost_and_nothing_is_doubled(
    seed: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every third story is played on PostgreSQL, the others on SQLite."""
    stage: Stage = request.getfixturevalue("sqlite_stage" if seed % 3 else "postgres_stage")
    with told_story(stage, seed, tmp_path / "story") as story:
        differences = story.audited_day() + story.audited_night()
    assert differences == [], story.in_full(differences)
    done = story.orchestra.weather.done
    assert done.total() - done[Fate.PASS] >= 20, story.in_full([])
    assert sum("is killed" in line for line in story.orchestra.story.lines) >= 1, story.in_full([])

"""A counter's list of loads grows for years: what is asked at every load does not go through all of it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from terminals.loads import LoadJournal


@pytest.mark.parametrize("state", ["proven", "lost"])
def test_what_is_unfinished_is_found_without_reading_what_is_over(tmp_path: Path, state: str) -> None:
    path = tmp_path / "loads.db"
    with LoadJournal(path) as journal:
        assert (journal.unconfirmed(), journal.lost()) == ([], [])
    asked = f"EXPLAIN QUERY PLAN SELECT request FROM load WHERE state = '{state}' ORDER BY reference"
    with closing(sqlite3.connect(path)) as db:
        (step,) = db.execute(asked).fetchall()
    assert step[-1] == f"SCAN load USING INDEX load_{state}"

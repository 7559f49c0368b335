"""Rooms of DuckDB: whoever opens one finds nothing of another, has its own limits, and leaves nothing behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from clearing.engine.duck_room import PORTION_ROWS, end_those_left, kept_house, opened_room, threads_for

LARGE = "CREATE TABLE large AS SELECT range AS no, md5(range::VARCHAR) AS words FROM range(400000)"
NAMES = (
    "SELECT view_name FROM duckdb_views() WHERE NOT internal UNION ALL SELECT table_name FROM duckdb_tables()"
)
LIMITS = (
    "SELECT current_setting('memory_limit'), current_setting('temp_directory'), current_setting('threads')"
)


@pytest.fixture(autouse=True)
def nobody_was_here() -> Iterator[None]:
    """Begin and end with no instance that others have left."""
    end_those_left()
    yield
    end_those_left()


def instance(room: duckdb.DuckDBPyConnection) -> str:
    """What tells an instance from others: something that its first user names, for good, in its own memory."""
    room.execute("CREATE TABLE IF NOT EXISTS memory.main.named AS SELECT uuid()::VARCHAR AS name")
    ((name,),) = room.execute("SELECT name FROM memory.main.named").fetchall()
    return str(name)


def test_what_one_made_in_its_room_the_next_does_not_find(tmp_path: Path) -> None:
    numbers = pa.table({"no": [1, 2]})
    with opened_room("64MiB", tmp_path / "spill", threads=1) as room:
        first = instance(room)
        room.register("given", numbers)
        room.execute("CREATE TEMP VIEW seen AS SELECT * FROM given")
        room.execute("CREATE TEMP TABLE kept AS SELECT * FROM seen")
        room.execute("CREATE TEMP VIEW again AS SELECT * FROM kept")
        unread = room.table("again").to_arrow_reader(1)
    with opened_room("64MiB", tmp_path / "spill", threads=1) as room:
        assert instance(room) == first
        assert room.execute(NAMES).fetchall() == [("named",)]
    del unread


def test_each_room_has_its_own_limits_and_its_own_folder(tmp_path: Path) -> None:
    with opened_room("64MiB", tmp_path / "it's", threads=1) as room:
        assert room.execute(LIMITS).fetchall() == [("64.0 MiB", str(tmp_path / "it's"), 1)]
    with opened_room("32MiB", tmp_path / "other") as room:
        ((memory, folder, threads),) = room.execute(LIMITS).fetchall()
    with duckdb.connect(":memory:") as fresh:
        ((_, _, as_many_as_cores),) = fresh.execute(LIMITS).fetchall()
    assert (memory, folder, threads) == ("32.0 MiB", str(tmp_path / "other"), as_many_as_cores)


def test_only_work_that_can_be_shared_has_several_threads(tmp_path: Path) -> None:
    with opened_room("64MiB", tmp_path / "spill", threads_for(PORTION_ROWS)) as room:
        ((_, _, small),) = room.execute(LIMITS).fetchall()
    assert (small, threads_for(PORTION_ROWS + 1)) == (1, None)


def test_two_who_work_at_once_share_no_instance(tmp_path: Path) -> None:
    with opened_room("64MiB", tmp_path / "spill") as one, opened_room("32MiB", tmp_path / "spill") as other:
        assert instance(one) != instance(other)
        assert one.execute(LIMITS).fetchall() != other.execute(LIMITS).fetchall()


def test_what_has_spilled_leaves_no_file_and_no_instance(tmp_path: Path) -> None:
    with opened_room("8MiB", tmp_path / "spill", threads=1) as room:
        first = instance(room)
        room.execute(LARGE)
        assert list((tmp_path / "spill").iterdir())
    assert not (tmp_path / "spill").exists()
    with opened_room("8MiB", tmp_path / "spill", threads=1) as room:
        assert instance(room) != first


def test_what_has_held_much_is_not_kept_for_others(tmp_path: Path) -> None:
    with opened_room("512MiB", tmp_path / "spill", threads=1) as room:
        first = instance(room)
        room.execute(LARGE)
    with opened_room("512MiB", tmp_path / "spill", threads=1) as room:
        assert instance(room) != first


def test_nor_is_one_in_which_several_threads_have_worked(tmp_path: Path) -> None:
    with opened_room("64MiB", tmp_path / "spill", threads=2) as room:
        first = instance(room)
    with opened_room("64MiB", tmp_path / "spill", threads=1) as room:
        assert instance(room) != first


def test_a_block_keeps_one_for_all_its_large_work_and_nobody_else_has_it(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        with kept_house():
            for threads in (None, None, 2, 2):
                with opened_room("512MiB", tmp_path / "spill", threads=threads) as room:
                    found.append(instance(room))
                    room.execute(LARGE.replace("TABLE", "TEMP TABLE"))
        with pytest.raises(duckdb.ConnectionException):
            room.execute("SELECT 1")
    assert found[0] == found[1] and found[2] == found[3], "each number of threads has its own"
    assert len(set(found)) == 4
    with opened_room("512MiB", tmp_path / "spill") as room:
        assert instance(room) not in found


@pytest.mark.parametrize("failure", ["rule", "person"])
def test_work_that_fails_says_so_and_takes_its_instance_along(tmp_path: Path, failure: str) -> None:
    with (
        pytest.raises((duckdb.NotImplementedException, KeyboardInterrupt)),
        opened_room("64MiB", tmp_path / "spill", threads=1) as room,
    ):
        first = instance(room)
        raise duckdb.NotImplementedException("no such rule") if failure == "rule" else KeyboardInterrupt
    with opened_room("64MiB", tmp_path / "spill", threads=1) as room:
        assert instance(room) != first


def test_a_forked_process_starts_its_own_and_ends_in_peace(tmp_path: Path) -> None:
    with opened_room("64MiB", tmp_path / "spill", threads=1) as room:
        first = instance(room)
    if (child := os.fork()) == 0:
        try:
            with opened_room("64MiB", tmp_path / "spill", threads=1) as room:
                room.execute("CREATE TABLE taps AS SELECT 1 AS no")
                (tmp_path / "told").write_text(instance(room))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "told").read_text() not in ("", first)

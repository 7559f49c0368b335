"""A full disk is known whoever met it: writers of `/dev/full`, which is always full, and databases with a limit."""

import gc
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import URL, text
from sqlalchemy.exc import OperationalError

from ledger.db import make_engine, writing
from ledger.room import out_of_room
from settlement.workbook import Workbook


def write_file(path: Path) -> None:
    path.write_bytes(b"x")


def write_workbook(path: Path) -> None:
    with Workbook(path, datetime(2026, 3, 2, tzinfo=UTC)) as book:
        book.head(("line",))


def write_columns(path: Path) -> None:
    pq.write_table(pa.table({"no": [1]}), path)


def let_a_rule_write(path: Path) -> None:
    with duckdb.connect(":memory:") as engine:
        engine.execute(f"COPY (SELECT 1) TO '{path}' (USE_TMP_FILE false)")


def fail_in_the_clean_up_as_well(path: Path) -> None:
    try:
        write_file(path)
    finally:
        raise RuntimeError("and the clean-up failed, too")


@pytest.mark.parametrize(
    "write", [write_file, write_workbook, write_columns, let_a_rule_write, fail_in_the_clean_up_as_well]
)
def test_whoever_writes_onto_a_full_disk_is_understood(tmp_path: Path, write: Callable[[Path], None]) -> None:
    # By a link: who fails may remove what it was writing, and that must not be the machine's device.
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises((OSError, duckdb.Error, RuntimeError)) as raised:
        write(full)
    said = out_of_room(raised.value)
    assert said is not None and "No space left on device" in said
    # What could not be closed would say so when it is collected, and the test fail.
    del raised
    gc.collect()


def test_a_database_file_that_may_not_grow_is_understood(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'small.db'}")
    with pytest.raises(OperationalError) as raised, writing(engine) as conn:
        conn.execute(text("CREATE TABLE kept (content BLOB)"))
        conn.execute(text("PRAGMA max_page_count = 4"))
        conn.execute(text("INSERT INTO kept VALUES (zeroblob(1000000))"))
    engine.dispose()
    assert out_of_room(raised.value) == "database or disk is full"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no batch"),
        FileNotFoundError(2, "No such file or directory"),
        sqlite3.OperationalError("locked"),
    ],
)
def test_what_has_another_cause_is_not_taken_for_a_full_disk(error: Exception) -> None:
    assert out_of_room(error) is None


def test_a_database_server_whose_disk_is_full_is_understood(postgres_template: URL) -> None:
    """It says so in the system's words; here it is made to, as its own disk is everybody's."""
    engine = make_engine(postgres_template.render_as_string())
    full = (
        "DO $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
    )
    with pytest.raises(OperationalError) as raised, writing(engine) as conn:
        conn.execute(text(full))
    engine.dispose()
    assert out_of_room(raised.value) == "could not extend file: No space left on device"

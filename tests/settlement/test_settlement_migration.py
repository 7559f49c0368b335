"""The room's migration: as the tables are defined, there and back on both databases."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

import settlement.tables as tables
from ledger.db import metadata, migrate, reading, writing
from settlement.work_queue import Found, Kind, hand_over, items_of

OURS = {
    table.name
    for table in (
        tables.participant, tables.agreement, tables.calendar_year, tables.calendar_day, tables.position,
        tables.instruction, tables.night_run, tables.night_step, tables.batch_replacement, tables.work_item,
        tables.work_event, tables.account_change,
    )
}  # fmt: skip


def test_the_migration_makes_the_tables_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
    assert set(inspect(engine).get_table_names()) >= OURS


def test_the_migration_goes_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "base")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS


def test_a_second_deadline_goes_with_its_column_and_all_that_happened_stays(engine: Engine) -> None:
    day, at = date(2018, 9, 1), datetime(2018, 9, 1, 16, 30, tzinfo=UTC)
    for days, there in ((0, True), (1, False), (40, True)):
        night = day + timedelta(days=days)
        found = Found(Kind.FILE_MISSING, "BUS-1", night, 1, 0, "batch 2 never came", "ask for it")
        with writing(engine) as conn:
            hand_over(conn, [found] if there else [], (Kind.FILE_MISSING,), night, at=at)
    with reading(engine) as conn:
        before = items_of(conn)
    assert [one.due_on for one in before] == [day + timedelta(days=40)]
    migrate(engine, "0042_proposals_withdrawn")
    assert "due_on" not in {column["name"] for column in inspect(engine).get_columns("work_event")}
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as conn:
        conn.execute(text("DELETE FROM work_event"))
    migrate(engine)
    with reading(engine) as conn:
        (after,) = items_of(conn)
    assert (after.due_on, after.who, after.state) == (day, before[0].who, before[0].state)

"""The room's migration: as the tables are defined, there and back on both databases."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

import settlement.tables as tables
from ledger.db import metadata, migrate

OURS = {
    table.name
    for table in (
        tables.participant, tables.agreement, tables.calendar_year, tables.calendar_day, tables.position,
        tables.instruction, tables.night_run, tables.night_step, tables.batch_replacement, tables.work_item,
        tables.work_event,
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

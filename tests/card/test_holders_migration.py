"""The migration of holders: as the tables are defined, there and back, and the log that stays as written."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from card import tables
from ledger.db import metadata, migrate, writing

OURS = {
    table.name
    for table in (
        tables.data_key, tables.holder, tables.held_card, tables.link_number, tables.link_grant,
        tables.link_read, tables.loss, tables.lost_card,
    )
}  # fmt: skip


def test_the_migration_makes_the_tables_of_holders_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []


def test_the_checks_and_conditions_on_holders_are_those_of_the_migration(engine: Engine) -> None:
    found = inspect(engine)
    for name in OURS:
        table = metadata.tables[name]
        declared = {str(check.name) for check in table.constraints if str(check.name).startswith("ck_")}
        assert {check["name"] for check in found.get_check_constraints(name)} == declared
        assert {
            index["name"] for index in found.get_indexes(name) if "duplicates_constraint" not in index
        } == {index.name for index in table.indexes}


def test_the_tables_of_holders_go_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "base")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS


@pytest.mark.parametrize("change", ["UPDATE link_read SET reader = 'X'", "DELETE FROM link_read"])
def test_the_log_of_reads_is_append_only_in_the_database(engine: Engine, change: str) -> None:
    row = "('H0000000001', 'identity', 'R', 'treatment', '2026-01-01T00:00:00+00:00', 'full')"
    with writing(engine) as conn:
        conn.execute(
            text(f"INSERT INTO link_read (holder, kind, reader, purpose, read_at, outcome) VALUES {row}")
        )
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as conn:
        conn.execute(text(change))

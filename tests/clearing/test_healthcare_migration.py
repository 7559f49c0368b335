"""The sector's migration: as the tables are defined, there and back on both databases."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

import clearing.sectors.healthcare.tables as tables
from ledger.db import metadata, migrate

OURS = {
    table.name
    for table in (
        tables.hospital, tables.medical_cover, tables.hospital_bill, tables.hospital_bill_item,
        tables.insurer_answer, tables.insurer_day,
    )
}  # fmt: skip


def test_the_healthcare_migration_makes_the_tables_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
    assert set(inspect(engine).get_table_names()) >= OURS


def test_the_healthcare_migration_goes_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "base")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS

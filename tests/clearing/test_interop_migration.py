"""The migration of clearing centres: as the tables are defined, there and back on both databases."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

import clearing.interop.tables as tables
from ledger.db import metadata, migrate

OURS = {
    table.name
    for table in (
        tables.centre, tables.centre_issuer, tables.centre_file, tables.centre_tap, tables.centre_odd_line,
        tables.centre_day,
    )
}  # fmt: skip


def test_the_migration_makes_the_tables_of_centres_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
        for name in OURS:
            defined = {check.name for check in metadata.tables[name].constraints if check.name}
            found = {check["name"] for check in inspect(conn).get_check_constraints(name)}
            assert {one for one in defined if str(one).startswith("ck_")} == found


def test_the_tables_of_centres_go_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "0039_sales_withdrawn")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS

"""The migration of the card office and of load attempts: as the tables are defined, there and back."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from card import office_tables
from clearing import tables
from ledger.db import metadata, migrate

OURS = {
    table.name
    for table in (
        office_tables.card_batch, office_tables.blank, office_tables.personalised, office_tables.card_move,
        office_tables.replacement,        tables.load_attempt,
    )
}  # fmt: skip


def test_the_migrations_make_the_tables_of_the_office_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in {*OURS, "chip_load", "card"}

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []


def test_the_checks_on_the_offices_tables_are_those_of_the_migration(engine: Engine) -> None:
    found = inspect(engine)
    for name in OURS:
        declared = {
            str(check.name)
            for check in metadata.tables[name].constraints
            if str(check.name).startswith("ck_")
        }
        assert {check["name"] for check in found.get_check_constraints(name)} == declared


def test_the_offices_tables_go_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "0018_archive")
    names = set(inspect(engine).get_table_names())
    assert not OURS & names
    assert "later_counter" not in {column["name"] for column in inspect(engine).get_columns("chip_load")}
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS

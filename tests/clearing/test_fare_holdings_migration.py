"""The migration of fare products held: as the table is defined, there and back."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from clearing.tables import fare_holding
from ledger.db import metadata, migrate


def test_the_migration_makes_the_table_of_holdings_as_it_is_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) == fare_holding.name

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
    checks = inspect(engine).get_check_constraints(fare_holding.name)
    names = {f"ck_fare_holding_{name}" for name in ("card_no_is_20_digits", "withdrawal_is_whole")}
    assert {check["name"] for check in checks} == names


def test_the_table_of_holdings_goes_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "0022_card_office")
    assert fare_holding.name not in inspect(engine).get_table_names()
    migrate(engine)
    assert fare_holding.name in inspect(engine).get_table_names()

"""The two ways to open the database, and the migration of the ledger."""

import re
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.engine.interfaces import CacheStats
from sqlalchemy.exc import DBAPIError

from ledger import tables
from ledger.db import ALEMBIC_INI, make_engine, metadata, migrate, newest_revision, reading, writing
from ledger.verify import verify_books
from tests.ledger.conftest import begin
from tests.ledger.full_books import fill, public_key
from tests.ledger.some_books import Books
from tests.support.quick_databases import Copies


def test_the_tables_are_what_the_migration_makes(engine: Engine) -> None:
    def ours(found: Any, name: str | None, kind: str, _reflected: object, _compared: object) -> bool:
        if kind == "foreign_key_constraint" and engine.dialect.name == "postgresql":
            # Triggers hold theirs.
            return found.table.name not in ("ledger_total", "ledger_snapshot")
        return kind != "table" or (name or "").startswith("ledger_")

    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"include_object": ours, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_check_constraints_are_those_of_the_migration(engine: Engine) -> None:
    for table in metadata.tables.values():
        if not table.name.startswith("ledger_"):
            continue
        declared = {str(found.name) for found in table.constraints if str(found.name).startswith("ck_")}
        migrated = {found["name"] for found in inspect(engine).get_check_constraints(table.name)}
        assert migrated == declared


def test_migrations_go_up_and_down_and_up_again_with_full_books(books: Books) -> None:
    engine, ours = books.engine, {name for name in metadata.tables if name.startswith("ledger_")}
    fill(books)
    with reading(engine) as conn:
        full = {name for name in ours if conn.execute(metadata.tables[name].select()).first()}
    # No month of these books is over, and archived.
    assert full == ours - {"ledger_archive"}
    migrate(engine, "base")
    assert left_of_the_ledger(engine) == []
    migrate(engine)
    assert ours <= set(inspect(engine).get_table_names())
    # What was made again takes the same books, under the same guards.
    begin(engine)
    fill(books)
    with reading(engine) as conn:
        assert list(verify_books(conn, public_key)) == []
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as conn:
        conn.execute(text("DELETE FROM ledger_line"))


def left_of_the_ledger(engine: Engine) -> list[str]:
    """Lasting tables, partitions among them, and functions and triggers that bear the ledger's name."""
    queries = {
        "sqlite": "SELECT name FROM sqlite_master WHERE name LIKE '%ledger%' ORDER BY 1",
        "postgresql": "SELECT relname::text FROM pg_class WHERE relname LIKE '%ledger%' AND relpersistence <> 't'"
        " UNION SELECT proname::text FROM pg_proc WHERE proname LIKE '%ledger%'"
        " UNION SELECT tgname::text FROM pg_trigger WHERE tgname LIKE '%ledger%' ORDER BY 1",
    }
    with reading(engine) as conn:
        return list(conn.scalars(text(queries[engine.dialect.name])))


def test_programs_that_start_together_upgrade_the_database_once(engine: Engine, database_url: str) -> None:
    migrate(engine, "base")
    spawned = get_context("spawn")
    together = spawned.Barrier(3)
    programs = [spawned.Process(target=migrate_with_others, args=(database_url, together)) for _ in range(3)]
    for one in programs:
        one.start()
    for one in programs:
        one.join(timeout=60)
    assert [one.exitcode for one in programs] == [0, 0, 0]
    assert {"ledger_account", "ledger_line"} <= set(inspect(engine).get_table_names())


def migrate_with_others(url: str, together: Barrier) -> None:
    """One program's start, at the same moment as the others'."""
    engine = make_engine(url)
    together.wait(timeout=60)
    migrate(engine)


def test_reading_can_change_nothing(engine: Engine) -> None:
    insert = "INSERT INTO ledger_control VALUES ('purse', 0, 0)"
    with pytest.raises(DBAPIError, match=re.compile("read.?only", re.IGNORECASE)), reading(engine) as conn:
        conn.execute(text(insert))
    with writing(engine) as conn:
        conn.execute(text(insert))


def test_reading_sees_one_snapshot(engine: Engine) -> None:
    with reading(engine) as conn:
        count = text("SELECT count(*) FROM ledger_control")
        assert conn.execute(count).scalar_one() == 0
        with writing(engine) as other:
            other.execute(text("INSERT INTO ledger_control VALUES ('purse', 0, 0)"))
        assert conn.execute(count).scalar_one() == 0


def test_what_fails_while_writing_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as conn:
        conn.execute(
            tables.control.insert().values(segment="purse", debits_posted_fen=0, credits_posted_fen=0)
        )
        raise ZeroDivisionError
    with reading(engine) as conn:
        assert conn.execute(tables.control.select()).all() == []


def test_sqlite_waits_for_its_disk(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'books.db'}")
    with engine.connect() as conn:
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    engine.dispose()


def test_the_newest_migration_by_its_name_is_where_alembics_history_ends() -> None:
    script = ScriptDirectory.from_config(Config(ALEMBIC_INI))
    assert script.get_heads() == [newest_revision()]


def test_what_one_engine_has_compiled_another_of_its_kind_runs_on_its_own_database(
    request: pytest.FixtureRequest, engine: Engine
) -> None:
    copies: Copies = request.getfixturevalue(f"{engine.dialect.name}_copies")
    statement = select(tables.account.c.code)
    with engine.connect() as conn:  # an engine shares from its first connection on
        conn.execute(statement)
    begin(engine)
    with copies.copied("migrated", migrate) as url:
        other = make_engine(url)
        with reading(engine) as conn, reading(other) as beside:
            ours, theirs = conn.execute(statement), beside.execute(statement)
            assert isinstance(theirs.context, DefaultExecutionContext)
            assert theirs.context.cache_hit is CacheStats.CACHE_HIT
            assert len(ours.all()) > len(theirs.all()) == 0
        other.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_instants_are_written_alike_whatever_a_server_is_set_to(engine: Engine, database_url: str) -> None:
    with engine.begin() as conn:
        name = conn.execute(text("SELECT current_database()")).scalar_one()
        conn.execute(text(f"ALTER DATABASE {name} SET datestyle = 'German, DMY'"))
    elsewhere = make_engine(database_url)
    with reading(elsewhere) as conn:
        written = conn.execute(
            text("SELECT CAST(CAST('2026-03-02 08:00:01' AS timestamp) AS text)")
        ).scalar_one()
    elsewhere.dispose()
    assert written == "2026-03-02 08:00:01"

"""Devices: registered once, withdrawn at an instant; the tables are what the migrations make."""

from dataclasses import replace
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, ForeignKeyConstraint, Index, Table

import card.tables
import clearing.tables
from clearing.devices import Device, known_operators, register_devices, withdraw_device
from ledger.accounts import Conflict
from ledger.db import metadata, migrate, writing
from tests.support.clearing_day import at, terminal_no

DEVICE = Device(terminal_no(1), "BUS-1", at(0))
OURS = {
    made.name
    for room in (card.tables, clearing.tables)
    for made in vars(room).values()
    if isinstance(made, Table)
}


def test_a_device_is_registered_once_and_makes_its_operator_known(engine: Engine) -> None:
    moved = replace(DEVICE, operator="BUS-2", valid_from=at(8))
    with writing(engine) as conn:
        assert known_operators(conn) == set()
        assert register_devices(conn, [DEVICE, moved, DEVICE]) == 2
        assert register_devices(conn, [DEVICE]) == 0
        assert known_operators(conn) == {"BUS-1", "BUS-2"}
        with pytest.raises(Conflict, match=DEVICE.terminal):
            register_devices(conn, [replace(DEVICE, max_amount_fen=100)])


def test_a_withdrawn_device_ends_at_the_instant(engine: Engine) -> None:
    with writing(engine) as conn:
        register_devices(conn, [DEVICE])
        assert withdraw_device(conn, DEVICE.terminal, "BUS-2", at=at(9)) == 0
        assert withdraw_device(conn, DEVICE.terminal, "BUS-1", at=at(9)) == 1
        assert withdraw_device(conn, DEVICE.terminal, "BUS-1", at=at(10)) == 0
        assert register_devices(conn, [replace(DEVICE, valid_to=at(9))]) == 0


@pytest.mark.parametrize("terminal", ["", "51800000001", "51800000000g", "5180000000ab"])
def test_a_terminal_number_that_is_none_is_refused(engine: Engine, terminal: str) -> None:
    with writing(engine) as conn, pytest.raises(ValueError, match="is not 12 hex digits"):
        register_devices(conn, [replace(DEVICE, terminal=terminal)])


def test_the_tables_are_what_the_migrations_make_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "base")
    migrate(engine)
    assert {"card", "hotlist", "tap", "batch_file", "chip_load"} < OURS
    with engine.connect() as conn:
        options = {
            "include_name": lambda name, kind, _: kind != "table" or name in OURS,
            "include_object": lambda item, *_: not _is_a_trigger(item, conn),
        }
        context = MigrationContext.configure(conn, opts=options)
        differences = [found for found in compare_metadata(context, metadata) if _is_ours(found)]
    assert differences == []
    with writing(engine) as conn:
        assert register_devices(conn, [replace(DEVICE, valid_to=at(0) + timedelta(days=1))]) == 1


def _is_a_trigger(item: object, conn: Connection) -> bool:
    """Whether a key is defined that PostgreSQL has a trigger for: tests/clearing/test_taps_belong.py."""
    key = isinstance(item, ForeignKeyConstraint) and item.table.name == "tap"
    return key and conn.dialect.name == "postgresql"


def _is_ours(found: object) -> bool:
    if isinstance(found, tuple) and isinstance(found[1], Table | Index):
        table = found[1].table if isinstance(found[1], Index) else found[1]
        return table is not None and table.name in OURS
    return any(f"'{name}'" in repr(found) for name in OURS)

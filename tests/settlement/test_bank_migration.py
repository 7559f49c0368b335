"""The migration of the bank's answers: as the tables are defined, there and back with rows on both databases."""

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError

import settlement.bank.tables as tables
from ledger.db import metadata, migrate, reading, writing
from settlement.participants import register_participants
from settlement.tables import instruction
from tests.settlement.small_day import DAY, PARTICIPANTS

AT = datetime(2018, 9, 1, 16, 30, tzinfo=UTC)
OURS = {
    table.name
    for table in (
        tables.bank_file, tables.bank_status, tables.bank_statement, tables.bank_line, tables.bank_proposal,
        instruction,
    )
}  # fmt: skip


def test_the_migration_makes_the_banks_tables_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
        for name in OURS:
            defined = {check.name for check in metadata.tables[name].constraints if check.name}
            found = {check["name"] for check in inspect(conn).get_check_constraints(name)}
            assert {one for one in defined if str(one).startswith("ck_")} == found


def stored(engine: Engine, states: tuple[str, ...]) -> None:
    """Two instructions in these states, as the schema of that moment has them."""
    with writing(engine) as conn:
        register_participants(conn, PARTICIPANTS, at=AT)
        for number, state in enumerate(states, 1):
            conn.execute(
                text(
                    "INSERT INTO settlement_instruction (end_to_end_id, business_date, participant, amount_fen,"
                    " value_date, account_no, bank_code, message_id, state, created_at) VALUES"
                    " (:id, :day, 'METRO-1', 100, :day, '1', '123456789012', 'M', :state, :at)"
                ),
                {"id": f"E{number}", "day": DAY.isoformat() if engine.dialect.name == "sqlite" else DAY,
                 "state": state, "at": AT.isoformat() if engine.dialect.name == "sqlite" else AT},
            )  # fmt: skip


def states(engine: Engine) -> list[str]:
    with reading(engine) as conn:
        return list(conn.scalars(text("SELECT state FROM settlement_instruction ORDER BY end_to_end_id")))


def test_instructions_keep_what_became_of_them_as_far_as_the_older_schema_knows_it(engine: Engine) -> None:
    stored(engine, ("awaiting_bank", "accepted", "paid", "rejected", "returned"))
    migrate(engine, "0043_work_due_again")
    assert states(engine) == ["awaiting_bank", "awaiting_bank", "paid", "refused", "refused"]
    assert not (OURS - {instruction.name}) & set(inspect(engine).get_table_names())
    checks = {check["name"] for check in inspect(engine).get_check_constraints(instruction.name)}
    assert checks == {"ck_settlement_instruction_amount", "ck_settlement_instruction_state"}
    migrate(engine)
    assert states(engine) == ["awaiting_bank", "awaiting_bank", "paid", "rejected", "rejected"]
    with reading(engine) as conn:
        assert list(conn.scalars(select(instruction.c.paid_fen).order_by(instruction.c.end_to_end_id))) == [
            0, 0, 100, 0, 0,
        ]  # fmt: skip
    assert {index["name"] for index in inspect(engine).get_indexes(instruction.name)} >= {
        "ix_settlement_instruction_business_date", "ix_settlement_instruction_state",
    }  # fmt: skip


def test_what_a_status_report_said_can_be_neither_changed_nor_deleted(engine: Engine) -> None:
    with writing(engine) as conn:
        conn.execute(
            tables.bank_file.insert(),
            {"number": 1, "digest": "0" * 64, "name": "a.xml", "kind": "status", "state": "taken", "message": "",
             "remedy": "", "read_at": AT, "read_on": DAY},
        )  # fmt: skip
        conn.execute(
            tables.bank_status.insert(),
            {"file": 1, "position": 1, "end_to_end_id": "E1", "level": "group", "status": "RJCT",
             "reason_code": "", "reason": "", "effect": "unknown"},
        )  # fmt: skip
    for statement in ("UPDATE bank_status SET status = 'ACSC'", "DELETE FROM bank_status"):
        with pytest.raises(DBAPIError, match="append-only"), writing(engine) as conn:
            conn.execute(text(statement))
    with reading(engine) as conn:
        assert conn.scalar(select(tables.bank_status.c.status)) == "RJCT"

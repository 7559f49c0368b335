"""Terminals at the gateway: enrolled once, under one key at a time and the next one on offer; the tables."""

from dataclasses import replace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from api.gateway.tables import gateway_message, gateway_terminal
from api.gateway.terminals import (
    GatewayTerminal,
    enrol_terminal,
    find_terminal,
    offer_key,
    take_up_key,
    withdraw_terminal,
)
from ledger.accounts import Conflict
from ledger.db import metadata, migrate, writing
from tests.support.counter_city import NOW

TERMINAL = GatewayTerminal("POS00001", "SHOP-1", 1)
OURS = {gateway_terminal.name, gateway_message.name}


def test_enrolling_again_changes_nothing_and_otherwise_is_a_conflict(engine: Engine) -> None:
    with writing(engine) as conn:
        assert enrol_terminal(conn, TERMINAL, at=NOW)
        assert not enrol_terminal(conn, TERMINAL, at=NOW)
        assert find_terminal(conn, "POS00001") == TERMINAL
        assert find_terminal(conn, "POS00002") is None
        for other in (
            replace(TERMINAL, merchant="SHOP-2"),
            replace(TERMINAL, specification="ascii"),
            replace(TERMINAL, master_key_version=2),
        ):
            with pytest.raises(Conflict, match="POS00001"):
                enrol_terminal(conn, other, at=NOW)


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"terminal": "POS1"}, "8 digits or capital letters"),
        ({"terminal": "pos00001"}, "8 digits or capital letters"),
        ({"merchant": "A-MERCHANT-OF-16"}, "at most 15"),
        ({"merchant": "shop"}, "at most 15"),
        ({"specification": "visa"}, "china-pos"),
    ],
)
def test_what_does_not_fit_the_fields_is_not_enrolled(
    engine: Engine, changes: dict[str, Any], remedy: str
) -> None:
    with writing(engine) as conn, pytest.raises(ValueError, match=remedy):
        enrol_terminal(conn, replace(TERMINAL, **changes), at=NOW)


def test_a_key_on_offer_takes_over_when_it_is_used_and_not_before(engine: Engine) -> None:
    one, two, three = (bytes([number]) * 24 for number in (1, 2, 3))
    with writing(engine) as conn:
        enrol_terminal(conn, TERMINAL, at=NOW)
        assert keys(conn) == ()
        offer_key(conn, "POS00001", one, at=NOW)
        assert keys(conn) == (one,)
        take_up_key(conn, "POS00001", one)
        offer_key(conn, "POS00001", two, at=NOW)
        offer_key(conn, "POS00001", three, at=NOW)
        assert keys(conn) == (three, one)
        take_up_key(conn, "POS00001", one)
        take_up_key(conn, "POS00001", two)
        assert keys(conn) == (three, one)
        take_up_key(conn, "POS00001", three)
        assert keys(conn) == (three,)


def keys(conn: Any) -> tuple[bytes, ...]:
    found = find_terminal(conn, "POS00001")
    assert found is not None
    assert "x01" not in repr(found)
    return found.keys


def test_withdrawing_is_done_once(engine: Engine) -> None:
    with writing(engine) as conn:
        enrol_terminal(conn, TERMINAL, at=NOW)
        assert withdraw_terminal(conn, "POS00001", at=NOW)
        assert not withdraw_terminal(conn, "POS00001", at=NOW)
        assert not withdraw_terminal(conn, "POS00002", at=NOW)
        found = find_terminal(conn, "POS00001")
    assert found is not None
    assert found.withdrawn_at == NOW


def test_the_gateways_migration_makes_the_tables_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
    migrate(engine, "0011_api")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS

"""The migration of holder classes: every class of the chip comes into stock and register, there and back."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from card.chip.files import HIGHEST_HOLDER_CLASS
from card.life import Act
from card.registry import CardRecord, find, register
from card.stock import Batch, find_blank, receive_batch
from ledger.db import make_engine, migrate, reading, writing
from tests.card.people import NOW

CARD = CardRecord("03104870000000000001", "01011000", 1, 1, 0, NOW)
BEFORE = "0033_fare_holdings"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(holder_class=st.integers(1, HIGHEST_HOLDER_CLASS))
def test_a_card_of_any_class_of_the_chip_comes_into_stock_and_register(
    engine: Engine, holder_class: int
) -> None:
    number = f"03104870000000{holder_class:06d}"
    with writing(engine) as conn:
        register(conn, [replace(CARD, card_no=number, holder_class=holder_class)], at=NOW)
        assert find(conn, number) == replace(CARD, card_no=number, holder_class=holder_class)
        first = f"03104870000001{holder_class:06d}"
        receive_batch(
            conn,
            Batch(f"b{holder_class}", "01011000", first, 1, holder_class),
            Act("ann", NOW, "new", "DEPOT"),
        )
        blank = find_blank(conn, first)
        assert blank is not None and blank.holder_class == holder_class


@pytest.mark.parametrize("holder_class", [0, HIGHEST_HOLDER_CLASS + 1])
@pytest.mark.parametrize("table", ["card", "card_batch"])
def test_a_class_that_no_chip_has_is_refused_by_the_database(
    engine: Engine, table: str, holder_class: int
) -> None:
    with writing(engine) as conn:
        register(conn, [CARD], at=NOW)
        receive_batch(
            conn, Batch("b", "01011000", "03104870000000000500", 1), Act("ann", NOW, "new", "DEPOT")
        )
    with pytest.raises(IntegrityError), writing(engine) as conn:
        conn.execute(text(f"UPDATE {table} SET holder_class = {holder_class}"))


def test_the_classes_go_down_and_up_again_with_every_card_kept(database_url: str) -> None:
    engine = make_engine(database_url)
    with writing(engine) as conn:
        register(conn, [CARD], at=NOW)
    migrate(engine, BEFORE)
    with pytest.raises(IntegrityError), writing(engine) as conn:
        conn.execute(text("UPDATE card SET holder_class = 4"))
    migrate(engine)
    with writing(engine) as conn:
        conn.execute(text("UPDATE card SET holder_class = 4"))
    with reading(engine) as conn:
        assert find(conn, CARD.card_no) == replace(CARD, holder_class=4)
        if engine.dialect.name == "sqlite":
            assert conn.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
            assert conn.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    with pytest.raises(ValueError, match="card has cards of class 4; give them class 1 to 3"):
        migrate(engine, BEFORE)
    engine.dispose()

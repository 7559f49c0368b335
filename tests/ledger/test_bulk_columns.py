"""What is inserted from columns is what comes out again, whatever is in them, on both databases."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
)

from ledger import bulk_columns
from ledger.bulk_columns import insert_columns
from ledger.db import Fen, Instant, writing

PARCEL = Table(
    "parcel",
    MetaData(),
    Column("place", Integer, primary_key=True),
    Column("amount_fen", Fen),
    Column("code", String(20)),
    Column("due", Date),
    Column("at", Instant),
    Column("paid", Boolean),
    Column("octets", LargeBinary),
    Column("note", String(200)),
    prefixes=["TEMPORARY"],
)
TYPES = {
    "place": pa.int64(),
    "amount_fen": pa.int64(),
    "code": pa.string(),
    "due": pa.date32(),
    "at": pa.timestamp("us", "UTC"),
    "paid": pa.bool_(),
    "octets": pa.binary(),
    "note": pa.string(),
}
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.sampled_from(["A", "B", "站台", "tab\tline\n\\"]),
        st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
        st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        st.none() | st.booleans(),
        st.none() | st.binary(max_size=4),
        st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5),
    ),
    max_size=8,
)


def as_table(rows: list[tuple[object, ...]]) -> pa.Table:
    """Rows without their place as columns, with it."""
    columns = zip(*[(place, *row) for place, row in enumerate(rows)], strict=True) if rows else [()] * 8
    return pa.table(
        {
            name: pa.array(list(column), of_type)
            for (name, of_type), column in zip(TYPES.items(), columns, strict=True)
        }
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(rows=ROWS, cut=st.integers(0, 8))
def test_every_column_comes_back_as_it_was_given(
    engine: Engine, rows: list[tuple[object, ...]], cut: int
) -> None:
    table = as_table(rows)
    with writing(engine) as conn:
        PARCEL.create(conn)
        insert_columns(conn, PARCEL, [table.slice(0, cut), table.slice(cut)])
        found = [tuple(row) for row in conn.execute(select(PARCEL).order_by(PARCEL.c.place))]
        PARCEL.drop(conn)
    assert found == [(place, *row) for place, row in enumerate(rows)]


def test_pieces_are_cut_smaller_and_columns_may_come_in_any_order(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_columns, "CHUNK_ROWS", 2)
    table = pa.table({"code": pa.array(list("abcde")), "place": pa.array([4, 3, 2, 1, 0], pa.int32())})
    with writing(engine) as conn:
        PARCEL.create(conn)
        insert_columns(conn, PARCEL, [table])
        found = conn.execute(select(PARCEL.c.place, PARCEL.c.code).order_by(PARCEL.c.place)).all()
        PARCEL.drop(conn)
    assert [tuple(row) for row in found] == [(0, "e"), (1, "d"), (2, "c"), (3, "b"), (4, "a")]


def test_no_pieces_insert_no_rows(engine: Engine) -> None:
    with writing(engine) as conn:
        PARCEL.create(conn)
        insert_columns(conn, PARCEL, [])
        assert conn.execute(select(PARCEL)).all() == []
        PARCEL.drop(conn)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_a_number_that_does_not_fit_is_refused_before_it_is_sent(engine: Engine, number: int) -> None:
    with pytest.raises((pa.ArrowInvalid, OverflowError)), writing(engine) as conn:
        PARCEL.create(conn)
        insert_columns(conn, PARCEL, [pa.table({"place": pa.array([1, number], pa.int64())})])

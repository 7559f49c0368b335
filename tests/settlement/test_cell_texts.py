"""Cells that the database writes are those that Python would write."""

from datetime import UTC, date, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, Date, Engine, Integer, MetaData, Table, select

from ledger.db import Instant, writing
from settlement.bank_files import decimal_yuan
from settlement.cell_texts import city_time_text, date_text, joined_cells, ride_text, yuan_text
from settlement.statement_lines import city_time, ride_name

TAP = Table(
    "cell",
    MetaData(),
    Column("amount_fen", BigInteger),
    Column("at", Instant),
    Column("ride", Integer),
    Column("day", Date),
    prefixes=["TEMPORARY"],
)
MOSTLY = date(2026, 3, 2)
# The city's clock has been as it is since 1992.
INSTANTS = st.datetimes(datetime(1992, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    amount_fen=st.integers(-(10**15), 10**15) | st.integers(-120, 120),
    at=st.none() | INSTANTS,
    ride=st.integers(0, 9),
    day=st.dates(date(1992, 1, 1)) | st.just(MOSTLY),
)
def test_a_row_by_the_database_is_the_row_by_python(
    engine: Engine, amount_fen: int, at: datetime | None, ride: int, day: date
) -> None:
    with writing(engine) as conn:
        TAP.create(conn)
        conn.execute(TAP.insert(), {"amount_fen": amount_fen, "at": at, "ride": ride, "day": day})
        cells = [
            yuan_text(TAP.c.amount_fen),
            city_time_text(conn, TAP.c.at),
            ride_text(TAP.c.ride),
            date_text(TAP.c.day, MOSTLY),
        ]
        row = conn.execute(select(joined_cells(cells))).scalar_one()
        TAP.drop(conn)
    assert row == ",".join([decimal_yuan(amount_fen), city_time(at), ride_name(ride), day.isoformat()])

"""Cells that are made in columns are those that Python makes one by one."""

import math
from datetime import UTC, date, datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from settlement.bank_files import decimal_yuan
from settlement.cell_texts import (
    city_time_texts,
    date_texts,
    each_once,
    joined_cells,
    number_texts,
    yuan_texts,
)
from settlement.statement_lines import city_time, ride_name

# The city's clock has been as it is since 1992.
INSTANTS = st.datetimes(datetime(1992, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
ROWS = st.tuples(
    st.integers(0, (1 << 32) - 1),
    st.none() | st.integers(-(10**15), 10**15) | st.integers(-120, 120),
    st.none() | INSTANTS,
    st.integers(0, 9),
    st.dates(date(1992, 1, 1)) | st.just(date(2026, 3, 2)),
)


@given(rows=st.lists(ROWS))
def test_rows_made_in_columns_are_the_rows_by_python(
    rows: list[tuple[int, int | None, datetime | None, int, date]],
) -> None:
    numbers, amounts, instants, rides, days = zip(*rows, strict=True) if rows else ((),) * 5
    made = joined_cells(
        [
            number_texts(pa.array(numbers, pa.int64())),
            yuan_texts(pa.array(amounts, pa.int64())),
            city_time_texts(pa.array([at and math.floor(at.timestamp()) for at in instants], pa.int64())),
            each_once(pa.array(rides, pa.int64()), ride_name),
            date_texts(pa.array(days, pa.date32()).cast(pa.int32())),
        ]
    )
    assert made.to_pylist() == [
        ",".join(
            [
                str(number),
                "" if fen is None else decimal_yuan(fen),
                city_time(at),
                ride_name(ride),
                day.isoformat(),
            ]
        )
        for number, fen, at, ride, day in rows
    ]

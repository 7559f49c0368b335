"""The bank calendar: holidays, make-up workdays, and years nobody has announced."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from ledger.accounts import Conflict
from ledger.db import reading, writing
from settlement.calendar import ANNOUNCED_YEARS, Calendar, YearUnknown, configure_year, load_calendar
from tests.settlement.small_day import MORNING

UNKNOWN_YEAR = max(ANNOUNCED_YEARS) + 3
NEW_YEAR = date(UNKNOWN_YEAR, 1, 1)


@pytest.mark.parametrize(
    ("business_date", "working_days", "value_date"),
    [
        (date(2018, 8, 31), 0, date(2018, 8, 31)),  # a Friday
        (date(2018, 8, 31), 1, date(2018, 9, 3)),
        (date(2018, 9, 1), 0, date(2018, 9, 3)),  # a Saturday
        (date(2018, 9, 1), 1, date(2018, 9, 3)),
        (date(2018, 9, 28), 1, date(2018, 9, 29)),  # a Saturday worked for the National Day week
        (date(2018, 9, 30), 1, date(2018, 10, 8)),  # the National Day week
        (date(2018, 9, 30), 2, date(2018, 10, 9)),
        (date(2020, 1, 23), 1, date(2020, 2, 3)),  # the holiday that was extended
    ],
)
def test_money_moves_on_the_working_day_that_the_cycle_names(
    business_date: date, working_days: int, value_date: date
) -> None:
    assert Calendar().value_date(business_date, working_days) == value_date


@given(
    business_date=st.dates(date(2010, 1, 1), date(2024, 11, 30)),
    working_days=st.integers(0, 6),
)
def test_a_value_date_has_exactly_its_working_days_before_it(business_date: date, working_days: int) -> None:
    calendar = Calendar()
    value_date = calendar.value_date(business_date, working_days)
    later = [business_date + timedelta(days=n) for n in range(1, (value_date - business_date).days + 1)]
    assert calendar.is_working(value_date)
    passed = sum(calendar.is_working(day) for day in later)
    assert passed == working_days or (
        working_days == 0 and passed == 1 and not calendar.is_working(business_date)
    )


def test_a_year_that_nobody_announced_is_refused_with_its_remedy() -> None:
    with pytest.raises(YearUnknown, match=f"holidays and make-up workdays of {UNKNOWN_YEAR} as `bank_years`"):
        Calendar().is_working(NEW_YEAR)


def test_a_configured_year_follows_its_configuration(engine: Engine) -> None:
    monday = next(day for n in range(7) if (day := NEW_YEAR + timedelta(days=n)).weekday() == 0)
    saturday = monday + timedelta(days=5)
    with writing(engine) as conn:
        assert configure_year(conn, UNKNOWN_YEAR, holidays=[monday], workdays=[saturday], at=MORNING)
        assert not configure_year(conn, UNKNOWN_YEAR, holidays=[monday], workdays=[saturday], at=MORNING)
        with pytest.raises(Conflict, match=str(UNKNOWN_YEAR)):
            configure_year(conn, UNKNOWN_YEAR, holidays=[], workdays=[saturday], at=MORNING)
    with reading(engine) as conn:
        calendar = load_calendar(conn)
    week = [calendar.is_working(monday + timedelta(days=n)) for n in range(7)]
    assert week == [False, True, True, True, True, True, False]
    assert Calendar().is_working(date(2018, 9, 29))


@pytest.mark.parametrize(("holidays", "workdays"), [([date(2018, 1, 1)], []), ([NEW_YEAR], [NEW_YEAR])])
def test_a_day_of_another_year_or_named_twice_is_refused(
    engine: Engine, holidays: list[date], workdays: list[date]
) -> None:
    with writing(engine) as conn, pytest.raises(ValueError, match="give each day once"):
        configure_year(conn, UNKNOWN_YEAR, holidays=holidays, workdays=workdays, at=MORNING)

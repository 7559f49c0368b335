"""The bank calendar: mainland China's working days, announced a year at a time.

Public holidays and the weekend days worked in exchange come from `chinesecalendar` for the years it
knows. A year the State Council has not announced yet is configuration; without it there is no answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType

import chinese_calendar
from sqlalchemy import Connection, insert, select

from ledger.accounts import Conflict
from settlement.tables import calendar_day, calendar_year

ANNOUNCED_YEARS = frozenset(day.year for day in chinese_calendar.holidays)
_FRIDAY = 4


class YearUnknown(Exception):
    """Nobody has said yet which days of that year are worked."""

    def __init__(self, day: date) -> None:
        self.year = day.year
        self.reason = f"working days of {day.year} are not announced, so {day} cannot be judged"
        self.remedy = (
            f"give the holidays and make-up workdays of {day.year} as `bank_years` to `onecard city apply`"
        )
        super().__init__(f"{self.reason}; {self.remedy}")


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working days; `configured` holds, for a configured year, the days unlike the plain week."""

    configured: Mapping[int, Mapping[date, bool]] = field(default_factory=lambda: MappingProxyType({}))

    def is_working(self, day: date) -> bool:
        """Whether banks settle on that day. Raises YearUnknown."""
        if day.year in self.configured:
            return self.configured[day.year].get(day, day.weekday() <= _FRIDAY)
        if day.year not in ANNOUNCED_YEARS:
            raise YearUnknown(day)
        return bool(chinese_calendar.is_workday(day))

    def value_date(self, business_date: date, working_days: int) -> date:
        """The working day `working_days` after a business date; for 0, that day or the next working one.

        Raises YearUnknown.
        """
        if working_days < 0:
            raise ValueError(
                f"value date {working_days} days after {business_date} lies in the past; give 0 or more"
            )
        day, left = business_date, working_days
        while left or not self.is_working(day):
            day += timedelta(days=1)
            if left and self.is_working(day):
                left -= 1
        return day


def configure_year(
    conn: Connection, year: int, *, holidays: Iterable[date], workdays: Iterable[date], at: datetime
) -> bool:
    """Say which weekdays of a year are free and which weekend days are worked; false where already said so.

    Raises ValueError for a day outside the year or named twice, Conflict where the year is known otherwise.
    """
    free, worked = frozenset(holidays), frozenset(workdays)
    outside = sorted(day for day in free | worked if day.year != year)
    if outside or free & worked:
        raise ValueError(
            f"calendar {year}: {(outside or sorted(free & worked))[0]} is not possible; "
            "give each day once, within the year, as a holiday or as a workday"
        )
    days = {day: day in worked for day in sorted(free | worked)}
    known = load_calendar(conn).configured.get(year)
    if known is not None:
        if known != days:
            raise Conflict(f"calendar {year}", _in_words(known), _in_words(days))
        return False
    conn.execute(insert(calendar_year), {"year": year, "configured_at": at})
    if days:
        rows = [{"day": day, "year": year, "working": working} for day, working in days.items()]
        conn.execute(insert(calendar_day), rows)
    return True


def _in_words(days: Mapping[date, bool]) -> str:
    return (
        ", ".join(f"{day} {'worked' if worked else 'free'}" for day, worked in days.items()) or "plain weeks"
    )


def load_calendar(conn: Connection) -> Calendar:
    """The calendar with every configured year; configuration goes before what the library knows."""
    years: dict[int, dict[date, bool]] = {year: {} for year in conn.scalars(select(calendar_year.c.year))}
    query = select(calendar_day.c.year, calendar_day.c.day, calendar_day.c.working).order_by(
        calendar_day.c.day
    )
    for row in conn.execute(query):
        years[row.year][row.day] = row.working
    return Calendar(years)

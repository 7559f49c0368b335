"""Numbers of entries and lines: the business date as YYYYMMDD, then the place on that day in ten digits.

So a number tells its day, a day is one range of numbers, numbers of a day run without gaps from 1, and a
table can be cut into months by its primary key: 2018-09-01's third line is 201809010000000003.
"""

from datetime import date, timedelta
from typing import Final

A_DAY: Final = 10**10
"""How many numbers a day has."""

NONE: Final = 0
"""No entry and no line has this number."""


def before_first(business_date: date) -> int:
    """What the numbers of a day come after; the first one is this and 1."""
    return int(f"{business_date:%Y%m%d}") * A_DAY


def numbers_of(business_date: date) -> tuple[int, int]:
    """The range of a day's numbers: from the first up to, and without, the second."""
    start = before_first(business_date)
    return start, start + A_DAY


def month_bounds(month: date) -> tuple[int, int]:
    """The range of the numbers of the month that a date lies in: from the first up to, without, the second."""
    return before_first(month.replace(day=1)), before_first(next_month(month))


def next_month(month: date) -> date:
    """The first day of the month after the one that a date lies in."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def date_of(number: int) -> date:
    """The business date of an entry's or a line's number."""
    year, rest = divmod(number // A_DAY, 10_000)
    return date(year, *divmod(rest, 100))

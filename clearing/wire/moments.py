"""Dates and times in binary-coded decimal, by the million: looked up byte by byte, without a step per record."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clearing.wire.bcd import MOMENT_BYTES

Numbers = npt.NDArray[np.int64]

_NEVER = -10_000_000
"""What a byte that cannot stand in its place counts for: nothing that is added to it makes it good."""
_LAST_YEAR = 9999
_DATE_BYTES = 4


def _table(low: int, high: int, worth: int) -> npt.NDArray[np.int32]:
    """What each byte counts for where it must be two digits from `low` to `high`: the number less `low`, by `worth`."""
    found = np.full(256, _NEVER, np.int32)
    for number in range(low, high + 1):
        found[int(str(number), 16)] = (number - low) * worth
    return found


_CENTURIES, _YEARS = _table(0, 99, 1200), _table(0, 99, 12)
_MONTHS, _DAYS = _table(1, 12, 1), _table(1, 31, 1)
_HOURS, _MINUTES, _SECONDS = _table(0, 23, 3_600), _table(0, 59, 60), _table(0, 59, 1)

# By the number of months since the year 0, which is no year: when a month begins, and its last day less one.
_BEGINS = np.arange("0000-01", f"{_LAST_YEAR + 1}-01", dtype="M8[M]").astype("M8[D]").astype(np.int64)
_LAST = np.append(np.diff(_BEGINS), 31) - 1
_FIRST_MONTH = 12


@dataclass(frozen=True, slots=True)
class Moments:
    """Days since 1970-01-01, seconds of the day, and which are moments at all; the others count as day 0, second 0."""

    days: Numbers
    seconds: Numbers
    good: npt.NDArray[np.bool_]


def moments_of(packed: npt.NDArray[np.uint8]) -> Moments:
    """Read n × 7 bytes YYYYMMDDHHMMSS; those that `moment_of` would refuse are not good.

    Neighbours mostly share their second, so each is looked up where it begins.
    """
    if packed.ndim != 2 or packed.shape[1] != MOMENT_BYTES:
        raise ValueError(f"moments of shape {packed.shape}: give {MOMENT_BYTES} bytes a row")
    begins = _begins(packed)
    lasts = np.diff(begins, append=len(packed))
    first = packed[begins]
    days, dated = _days_of(first)
    hour, minute, second = (first[:, place] for place in range(_DATE_BYTES, MOMENT_BYTES))
    seconds = _HOURS[hour] + _MINUTES[minute] + _SECONDS[second]
    good = dated & (seconds >= 0)
    days[~good] = 0
    in_day = np.where(good, seconds, 0).astype(np.int64)
    return Moments(np.repeat(days, lasts), np.repeat(in_day, lasts), np.repeat(good, lasts))


def _begins(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Where a row is not the one before it: seen by its first four bytes and its last four."""
    differs = np.ones(len(packed), np.bool_)
    differs[1:] = False
    for part in (packed[:, :_DATE_BYTES], packed[:, MOMENT_BYTES - _DATE_BYTES :]):
        words = part.view(np.uint32).ravel()
        differs[1:] |= words[1:] != words[:-1]
    return np.flatnonzero(differs)


def _days_of(packed: npt.NDArray[np.uint8]) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Days since 1970-01-01, and whether they are days at all, of rows that begin with YYYYMMDD."""
    century, year, month, day = (packed[:, place] for place in range(_DATE_BYTES))
    months, of_month = _CENTURIES[century] + _YEARS[year] + _MONTHS[month], _DAYS[day]
    good = (months >= _FIRST_MONTH) & (of_month >= 0)
    months[~good] = 0
    good &= of_month <= _LAST[months]
    return _BEGINS[months] + of_month, good

"""Terminals that need looking at: silent ones, ones with numbers missing, ones whose counter began anew."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, func, or_, select

from clearing.gap_tables import terminal_life
from clearing.open_gaps import Validator, open_gaps
from clearing.tables import device
from clearing.wire.bcd import CITY_ZONE

SILENT_NIGHTS = 3
"""A terminal that no tap has come from for so many nights is called silent."""

RESTART_SHOWN_DAYS = 7
"""For so long a counter that began anew is shown, so that somebody may confirm why."""


class Finding(StrEnum):
    """What is the matter with a terminal."""

    SILENT = "silent"
    GAPS = "gaps"
    RESTARTED = "restarted"


REMEDY: Final = {
    Finding.SILENT: "find out whether it works and its files leave the depot, or withdraw it",
    Finding.GAPS: "have the operator send the taps, or look for them in the terminal's own memory",
    Finding.RESTARTED: "confirm with the operator that the terminal or its SAM was replaced",
}
"""What is to be done about it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A finding on a terminal as of a business date.

    `heard_on` is the last night that brought a tap of it (None: none ever did); `days` how long the matter has
    lasted; `missing` how many numbers never came, of which `wanted` may still come in time.
    """

    finding: Finding
    operator: str
    terminal: str
    heard_on: date | None
    days: int
    missing: int = 0
    wanted: int = 0


WATCHED_COLUMNS: Final = (
    "finding", "operator", "terminal", "last heard on", "days", "missing numbers", "still wanted", "remedy",
)  # fmt: skip


def watched_rows(conn: Connection, business_date: date) -> Iterator[Sequence[object]]:
    """Rows of WATCHED_COLUMNS, for people."""
    for one in watch(conn, business_date):
        heard_on = "never" if one.heard_on is None else one.heard_on
        figures = (one.days, one.missing, one.wanted)
        yield (one.finding, one.operator, one.terminal, heard_on, *figures, REMEDY[one.finding])


def watch(conn: Connection, business_date: date, operator: str | None = None) -> Iterator[Watched]:
    """The findings as of a business date, of one operator or of all, by finding, operator and terminal."""
    heard = _heard(conn)
    for validator, since in sorted(_in_service(conn, business_date).items()):
        last = heard.get(validator)
        silent_days = (business_date - (last or since)).days
        if silent_days >= SILENT_NIGHTS and operator in (None, validator[0]):
            yield Watched(Finding.SILENT, *validator, last, silent_days)
    for validator, of_terminal in groupby(
        open_gaps(conn, operator), lambda gap: (gap.operator, gap.terminal)
    ):
        gaps = list(of_terminal)
        days = (business_date - min(gap.since for gap in gaps)).days
        wanted = sum(gap.missing for gap in gaps if gap.wanted_until >= business_date)
        missing = sum(gap.missing for gap in gaps)
        yield Watched(Finding.GAPS, *validator, heard.get(validator), days, missing, wanted)
    columns = terminal_life.c
    newest = func.max(columns.began_at)
    query = select(columns.operator, columns.terminal, newest).group_by(columns.operator, columns.terminal)
    query = query.having(newest >= _midnight(business_date - timedelta(days=RESTART_SHOWN_DAYS)))
    for owner, terminal, began_at in conn.execute(query.order_by(columns.operator, columns.terminal)):
        if operator in (None, owner):
            days = (business_date - began_at.astimezone(CITY_ZONE).date()).days
            yield Watched(Finding.RESTARTED, owner, terminal, heard.get((owner, terminal)), days)


def _heard(conn: Connection) -> dict[Validator, date]:
    """The last night that brought a tap, by operator and terminal."""
    columns = terminal_life.c
    query = select(columns.operator, columns.terminal, func.max(columns.heard_on))
    rows = conn.execute(query.group_by(columns.operator, columns.terminal))
    return {(operator, terminal): heard_on for operator, terminal, heard_on in rows}


def _in_service(conn: Connection, business_date: date) -> dict[Validator, date]:
    """Terminals that were registered for the whole of a business date, and since when."""
    begins, ends = _midnight(business_date), _midnight(business_date + timedelta(days=1))
    columns = device.c
    query = select(columns.operator, columns.terminal, func.min(columns.valid_from)).where(
        columns.valid_from <= begins, or_(columns.valid_to.is_(None), columns.valid_to >= ends)
    )
    rows = conn.execute(query.group_by(columns.operator, columns.terminal))
    return {(operator, terminal): since.astimezone(CITY_ZONE).date() for operator, terminal, since in rows}


def _midnight(day: date) -> datetime:
    """The instant at which a day of the city begins."""
    return datetime.combine(day, time(), CITY_ZONE).astimezone(UTC)

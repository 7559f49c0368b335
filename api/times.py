"""Dates, instants and spans as they are typed and shown."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from city.home import CITY_ZONE

Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="business date, such as 2026-03-02")]
NewestNight = Annotated[
    datetime | None,
    typer.Argument(
        formats=["%Y-%m-%d"], show_default=False, help="business date; left out, the newest night's"
    ),
]
NightToCome = Annotated[
    datetime | None,
    typer.Argument(formats=["%Y-%m-%d"], show_default=False, help="business date; left out, the open day's"),
]


def clock_time(at: datetime) -> str:
    """An instant on the city's clocks."""
    return at.astimezone(CITY_ZONE).strftime("%H:%M:%S")


def spell(span: timedelta) -> str:
    """A span as people say it: 0.4 s, 12 s, 3 min 5 s, 2 h 4 min."""
    seconds = max(0, round(span.total_seconds()))
    if span < timedelta(seconds=10):
        return f"{max(0.0, span.total_seconds()):.1f} s"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3_600} h {seconds % 3_600 // 60} min"

"""`onecard terminals gaps` and `silent`: taps that never came, and terminals that nobody hears of."""

from datetime import date, datetime
from typing import Annotated

import typer
from rich.table import Table

from api.doors import books, console, now
from city.home import CITY_ZONE
from clearing.terminal_gaps import open_gaps
from clearing.terminal_watch import REMEDY, Finding, watch
from ledger.db import reading

Operator = Annotated[str | None, typer.Argument(help="an operator, such as BUS-1; default: all")]
Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="ages as of this business date; default: today")
]


def gaps(operator: Operator = None, on: Day = None) -> None:
    """List the numbers that terminals gave and nobody presented, as their operators are asked for them."""
    day = _day(on)
    with books() as engine, reading(engine) as conn:
        found = open_gaps(conn, operator)
    table = Table("operator", "terminal", "from", "to", "taps", "noticed on", "age days", "wanted until")
    for gap in found:
        until = str(gap.wanted_until) if gap.wanted_until >= day else "too late"
        numbers = (str(gap.first), str(gap.last), str(gap.missing))
        table.add_row(
            gap.operator, gap.terminal, *numbers, str(gap.since), str((day - gap.since).days), until
        )
    console.print(table)
    console.print(f"{sum(gap.missing for gap in found)} taps have not come")


def silent(operator: Operator = None, on: Day = None) -> None:
    """List the terminals that no tap has come from for days, and those whose counter began anew."""
    with books() as engine, reading(engine) as conn:
        found = [one for one in watch(conn, _day(on), operator) if one.finding is not Finding.GAPS]
    table = Table("operator", "terminal", "finding", "last heard on", "days", "what to do")
    for one in found:
        heard_on = "never" if one.heard_on is None else str(one.heard_on)
        table.add_row(one.operator, one.terminal, one.finding, heard_on, str(one.days), REMEDY[one.finding])
    console.print(table)


def _day(on: datetime | None) -> date:
    return (now().astimezone(CITY_ZONE) if on is None else on).date()

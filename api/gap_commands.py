"""`onecard terminals gaps`, `silent`, `explain`: taps that never came, and terminals that nobody hears of."""

from datetime import date, datetime
from typing import Annotated

import typer

from api.doors import Refused, books, console, now, settings
from api.listings import Listing, figure
from city.home import CITY_ZONE
from clearing.gap_explained import Explanation, ExplanationRefused, explain
from clearing.open_gaps import open_gaps
from clearing.terminal_watch import REMEDY, Finding, watch
from clearing.wording import taps_in_words
from ledger.db import reading, writing
from settlement.night_lock import NightRunning, exclusive

Operator = Annotated[str | None, typer.Argument(help="an operator, such as BUS-1; default: all")]
Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="ages as of this business date; default: today")
]


def gaps(operator: Operator = None, on: Day = None) -> None:
    """List the numbers that terminals gave and nobody presented, as their operators are asked for them."""
    day = _day(on)
    with books() as engine, reading(engine) as conn:
        found = open_gaps(conn, operator)
    table = Listing(
        "operator", "terminal", figure("from"), figure("to"), figure("taps"), "noticed on", figure("age days"),
        "wanted until",
    )  # fmt: skip
    for gap in found:
        until = str(gap.wanted_until) if gap.wanted_until >= day else "too late"
        numbers = (str(gap.first), str(gap.last), str(gap.missing))
        table.add(gap.operator, gap.terminal, *numbers, str(gap.since), str((day - gap.since).days), until)
    if found:
        console.print(table)
    console.print(f"not presented: {taps_in_words(sum(gap.missing for gap in found))}")


def silent(operator: Operator = None, on: Day = None) -> None:
    """List the terminals that no tap has come from for days, and those whose counter began anew."""
    with books() as engine, reading(engine) as conn:
        found = [one for one in watch(conn, _day(on), operator) if one.finding is not Finding.GAPS]
    if not found:
        console.print("Every terminal was heard of, and no counter began anew")
        return
    table = Listing("operator", "terminal", "finding", "last heard on", figure("days"))
    for one in found:
        heard_on = "never" if one.heard_on is None else str(one.heard_on)
        table.add(one.operator, one.terminal, one.finding, heard_on, str(one.days))
    console.print(table)
    for finding in sorted({one.finding for one in found}):
        console.print(f"To do where {finding}: {REMEDY[finding]}", highlight=False)


def explain_numbers(
    operator: Annotated[str, typer.Argument(help="the operator, such as BUS-1")],
    terminal: Annotated[str, typer.Argument(help="the terminal's 12 hex digits")],
    first: Annotated[int, typer.Argument(help="the first number, as `gaps` lists it")],
    last: Annotated[int | None, typer.Argument(help="the last number; default: the first alone")] = None,
    *,
    by: Annotated[str, typer.Option(help="who says so")],
    why: Annotated[str, typer.Option(help="why no tap will come, such as: card pulled before it paid")],
) -> None:
    """Ask no longer for numbers that no tap will come for, and keep who says so and why."""
    given = Explanation(operator, terminal, first, first if last is None else last, by, why)
    with books() as engine:
        try:
            with exclusive(engine, settings().city_home().nights), writing(engine) as conn:
                answer = explain(conn, given, at=now())
        except NightRunning as running:
            raise Refused(
                f"a night is running: {running}; wait until it ends, then explain again"
            ) from running
    if isinstance(answer, ExplanationRefused):
        raise Refused(answer.message)
    console.print(f"{answer} numbers of {terminal} are asked for no longer")


def _day(on: datetime | None) -> date:
    return (now().astimezone(CITY_ZONE) if on is None else on).date()

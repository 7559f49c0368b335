"""`onecard replay`: a real trace lived on virtual cards, cleared and settled."""

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from api.bars import bars
from api.city_doors import city
from api.doors import Refused, console, settings, write_text
from api.interrupt import ended_by_ctrl_c
from api.night_tables import operators_table
from city.home import Home
from city.plan import read_plan
from city.replay import can_take, replay
from city.report import totals_report
from ledger.db import reading
from ledger.money import yuan
from settlement.reports import night_summary


class TraceFormat(StrEnum):
    """Traces that can be replayed."""

    SZT = "szt"


def replay_trace(
    trace: Annotated[Path, typer.Argument(help="the trace's CSV file")],
    business_date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the day to clear it on")],
    format: Annotated[TraceFormat, typer.Option("--format", help="the trace's format")] = TraceFormat.SZT,
    report: Annotated[
        Path | None, typer.Option(help="write totals by operator and mode here, as JSON")
    ] = None,
) -> None:
    """Replay a real trace: every row a purse transaction on a virtual card, cleared and settled."""
    try:
        data = trace.read_bytes()
    except OSError as error:
        raise Refused(f"{trace} cannot be read: {error.strerror}; give the path of the trace") from error
    day, plan = business_date.date(), read_plan("shenzhen")
    home = _home_for(data, business_date)
    with (
        ended_by_ctrl_c("nothing is lost: the same command goes on where the replay stopped"),
        city(home) as opened,
        bars(console) as shown,
    ):
        done = replay(opened, plan, data, business_date=day, progress=shown.tell, observe=shown.observe)
        with reading(opened.engine) as conn:
            totals = totals_report(conn, plan, done.business_date)
            summary = night_summary(conn, done.business_date)
    console.print(operators_table(summary))
    everything = totals["all"]
    console.print(
        f"{everything['rows']} taps cleared on {done.business_date}: list fares {yuan(everything['list_fen'])}, "
        f"paid {yuan(everything['paid_fen'])} yuan"
    )
    if done.already:
        console.print(f"This trace was replayed before, on {done.business_date}; nothing changed.")
    if done.bad_rows:
        left_out = (report or trace).with_suffix(".left-out.json")
        rows = [{name: getattr(row, name) for name in row.__slots__} for row in done.bad_rows]
        write_text(left_out, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
        console.print(
            Text.assemble((f"{len(rows)} rows were left out", "red"), f"; each with its remedy: {left_out}"),
            soft_wrap=True,
        )
    if report:
        write_text(report, json.dumps(totals, ensure_ascii=False, indent=1) + "\n")
        console.print(f"Totals: {report}", soft_wrap=True)
    place = opened.home.root
    console.print(
        f"The replayed city is in {place}; look at it with ONECARD_HOME={place} onecard serve", soft_wrap=True
    )


def _home_for(data: bytes, business_date: datetime) -> Home | None:
    """None for the settings' own home; a home below it where the books there cannot take the trace's day."""
    chosen = settings()
    if chosen.database is not None or can_take(chosen.city_home(), data, business_date.date()):
        return None
    return Home(chosen.home / "replay")

"""`onecard night`: a business day's clearing, run, planned, and looked at while it runs."""

import shutil
import time
from datetime import date, datetime
from itertools import islice
from typing import Annotated

import typer

from api.city_doors import city
from api.days_meant import night_begun, open_day
from api.doors import Refused, books, console, now, settings
from api.engine_doors import chosen_engine
from api.http.kept_answers import KEPT, drop_answers
from api.interrupt import ended_by_ctrl_c
from api.listings import Listing, figure, prose
from api.night_plan_shown import show_plan
from api.night_status import status
from api.night_watch import watched
from api.peers import connected_peers
from api.queue_commands import show_items, today
from api.times import Day, NewestNight, NightToCome
from city.home import CITY_ZONE
from city.world import City, night_of
from clearing.context import StepResult
from clearing.engine.choice import DUCKDB, check_name
from clearing.engine.rules import RuleEngine
from clearing.peers import Peers
from ledger.db import reading, writing
from settlement.night import NightReport, Observe, run_night, unobserved
from settlement.night_log import run_of
from settlement.night_plan import plan_night
from settlement.report_files import EXCEPTION_COLUMNS, exception_rows
from settlement.work_queue import State, items_of

EXCEPTIONS_SHOWN = 100


def run(
    business_date: Day,
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="booking instant in city time; default: now"),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="where the rules run: duckdb, or a Spark master (local[2], spark://host:port)")
    ] = DUCKDB,
) -> None:
    """Run the night of a business day from the first step not done yet; a finished night changes nothing."""
    day = business_date.date()
    booked_at = at.replace(tzinfo=CITY_ZONE) if at else now()
    check_name(engine)
    with (
        ended_by_ctrl_c(f"nothing is lost: `onecard night {day}` goes on at the first step that is not done"),
        city() as opened,
        chosen_engine(engine, opened) as rules,
        connected_peers(settings()) as peers,
    ):
        report = run_watched(opened, peers, day, booked_at, rules=rules)
    if report.already_finished:
        console.print(f"The night of {day} was finished before; nothing changed.")
    status(business_date)


def run_watched(
    opened: City,
    peers: Peers,
    day: date,
    at: datetime,
    *,
    rules: RuleEngine,
    observe: Observe = unobserved,
) -> NightReport:
    """Run a night, shown on the console and timed; `observe` is told as well, after it was shown.

    Afterwards old answers of the HTTP API are dropped: whoever runs nights keeps the books.
    """
    with watched(console, opened.engine, day, opened.home.inbox, opened.home.nights) as watch:

        def both(step: str, state: str, result: StepResult | None) -> None:
            watch.observe(step, state, result)
            observe(step, state, result)

        clearing = night_of(opened, day, at=at, progress=watch.progress, peers=peers, rules=rules)
        report = run_night(opened.engine, clearing, observe=both, clock=time.monotonic)
    with writing(opened.engine) as conn:
        drop_answers(conn, before=now() - KEPT)
    return report


def plan(business_date: NightToCome = None) -> None:
    """Say what the night has before it: files by their headers, taps, expected minutes, space; nothing is written."""
    home = settings().city_home()
    with books() as engine, reading(engine) as conn:
        found = plan_night(conn, open_day(conn, business_date), home.inbox)
    show_plan(console, found, free_bytes=shutil.disk_usage(home.root).free)


def exceptions(business_date: NewestNight = None) -> None:
    """List what the night did not simply accept, and what of the work queue it raised."""
    with books() as engine, reading(engine) as conn:
        day = night_begun(conn, business_date)
        if run_of(conn, day) is None:
            raise Refused(f"no night of {day} was run; give a business date whose night has begun")
        rows = list(islice(exception_rows(conn, day), EXCEPTIONS_SHOWN + 1))
        items = [item for item in items_of(conn, tuple(State)) if item.raised_on == day]
    table = Listing(
        "exception", "file", figure("record"), "card", figure("yuan"), "money", figure("age days"), prose("what"),
        title=f"Exceptions of {day}",
    )  # fmt: skip
    for row in rows[:EXCEPTIONS_SHOWN]:
        one = dict(zip(EXCEPTION_COLUMNS, map(str, row), strict=True))
        cells = (one["file"], one["record"], one["card"], one["amount yuan"], one["money"], one["age days"])
        table.add(one["exception"], *cells, one["what"])
    console.print(table if rows else "The night has no exceptions.")
    if len(rows) > EXCEPTIONS_SHOWN:
        console.print(
            f"More are in {settings().city_home().night(day)}/out/reports/exceptions.csv", soft_wrap=True
        )
    if items:
        console.print("Raised for people (`onecard queue` takes them and calls them done):")
        show_items(console, items, today())

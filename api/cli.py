"""`onecard`: the command line of the city's card company."""

import json
import shutil
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy.exc import OperationalError

from api.bars import bars
from api.bench_commands import bench
from api.card_commands import cards
from api.card_ends_commands import ends
from api.card_statement import card_statement
from api.chip_commands import card
from api.client_commands import clients
from api.counter_commands import counter, loads
from api.demo_story import operators_table, tell
from api.doors import DEMO_MARK, Refused, books, city, console, fail, settings, write_text
from api.errands import errands
from api.family_day import family_cards, live_family
from api.family_rides import cleared_rides
from api.gap_commands import explain_numbers, gaps, silent
from api.intake_commands import intake
from api.ledger_commands import ledger
from api.night_commands import night, status
from api.night_trials import dry_run_night, replace_one, retry
from api.pos_commands import pos
from api.queue_commands import queue
from api.schedule import scheduler
from api.tariff_commands import tariff
from api.terminal_commands import terminals
from api.web import doors_of, make_service, serve_service
from card.hsm.errors import HsmError
from city.demo import clear_day, demo_plan, live_day
from city.home import CITY_ZONE, Home
from city.plan import read_plan
from city.replay import ReplayRefused, can_take, replay
from city.report import totals_report
from city.szt import TraceError
from clearing.engine.rules import EngineFailed
from ledger.db import reading
from ledger.money import yuan
from ledger.room import out_of_room
from settlement.night import NightRefused
from settlement.reports import night_summary

app = typer.Typer(
    help="City one-card (城市一卡通) clearing and settlement. Everything is kept under ONECARD_HOME (./var).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(ledger, name="ledger")
app.add_typer(pos, name="pos")
app.add_typer(terminals, name="terminals")
terminals.command("gaps")(gaps)
terminals.command("silent")(silent)
terminals.command("explain")(explain_numbers)
app.add_typer(clients, name="clients")
app.add_typer(tariff, name="tariff")
cards.add_typer(ends)
app.add_typer(cards, name="cards")
app.add_typer(counter, name="counter")
app.add_typer(card, name="card")
night.command("dry-run")(dry_run_night)
night.command("replace-batch")(replace_one)
night.command("retry")(retry)
app.add_typer(night, name="night")
app.add_typer(queue, name="queue")
app.command("status")(status)
app.command("bench")(bench)
app.command("errands")(errands)
app.command("intake")(intake)
app.command("loads")(loads)
app.command("scheduler")(scheduler)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class TraceFormat(StrEnum):
    """Traces that can be replayed."""

    SZT = "szt"


@app.command()
def demo() -> None:
    """Live a small city's day and night in ONECARD_HOME, afresh each time."""
    home = settings().city_home()
    _make_room(home)
    with city() as opened, bars(console) as shown:
        lived = live_day(opened, demo_plan(), progress=shown.tell)
        # The night needs the institutions that the day was lived with, and runs while they do.
        with live_family(opened, lived) as family:
            day = clear_day(
                opened, family.lived, peers=family.peers, progress=shown.tell, observe=shown.observe
            )
        events = [*family.events, *cleared_rides(opened.engine, family_cards(family.lived))]
    tell(console, day, events, home.night(day.summary.business_date), home.root)


def _make_room(home: Home) -> None:
    """Clear away an earlier demonstration; never anything else."""
    if home.root.exists() and any(home.root.iterdir()) and not (home.root / DEMO_MARK).exists():
        raise Refused(
            f"{home.root} already keeps a city that is not a demonstration; set ONECARD_HOME to another folder"
        )
    if settings().database is not None:
        raise Refused("the demonstration keeps its own database; unset ONECARD_DATABASE")
    folders = (home.inbox, home.archive, home.nights, home.tariffs, home.published, home.hsm, home.world)
    for kept in folders:
        shutil.rmtree(kept, ignore_errors=True)
    for file in home.root.glob("onecard.db*"):
        file.unlink()
    home.root.mkdir(parents=True, exist_ok=True)
    (home.root / DEMO_MARK).write_text("Made by `onecard demo`, which clears it away when it runs again.\n")


@card.command("show")
def show_card(card_no: Annotated[str, typer.Argument(help="the card's 20 digits")]) -> None:
    """Show one card: what is cleared, what is pending, its newest taps with their verdicts."""
    with books() as engine, reading(engine) as conn:
        statement = card_statement(conn, card_no)
    if isinstance(statement, str):
        raise Refused(statement)
    console.print(
        f"Card {statement.card_no}: {yuan(statement.cleared_fen)} yuan cleared, "
        f"{yuan(statement.pending_taps_fen)} in taps not yet decided, "
        f"{yuan(statement.pending_loads_fen)} in loads on their way"
    )
    table = Table("when", "operator", "line · stop", "charged", "verdict", "money")
    for tap in statement.taps:
        when = tap.event_at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S") if tap.event_at else "–"
        place = f"{tap.line} · {tap.station}"
        table.add_row(when, tap.operator, place, yuan(tap.amount_fen), tap.verdict, tap.money)
    console.print(table)


@app.command("replay")
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
    with city(home) as opened, bars(console) as shown:
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
            f"[red]{len(rows)} rows were left out[/red]; each with its remedy: {left_out}", soft_wrap=True
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


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")] = 8000,
    port_file: Annotated[Path | None, typer.Option(help="file to write the port to, once it listens")] = None,
) -> None:
    """Serve the API and the pages; finance is open where only this machine can ask, and is no production."""
    open_finance = host in LOOPBACK and not settings().production

    def listening(found: int) -> None:
        here = f"http://{host}:{found}"
        console.print(f"My card: {here}/   Finance: {here}/finance   (Ctrl-C ends)")
        if not open_finance:
            console.print("Finance asks for the id and secret of a client with the scope finance:read.")
        console.print(f"API: {here}/v1/openapi.json")

    with city() as opened, doors_of(opened) as doors:
        application = make_service(doors, opened.home.nights, open_finance=open_finance)
        try:
            serve_service(application, host, port, port_file=port_file, listening=listening)
        except OSError as error:
            raise Refused(f"{host}:{port} cannot be listened on: {error}; give another --port") from error


def main() -> None:
    """Run one command; what a person can mend is said in a line, and the exit status is 1."""
    try:
        app()
    except (Refused, NightRefused, ReplayRefused, TraceError, HsmError, EngineFailed) as error:
        sys.exit(fail(error).exit_code)
    except OperationalError as error:
        advice = "check ONECARD_DATABASE, that its server runs, and that its disk has room"
        sys.exit(fail(f"the database cannot be used: {error.orig}; {advice}").exit_code)
    except OSError as error:
        said = out_of_room(error)
        if said is None:
            raise
        sys.exit(fail(f"there is no room: {said}; make room and run the command again").exit_code)

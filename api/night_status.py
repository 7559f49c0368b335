"""`onecard status`: how a night stands, or what it came to; asked often, so it loads nothing that runs one."""

from datetime import date

from rich.text import Text
from sqlalchemy import Engine

from api.days_meant import night_begun
from api.doors import books, console, now, settings
from api.listings import Listing, figure, prose
from api.night_tables import code_rides_table, operators_table, reconciled
from api.times import NewestNight, clock_time, spell
from clearing.wording import taps_in_words
from ledger.db import reading
from ledger.money import yuan
from settlement.night_lock import is_running
from settlement.night_log import RunState, run_of
from settlement.night_progress import Progress, read_progress
from settlement.replaced_batches import replacements_of
from settlement.reports import NightSummary, night_summary


def status(business_date: NewestNight = None) -> None:
    """Show a night: what it is at while it runs, its steps with counts and digests, what each operator gets."""
    with books() as engine:
        with reading(engine) as conn:
            day = night_begun(conn, business_date)
            summary = night_summary(conn, day)
            begun = run_of(conn, day)
            replaced = replacements_of(conn, day)
        if begun is not None and begun.state is RunState.RUNNING:
            console.print(_standing(engine, day), soft_wrap=True, highlight=False)
    if summary.booked_at is None:
        console.print(f"No night of {summary.business_date} has been run yet; `onecard night` runs it.")
        return
    _show(summary)
    for one in replaced:
        console.print(
            f"Batch {one.sequence} of {one.operator} was replaced by {one.by}: {one.reason} "
            f"({taps_in_words(one.old_count)} of {yuan(one.old_amount_fen)} yuan became {one.new_count} of "
            f"{yuan(one.new_amount_fen)})",
            soft_wrap=True, highlight=False,
        )  # fmt: skip


def _standing(engine: Engine, day: date) -> Text:
    """In a sentence, what a night that is not finished is doing."""
    nights = settings().city_home().nights
    if not is_running(engine, nights):
        return Text.assemble(
            (f"The night of {day} was interrupted: nobody runs it now.", "yellow"),
            f" `onecard night {day}` goes on at the first step that is not done",
        )
    told = read_progress(nights)
    if told is None or told.business_date != day:
        return Text(f"The night of {day} runs, and has told nothing yet (or on another machine)")
    return Text(_in_words(told))


def _in_words(told: Progress) -> str:
    rows = f", {told.done:,} of {told.total:,} {told.what} ({told.per_s:,}/s)" if told.total else ""
    return (
        f"The night of {told.business_date} runs: {told.step}, step {told.steps_done + 1} of {told.steps}{rows}, "
        f"for {spell(now() - told.step_began_at)}; step done about {clock_time(told.step_ends_at)}, "
        f"night about {clock_time(told.night_ends_at)} (told {spell(now() - told.told_at)} ago)"
    )


def _show(summary: NightSummary) -> None:
    table = Listing(
        "step", prose("counts"), figure("entries"), figure("took"), "digest",
        title=f"{summary.business_date}: {summary.state}",
    )  # fmt: skip
    for step in summary.steps:
        counts = ", ".join(f"{name} {count}" for name, count in step.counts.items() if count)
        took = "–" if step.duration_ms is None else f"{step.duration_ms / 1000:.1f} s"
        table.add(step.step, counts, str(step.entries), took, step.digest.hex()[:16])
    console.print(table)
    if summary.code_verdicts:
        console.print(code_rides_table(summary))
    if summary.operators:
        console.print(operators_table(summary))
    for line in reconciled(summary):
        console.print(line, soft_wrap=True)
    if summary.refused:
        console.print(f"Refused at {summary.refused}", style="red", soft_wrap=True)
    if summary.seal:
        console.print(f"Sealed: root {summary.seal.root.hex()}", soft_wrap=True)

"""A night's plan in tables and sentences."""

from collections.abc import Callable
from datetime import timedelta

from rich.console import Console
from rich.text import Text

from api.listings import Listing, figure, prose
from api.times import spell
from ledger.money import yuan
from settlement.night_plan import NightPlan, PlannedFile

MIB = 1 << 20
_FILES_SHOWN = 200
_GAPS_SHOWN = 20


def show_plan(console: Console, plan: NightPlan, *, free_bytes: int) -> None:
    """Say what the night will find, how long it will take, and what has to be done before it."""

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False)

    def warn(what: str, rest: str) -> None:
        console.print(Text.assemble((f"{what}:", "red"), f" {rest}"), soft_wrap=True)

    if plan.files:
        console.print(_files_table("Batches of taps", plan.files))
    if plan.code_files:
        console.print(_files_table("Batches of rides on codes", plan.code_files))
    if plan.result_files:
        console.print(_files_table("Files of results of other cities", plan.result_files))
    for bad in plan.bad:
        warn("Will be turned away", f"{bad.name}: {bad.message}; {bad.remedy}")
    for operator, sequence in plan.missing[:_GAPS_SHOWN]:
        say(f"Missing: batch {sequence} of {operator}; ask the operator to send it")
    if len(plan.missing) > _GAPS_SHOWN:
        say(f"Missing: {len(plan.missing) - _GAPS_SHOWN} more batches")
    say(
        f"{plan.taps:,} taps before the night of {plan.business_date}: {plan.retried_taps:,} of them out of "
        f"suspense, {plan.uncleared_taps:,} collected before and not booked"
    )
    _show_waiting(say, plan)
    if plan.steps_done:
        say(f"Already done: {', '.join(plan.steps_done)}; the night goes on after {plan.steps_done[-1]}")
    _show_time(console, plan)
    needed, free = plan.needed_bytes // MIB, free_bytes // MIB
    say(f"Space: about {needed:,} MiB needed, {free:,} MiB free")
    _warn(warn, plan, enough=plan.needed_bytes <= free_bytes)


def _warn(warn: Callable[[str, str], None], plan: NightPlan, *, enough: bool) -> None:
    """Say what has to be done before the night can start."""
    if not enough:
        warn("There is not enough space", "make room under ONECARD_HOME before the night starts")
    if plan.nights_before:
        warn("Not closed yet", f"{', '.join(map(str, plan.nights_before))}; run their nights first, in order")
    if plan.refusal:
        warn("The night would not start", f"{plan.refusal[0]}; {plan.refusal[1]}")


def _show_waiting(say: Callable[[str], None], plan: NightPlan) -> None:
    if not plan.open_files and not plan.odd_lines:
        return
    receipts = sum(one.waits_for == "receipt" for one in plan.open_files)
    results = len(plan.open_files) - receipts
    say(
        f"Waiting with other cities: {receipts:,} of our files for a receipt, {results:,} for results "
        f"(`onecard centres files`); {plan.odd_lines:,} lines of results for a tap that they fit "
        "(`onecard centres lines`)"
    )


def _show_time(console: Console, plan: NightPlan) -> None:
    table = Listing("step", figure("expected"), title="Expected time")
    for step, ms in plan.expected_ms.items():
        table.add(step, spell(timedelta(milliseconds=ms)))
    table.add("all", spell(timedelta(milliseconds=plan.total_ms)))
    console.print(table)
    console.print(
        f"By the pace of the last {f'{plan.experience} nights' if plan.experience > 1 else 'night'}."
        if plan.experience
        else "No night was timed before: these are defaults (docs/operations/night.md), not experience.",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def _files_table(title: str, files: tuple[PlannedFile, ...]) -> Listing:
    table = Listing(
        "file", "operator's day", figure("records"), figure("yuan"), prose("standing"), title=title
    )
    for one in files[:_FILES_SHOWN]:
        table.add(one.name, str(one.business_date), f"{one.records:,}", yuan(one.amount_fen), one.standing)
    if len(files) > _FILES_SHOWN:
        table.add(f"and {len(files) - _FILES_SHOWN} more", "", "", "", "")
    records, amount_fen = sum(one.records for one in files), sum(one.amount_fen for one in files)
    table.add("all", "", f"{records:,}", yuan(amount_fen), "")
    return table

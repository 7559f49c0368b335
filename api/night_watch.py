"""A running night shown to whoever started it: bars on a terminal, a line a step elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn
from sqlalchemy import Engine

from api.bars import bar_columns
from api.doors import now
from api.times import clock_time, spell
from clearing.context import StepResult
from ledger.db import reading
from settlement import night_progress
from settlement.night import STEPS
from settlement.night_pace import paces, past_nights
from settlement.night_plan import plan_night
from settlement.night_progress import Watch


@contextmanager
def watched(
    console: Console, engine: Engine, business_date: date, inbox: Path, nights: Path
) -> Iterator[Watch]:
    """Show the night of a business date while inside, with estimates from past nights, and tell its file."""
    names = [name for name, _ in STEPS]
    with reading(engine) as conn:
        taps = plan_night(conn, business_date, inbox).taps
        pace = paces(past_nights(conn, before=business_date), names)
    columns = (*bar_columns(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        show = _Bars(shown, len(names)).show if console.is_terminal else _Lines(console).show
        yield Watch(business_date, names, pace, taps, folder=nights, clock=now, show=show)


class _Bars:
    """A bar for the night, and one for each step that counts its rows."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress = progress
        self._night = progress.add_task("night", total=steps, said="")
        self._step: tuple[str, TaskID] | None = None

    def show(self, told: night_progress.Progress, _result: StepResult | None) -> None:
        """Move the bars to where the night stands."""
        said = f"{told.step}, done about {clock_time(told.night_ends_at)}"
        self._progress.update(self._night, completed=told.steps_done, said=said)
        if not told.total:
            return
        if self._step is None or self._step[0] != told.step:
            self._step = (
                told.step,
                self._progress.add_task(f"{told.step}: {told.what}", total=told.total, said=""),
            )
        said = f"{told.per_s:,}/s, step done about {clock_time(told.step_ends_at)}"
        self._progress.update(self._step[1], completed=told.done, total=told.total, said=said)


class _Lines:
    """A line for each step that is done, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, told: night_progress.Progress, result: StepResult | None) -> None:
        """Say of a finished step what it did, and when the night is expected to end."""
        if result is None:
            return
        took = told.told_at - told.step_began_at
        counts = ", ".join(f"{name} {count}" for name, count in result.counts.items() if count)
        self._console.print(
            f"{clock_time(told.told_at)} {told.step} done in {spell(took)}"
            f"{f' ({counts})' if counts else ''}; {told.steps_done} of {told.steps} steps, "
            f"night done about {clock_time(told.night_ends_at)}",
            soft_wrap=True, highlight=False,
        )  # fmt: skip

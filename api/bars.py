"""Progress bars for long work, fed by whoever does it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

from clearing.context import StepResult
from settlement.night import STEPS

REDRAWS = 200
"""A bar is moved this often at the most: telling it of every tap would cost more than the tap."""


class Bars:
    """One bar for each kind of work, and one line for each step of a night."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._shown: dict[str, int] = {}

    def tell(self, what: str, done: int, total: int) -> None:
        """So much of it is done."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        if done == total or abs(done - self._shown.get(what, 0)) >= total // REDRAWS:
            self._shown[what] = done
            self._progress.update(self._tasks[what], completed=done, total=total)

    def observe(self, step: str, state: str, _result: StepResult | None) -> None:
        """A step of the night began or ended."""
        names = [name for name, _ in STEPS]
        if state != "started":
            self.tell("night", names.index(step) + 1, len(names))


def bar_columns() -> tuple[ProgressColumn, ...]:
    """What it is, a bar, and how much of it is done; where a terminal is narrow the bar gives way, and no number."""
    return (
        TextColumn("{task.description:>18}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
    )


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Show bars while inside; nothing moves where the output is not a terminal."""
    columns = (*bar_columns(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=False, disable=not console.is_terminal) as progress:
        yield Bars(progress)

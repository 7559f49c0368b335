"""Bars of long work: every number whole at any width, and the bar moves however large the steps are."""

from io import StringIO

from rich.console import Console
from rich.progress import Progress

from api.bars import Bars, bar_columns, bars


def shown_at(width: int) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    with bars(console) as shown:
        shown.tell("records", 601_150, 601_150)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_narrow_terminal_cuts_no_number() -> None:
    for width in (60, 80, 200):
        assert "601150/601150" in shown_at(width)


def test_a_bar_moves_by_steps_that_divide_nothing() -> None:
    progress = Progress(*bar_columns(), console=Console(file=StringIO()))
    shown = Bars(progress)
    seen = []
    for done in (50_001, 100_003, 100_004, 300_000):
        shown.tell("records", done, 300_000)
        seen.append(progress.tasks[0].completed)
    assert seen == [50_001, 100_003, 100_003, 300_000]
    shown.tell("records", 7, 300_000)  # the same work begins anew
    assert progress.tasks[0].completed == 7

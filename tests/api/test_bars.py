"""Bars of long work: every number whole at any width, and the bar moves however large the steps are."""

from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from api.bars import Bars, bar_columns


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_narrow_terminal_cuts_no_number(width: int) -> None:
    written, said = StringIO(), "751,437/s, step done about 02:13:07"
    console = Console(file=written, width=width, force_terminal=True, color_system=None)
    with Progress(*bar_columns(), TextColumn("{task.fields[said]}"), console=console) as progress:
        progress.add_task("verify: records", total=601_150, completed=601_150, said=said)
    assert "601150/601150" in written.getvalue() and said in written.getvalue()


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

"""`onecard bench NAME`: the one door to all benchmarks."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from api.doors import Refused, console, now
from api.listings import Listing, figure, prose
from city.benchmarks.figures import COLUMNS, Figure, cells_of, write_json, write_page
from city.benchmarks.hsm import bench_hsm
from city.benchmarks.ledger import bench_ledger
from city.benchmarks.night import bench_night
from city.benchmarks.spark_night import bench_spark
from city.benchmarks.terminal import bench_terminal
from city.home import CITY_ZONE

BENCHMARKS = {
    "hsm": bench_hsm,
    "ledger": bench_ledger,
    "night": bench_night,
    "spark": bench_spark,
    "terminal": bench_terminal,
}


def bench(
    name: Annotated[str, typer.Argument(help=f"one of {', '.join(BENCHMARKS)}, or all")],
    size: Annotated[
        int | None, typer.Option(help="how large; each benchmark has its own default", min=100)
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures here, as JSON")] = None,
    write: Annotated[Path | None, typer.Option(help="write the page of all figures here")] = None,
) -> None:
    """Measure speed and memory, each figure beside a peer or a ceiling in the same run."""
    if name != "all" and name not in BENCHMARKS:
        raise Refused(f"no benchmark is named {name!r}; give one of {', '.join(BENCHMARKS)}, or all")
    results: dict[str, list[Figure]] = {}
    for each, run in BENCHMARKS.items():
        if name in ("all", each):
            results[each] = run(size)
            console.print(_table(each, results[each]))
    if json_file:
        write_json(json_file, [figure for figures in results.values() for figure in figures])
    if write:
        write_page(write, results, on=_today(), machine=_machine())


def _table(name: str, figures: Sequence[Figure]) -> Listing:
    """What was measured, with what was found of it first: the words are long and stand below where they must."""
    table = Listing(
        "held", figure("value"), "unit", figure("ratio"), "goal", prose("figure"), prose("against"),
        title=f"onecard bench {name}",
    )  # fmt: skip
    for row in figures:
        cells = dict(zip(COLUMNS, cells_of(row), strict=True))
        table.add(*(cells[heading] for heading in table.names), style="" if row.held else "red")
    return table


def _today() -> date:
    return now().astimezone(CITY_ZONE).date()


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"

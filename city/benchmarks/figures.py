"""A figure, and the page on which the figures are collected."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

COLUMNS = ("figure", "value", "unit", "against", "ratio", "goal", "held")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `ratio` is value against the peer named in `against`, measured in the same run."""

    figure: str
    value: float
    unit: str
    against: str
    ratio: float
    goal: str
    held: bool


def at_least(figure: str, value: float, unit: str, *, against: str, peer: float, ratio: float) -> Figure:
    """A figure that should be at least `ratio` times its peer."""
    held = value / peer >= ratio
    return _compared(figure, value, unit, against, peer, f"≥ {ratio:g} ×", held=held)


def at_most(figure: str, value: float, unit: str, *, against: str, peer: float, ratio: float) -> Figure:
    """A figure that should be at most `ratio` times its peer."""
    held = value / peer <= ratio
    return _compared(figure, value, unit, against, peer, f"≤ {ratio:g} ×", held=held)


def _compared(
    figure: str, value: float, unit: str, against: str, peer: float, goal: str, *, held: bool
) -> Figure:
    ratio, against = float(f"{value / peer:.3g}"), f"{against}: {_shown(peer)} {unit}"
    return Figure(
        figure, round(value, 1) if value >= 100 else float(f"{value:.3g}"), unit, against, ratio, goal, held
    )


def _shown(value: float) -> str:
    """Whole numbers, or three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write_json(path: Path, figures: Sequence[Figure]) -> None:
    """The figures for a program: a list of rows."""
    path.write_text(json.dumps([asdict(row) for row in figures], indent=1, ensure_ascii=False) + "\n")


def write_page(path: Path, results: Mapping[str, Sequence[Figure]], *, on: date, machine: str) -> None:
    """Collect every benchmark's figures on one page of Markdown."""
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {on.isoformat()}: {machine}. Machines differ and are often shared, so read the",
        "ratios: each was measured against its peer or ceiling in the same run.",
    ]
    for name, figures in results.items():
        lines += ["", f"## {name}", "", f"`onecard bench {name}`", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "| " + " | ".join("---" for _ in COLUMNS) + " |"]
        lines += ["| " + " | ".join(cells_of(row)) + " |" for row in figures]
    path.write_text("\n".join(lines) + "\n")


def cells_of(row: Figure) -> list[str]:
    """What a figure says, under COLUMNS."""
    return [
        row.figure,
        _shown(row.value),
        row.unit,
        row.against,
        f"{row.ratio:g}",
        row.goal,
        "yes" if row.held else "no",
    ]

"""Runs the night's rules on DuckDB, in process."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

import duckdb
import pyarrow as pa

MATCH = (
    "10_copies",
    "20_place",
    "30_belief",
    "40_conflict",
    "50_listed",
    "60_fare",
    "70_bounds",
    "80_continuity",
    "90_verdict",
)
"""What makes a verdict of a tap; the tap's own facts and the registries go in."""

PRICE = ("60_fare", "95_paid")
"""What a tap is paid, once it has a verdict."""


def run(rules: Sequence[str], inputs: Mapping[str, pa.Table], result: str) -> pa.Table:
    """Run rules in order over named tables; the rows of the view `result`, by their `no`.

    A rule's file holds one SELECT; the view is named as the file without its number. Each is computed once
    and kept, since later rules read it more than once.
    """
    with duckdb.connect(":memory:") as engine:
        for name, table in inputs.items():
            engine.register(name, table)
        for rule in rules:
            engine.execute(f"CREATE TEMP TABLE {rule.partition('_')[2]} AS {rule_text(rule)}")
        found: pa.Table = engine.table(result).order("no").to_arrow_table()
    return found


def rule_text(rule: str) -> str:
    """The SQL of a rule, by its file's name without the ending."""
    return (files("clearing.rules") / f"{rule}.sql").read_text(encoding="utf-8")

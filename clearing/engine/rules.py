"""The night's rules in their order, and what an engine that runs them must do."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

LOOK = ("02_breaks", "03_odd", "04_look")
"""Which taps need a closer look; of these few, their cards' past is read."""

TWINS = ("08_twins",)
"""Of which of those the content is read, too."""

KINDS = ("06_kinds",)
"""One tap of each kind that a tariff tells from others; FARE prices them as if they were all taps."""

FARE = ("60_fare",)

BOUNDS = (*FARE, "70_bounds")
"""What a tap of each kind may cost, and its price."""

OWN = ("20_place", "88_own")
"""What is unusual of a tap by itself."""

VERDICT = ("90_verdict",)
"""All that is left to do where no tap gets a closer look."""

MATCH = (
    "10_copies",
    "30_belief",
    "40_conflict",
    "57_route",
    "80_continuity",
    "85_closer",
    *VERDICT,
)
"""What makes the verdict of a tap that is not simply accepted; the tap's own facts, the registries and what the
rules above left go in."""

PRICE = ("95_paid",)
"""What a tap with a verdict of its own is paid; any other one is paid what it took."""

Awaited = Callable[[], pa.Table]
Inputs = Mapping[str, pa.Table | Path | Awaited]
"""Tables that the rules read, by name: small ones as Arrow tables, large ones as Parquet files.

A small one may be one that is still being made: it is asked for when a rule is about to read it, or earlier.
"""


class EngineFailed(Exception):
    """An engine cannot be had, or did not finish: why, and what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason, self.remedy = reason, remedy


class RuleEngine(Protocol):
    """Runs the rules; whatever the engine, the same inputs give a file of the same bytes.

    One that works outside this process may raise EngineFailed.
    """

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules in order over named tables; the rows of the view `result`, by their `no`, become a Parquet file."""
        ...


@runtime_checkable
class TacEngine(Protocol):
    """An engine whose own machines ask the HSM, each about its part of the taps."""

    def verify(self, pieces: pa.Table, to: Path) -> Path:
        """Ask about pieces of files of records (see tac_batches); the answers, by `no`, become a Parquet file.

        Raises EngineFailed.
        """
        ...


def view_name(rule: str) -> str:
    """A rule's file holds one SELECT; its view is named as the file without its number."""
    return rule.partition("_")[2]


def names_read(rule: str) -> set[str]:
    """The tables and views that a rule names."""
    return set(re.findall(r"(?:FROM|JOIN)\s+(\w+)", rule_text(rule)))


def passes_by(rule: str, rules: Sequence[str]) -> bool:
    """Whether a rule's rows only pass through one other rule, once, so that nobody need keep them.

    What is joined to others is better kept: how much there is of it decides how it is joined.
    """
    read = rf"\b(FROM|JOIN)\s+{view_name(rule)}\b"
    return re.findall(read, "\n".join(map(rule_text, rules))) == ["FROM"]


def rule_text(rule: str) -> str:
    """The SQL of a rule, by its file's name without the ending."""
    return (files("clearing.rules") / f"{rule}.sql").read_text(encoding="utf-8")

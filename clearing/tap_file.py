"""The file of the columns that the rules read of every tap, made from the records in the archive."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clearing.columns import EPOCH, rule_table
from clearing.context import Night
from clearing.presented import rule_pieces
from clearing.workfiles import write_groups

TAPS = "taps.parquet"
"""What the rules read of every tap (`rule_table`)."""
PACKED = ("operator", "sequence", "presented_day", "tap_day", "terminal_no", "issuer_no", "card_head", "fare_kind",
          "amount_fen")  # fmt: skip
"""Columns of few values, which are written as numbers of a list."""


def write_taps(night: Night, done: Callable[[int], None]) -> Path:
    """Write it, a bounded piece at a time; `done` is told how many taps more are in it."""

    def told() -> Iterator[pa.Table]:
        for table in rule_pieces(night):
            yield table
            done(table.num_rows)

    return write_groups(night.work / TAPS, rule_table([]).schema, told(), packed=PACKED)


def tap_days(path: Path) -> tuple[date, date] | None:
    """The first and the last day of the taps in such a file, by what it says of its parts; None if none is readable."""
    held = pq.read_metadata(path)
    column = held.schema.names.index("tap_day")
    days: list[int] = []
    for place in range(held.num_row_groups):
        told: Any = held.row_group(place).column(column).statistics
        if told.has_min_max:
            days += told.min, told.max
    return (EPOCH + timedelta(min(days)), EPOCH + timedelta(max(days))) if days else None

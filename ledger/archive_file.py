"""A month's lines as a Parquet file: written whole or not at all, read back by line without holding it in memory."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ledger.archived_line import ArchivedLine
from ledger.durable import put_in_place

_compute: Any = pc  # made at run time, so that no stub knows what it takes
_TEXT, _NUMBER, _INSTANT = pa.string(), pa.int64(), pa.timestamp("us", tz="UTC")
_FIELDS: Any = [
    pa.field("line_id", _NUMBER, nullable=False),
    pa.field("entry", _NUMBER, nullable=False),
    pa.field("business_date", pa.date32(), nullable=False),
    pa.field("reference", _TEXT, nullable=False),
    pa.field("kind", _TEXT, nullable=False),
    pa.field("event_at", _INSTANT, nullable=False),
    pa.field("posted_at", _INSTANT, nullable=False),
    pa.field("narrative", _TEXT, nullable=False),
    pa.field("reverses", _TEXT),
    pa.field("settles", _TEXT),
    pa.field("line", _NUMBER, nullable=False),
    pa.field("debit", _TEXT, nullable=False),
    pa.field("credit", _TEXT, nullable=False),
    pa.field("amount_fen", _NUMBER, nullable=False),
    pa.field("item", _TEXT, nullable=False),
    pa.field("debit_before_id", _NUMBER, nullable=False),
    pa.field("credit_before_id", _NUMBER, nullable=False),
]
SCHEMA = pa.schema(_FIELDS)
"""The columns of `audit_general_journal`, the line's own number, and that of the line before on either account."""


def table_of(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows in the order of the schema's columns as one table."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SCHEMA)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def write_file(path: Path, groups: Iterable[pa.Table]) -> int:
    """Write tables in the order of their lines, each a row group, and say how many rows there are.

    Whoever looks sees the old file or the whole new one, also after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    rows = 0
    with pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group)
            rows += group.num_rows
    put_in_place(part, path)
    return rows


class MonthFile:
    """A file that was found to be the one that was written, open for looking up lines; safe to share."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        self._one_reads = RLock()
        metadata: Any = self._file.metadata
        self.rows: int = metadata.num_rows
        self._last_ids: list[int] = [
            metadata.row_group(group).column(0).statistics.max for group in range(metadata.num_row_groups)
        ]
        self._group = -1
        self._table: pa.Table = SCHEMA.empty_table()
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)

    def groups(self, since: int = 0) -> Iterator[pa.Table]:
        """The row groups in order, from the one on that has the first line of a number above `since`."""
        for group in range(bisect_left(self._last_ids, since + 1), len(self._last_ids)):
            with self._one_reads:
                table = self._file.read_row_group(group)
            yield table

    def line(self, line_id: int) -> ArchivedLine | None:
        """The line of a number, or None where it is not here."""
        return next(iter(self.lines(line_id, 1)), None)

    def lines(self, first_line_id: int, count: int) -> list[ArchivedLine]:
        """The lines of `count` neighbouring numbers; those that are not here are left out."""
        found: list[ArchivedLine] = []
        end = first_line_id + count
        with self._one_reads:
            for group in range(bisect_left(self._last_ids, first_line_id), len(self._last_ids)):
                self._load(group)
                start, stop = np.searchsorted(self._ids, [first_line_id, end]).tolist()
                found += _rows(self._table.slice(start, stop - start))
                if stop < len(self._ids):
                    break
        return found

    def lines_of(self, code: str, since: int) -> Iterator[ArchivedLine]:
        """The lines of an account of a number above `since`, in the order of their numbers."""
        for table in self.groups(since):
            of_account = _compute.or_(
                _compute.equal(table["debit"], code), _compute.equal(table["credit"], code)
            )
            later = _compute.greater(table["line_id"], since)
            yield from _rows(table.filter(_compute.and_(of_account, later)))

    def _load(self, group: int) -> None:
        # Neighbours are asked for one after the other: the last row group is kept.
        if group != self._group:
            self._table = self._file.read_row_group(group)
            self._ids = self._table.column(0).to_numpy()
            self._group = group


def _rows(table: pa.Table) -> list[ArchivedLine]:
    return [
        ArchivedLine._make(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)
    ]

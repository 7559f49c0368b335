"""The files that one step of the night leaves for the next: whole or not there, same content, same bytes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.durable import put_in_place

GROUP_ROWS = 1 << 18
"""Rows of a Parquet file that are written and read at once."""
CACHE_ROWS = 1 << 14
"""Rows that are worked on at once, so that every column finds them in the processor's cache."""
COUNTED_UP = frozenset({"no", "position"})
FEW_VALUES = frozenset({"price_fen", "paid_fen"})
"""Columns of numbers that are mostly the one before and 1, and such as have few different values."""


def write_table(path: Path, table: pa.Table) -> Path:
    """Write a table as Parquet; a reader sees the old file or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(table, part, compression="zstd")
    put_in_place(part, path)
    return path


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Path:
    """Write a stream of rows as Parquet; how they came in batches leaves no trace."""
    few = [field.name for field in schema if pa.types.is_string(field.type) or field.name in FEW_VALUES]
    return write_rows(path, schema, batches, packed=few)


def write_rows(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, packed: Sequence[str]
) -> Path:
    """Write batches of rows as Parquet, GROUP_ROWS at a time; columns of few values are `packed`."""
    return write_groups(path, schema, _groups(batches), packed=packed)


def write_groups(path: Path, schema: pa.Schema, groups: Iterable[pa.Table], *, packed: Sequence[str]) -> Path:
    """Write tables as Parquet, each as it lies in memory, of GROUP_ROWS rows but for the last.

    Columns of few values are `packed`; of those that count up (COUNTED_UP) only the steps are written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    steps = {name: "DELTA_BINARY_PACKED" for name in schema.names if name in COUNTED_UP}
    options: dict[str, Any] = {
        "compression": "lz4",
        "use_dictionary": list(packed),
        "column_encoding": steps,
        "write_batch_size": CACHE_ROWS,
    }
    with pq.ParquetWriter(part, schema, **options) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=GROUP_ROWS)
    put_in_place(part, path)
    return path


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of GROUP_ROWS, each column in one piece: how they came leaves no trace."""
    held, rows = list[pa.RecordBatch](), 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= GROUP_ROWS:
            whole = pa.Table.from_batches(held).combine_chunks()
            yield whole.slice(0, GROUP_ROWS)
            held = whole.slice(GROUP_ROWS).to_batches()
            rows -= GROUP_ROWS
    if rows:
        yield pa.Table.from_batches(held).combine_chunks()


def counted(path: Path, column: str) -> Counter[str]:
    """How many rows of a Parquet file have each text of a column; read a piece at a time."""
    found: Counter[str] = Counter()
    file = pq.ParquetFile(path, read_dictionary=[column])
    for batch in file.iter_batches(GROUP_ROWS, columns=[column]):
        counts: Any = pc.value_counts(batch.column(0))
        found.update({each["values"]: each["counts"] for each in counts.to_pylist()})
    return found


def summed(path: Path, column: str) -> int:
    """The sum of a column of whole numbers of a Parquet file; read a piece at a time."""
    batches = pq.ParquetFile(path).iter_batches(columns=[column])
    return sum(pc.sum(batch.column(0), min_count=0).as_py() for batch in batches)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file as the step before left it."""
    return pq.read_table(path)

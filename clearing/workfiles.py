"""The files that one step of the night leaves for the next: whole or not there, same content, same bytes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.durable import put_beside, put_in_place

GROUP_ROWS = 1 << 18
"""Rows of a Parquet file that are written and read at once."""


def write_table(path: Path, table: pa.Table) -> Path:
    """Write a table as Parquet; a reader sees the old file or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(table, part, compression="zstd")
    put_in_place(part, path)
    return path


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Path:
    """Write a stream of rows as Parquet; how they came in batches leaves no trace."""
    few = [field.name for field in schema if pa.types.is_string(field.type)]
    return write_rows(path, schema, batches, packed=few)


def write_rows(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, packed: Sequence[str]
) -> Path:
    """Write batches of rows as Parquet, GROUP_ROWS at a time; columns of few values are `packed`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    options: dict[str, Any] = {"compression": "lz4", "use_dictionary": list(packed)}
    with pq.ParquetWriter(part, schema, **options) as writer:
        held, rows = list[pa.RecordBatch](), 0
        for batch in batches:
            held.append(batch)
            rows += batch.num_rows
            while rows >= GROUP_ROWS:
                whole = pa.Table.from_batches(held).combine_chunks()
                writer.write_table(whole.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
                held = whole.slice(GROUP_ROWS).to_batches()
                rows -= GROUP_ROWS
        if rows:
            writer.write_table(pa.Table.from_batches(held).combine_chunks())
    put_in_place(part, path)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file; a reader sees the old one or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    put_in_place(part, path)
    return path


def write_new(path: Path, content: bytes) -> bool:
    """Write a file unless there is one of its name; whether it was written. Any number may try at once."""
    return put_beside(part_of(path, content), path)


def part_of(path: Path, content: bytes) -> Path:
    """A hidden file beside `path` that nobody else writes, with its content; whoever dies now leaves it behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as part:
        made = Path(part.name)
        try:
            part.write(content)
            part.flush()
        except OSError:
            made.unlink()  # where there is no room, every attempt would leave one more
            raise
    return made


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

"""The files that one step of the night leaves for the next: whole or not there, same content, same bytes."""

from pathlib import Path
from tempfile import NamedTemporaryFile

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.durable import put_beside, put_in_place

GROUP_ROWS = 1 << 20
"""Rows of a Parquet file that are written and read at once."""


def write_table(path: Path, table: pa.Table) -> Path:
    """Write a table as Parquet; a reader sees the old file or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(table, part, compression="zstd")
    put_in_place(part, path)
    return path


def write_batches(path: Path, batches: pa.RecordBatchReader) -> Path:
    """Write a stream of rows as Parquet, as `write_table` would; how they came in batches leaves no trace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with pq.ParquetWriter(part, batches.schema, compression="zstd") as writer:
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            if sum(one.num_rows for one in held) >= GROUP_ROWS:
                whole = pa.Table.from_batches(held)
                writer.write_table(whole.slice(0, GROUP_ROWS))
                held = whole.slice(GROUP_ROWS).to_batches()
        if held:
            writer.write_table(pa.Table.from_batches(held))
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
        part.write(content)
    return Path(part.name)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file as the step before left it."""
    return pq.read_table(path)

"""The files that one step of the night leaves for the next: whole or not there, same content, same bytes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.durable import put_in_place


def write_table(path: Path, table: pa.Table) -> Path:
    """Write a table as Parquet; a reader sees the old file or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(table, part, compression="zstd")
    put_in_place(part, path)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file; a reader sees the old one or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    put_in_place(part, path)
    return path


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file as the step before left it."""
    return pq.read_table(path)

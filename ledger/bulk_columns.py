"""Many rows at once from columns: what `ledger.bulk` does from rows, without a step per row on PostgreSQL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Boolean, Column, Connection, Date, Integer, LargeBinary, String, Table
from sqlalchemy.types import BigInteger, TypeEngine

from ledger.ahead import ahead
from ledger.binary_rows import Kind, binary_rows, stream
from ledger.bulk import CHUNK_ROWS, copy_into
from ledger.db import Instant


def insert_columns(conn: Connection, table: Table, pieces: Iterable[pa.Table]) -> None:
    """Insert rows that come as tables, whose columns are named as those of `table`, in any order; all pieces alike.

    Dates are date32, instants timestamp("us", "UTC"), whole numbers any of Arrow's. Raises pa.ArrowInvalid where a
    number does not fit its column.
    """
    rest = iter(pieces)
    first = next(rest, None)
    if first is None:
        return
    columns = [table.c[name] for name in first.column_names]
    batches = (batch for piece in _again(first, rest) for batch in _batches(piece))
    if conn.dialect.name == "postgresql":
        names = ", ".join(column.name for column in columns)
        kinds = [_kind(column) for column in columns]
        made = (binary_rows(list(zip(kinds, batch.columns, strict=True))) for batch in batches)
        with ahead(made) as rows:
            copy_into(conn, f"{table.name} ({names}) FROM STDIN (FORMAT binary)", stream(rows))
        return
    statement = str(
        table.insert().compile(dialect=conn.dialect, column_keys=[column.name for column in columns])
    )
    in_order = [column for column in table.columns if column.name in first.column_names]
    with ahead(_listed(in_order, batch) for batch in batches) as chunks:
        for chunk in chunks:
            conn.exec_driver_sql(statement, chunk)


def _again(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _batches(piece: pa.Table) -> Iterator[pa.RecordBatch]:
    for start in range(0, piece.num_rows, CHUNK_ROWS):
        yield from piece.slice(start, CHUNK_ROWS).combine_chunks().to_batches()


def _kind(column: Column[Any]) -> Kind:
    for of_type, kind in _KINDS.items():
        if isinstance(column.type, of_type):
            return kind
    raise TypeError(f"column {column} of {column.type!r} is of no kind that columns are copied as")


_KINDS: Final[Mapping[type[TypeEngine[Any]], Kind]] = {
    BigInteger: Kind.INT8,
    Integer: Kind.INT4,
    Boolean: Kind.TRUTH,
    Date: Kind.DATE,
    Instant: Kind.INSTANT,
    LargeBinary: Kind.OCTETS,
    String: Kind.TEXT,
}


def _listed(columns: Sequence[Column[Any]], batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Rows as SQLite's driver takes them, with these columns."""
    return list(zip(*(_values(column, batch.column(column.name)) for column in columns), strict=True))


def _values(column: Column[Any], values: Any) -> list[Any]:
    """A column as SQLite's driver takes it: dates and instants as texts, in the form that `ledger.db` reads."""
    if isinstance(column.type, Instant):
        encoded = values.dictionary_encode()
        texts = pc.binary_join_element_wise(
            pc.strftime(encoded.dictionary, "%Y-%m-%dT%H:%M:%S"), "+00:00", ""
        )
        values = texts.take(encoded.indices)
    elif isinstance(column.type, Date):
        values = values.cast(pa.string())
    elif _kind(column) is Kind.INT4:
        values = values.cast(pa.int32())
    if values.null_count and pa.types.is_integer(values.type):
        found: list[Any] = values.to_pylist()
        return found
    listed: list[Any] = values.to_numpy(zero_copy_only=False).tolist()
    return listed

"""What is written down beside entries: accounts, holds and events, and one hash over what a day added to them."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, Table, func, select

from ledger import tables
from ledger.bulk import CHUNK_ROWS


class Registers(NamedTuple):
    """The newest number in each register."""

    accounts: int
    holds: int
    events: int


_DIGESTED = ((tables.account, "digest"), (tables.hold, "digest"), (tables.event, "chain"))


def registers_at(conn: Connection) -> Registers:
    """Where the registers end now."""
    newest = [
        conn.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one() for table, _ in _DIGESTED
    ]
    return Registers(*newest)


def registers_root(conn: Connection, since: Registers, until: Registers) -> bytes:
    """SHA-256 over the label and, for each register, its newest number in 8 bytes and the new rows' hashes."""
    root = hashlib.sha256(b"onecard/registers/v1")
    for (table, column), after, last in zip(_DIGESTED, since, until, strict=True):
        root.update(last.to_bytes(8, "big"))
        for row_digest in _digests(conn, table, column, after, last):
            root.update(row_digest)
    return root.digest()


def _digests(conn: Connection, table: Table, column: str, after: int, last: int) -> Iterator[bytes]:
    query = select(table.c[column]).where(table.c.id > after, table.c.id <= last).order_by(table.c.id)
    for row in conn.execute(query.execution_options(yield_per=CHUNK_ROWS)):
        yield bytes(row[0])

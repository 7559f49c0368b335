"""What is written down beside entries: accounts, holds and events, and one hash over what was added to them.

A day's seal covers them up to the day's cut-off, which counts them: what the next day adds while this one
is still being closed is the next one's.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Connection, Table, func, select

from ledger import tables
from ledger.bulk import CHUNK_ROWS
from ledger.events import Event, Happened, record_events


class Registers(NamedTuple):
    """The newest number in each register."""

    accounts: int
    holds: int
    events: int


CUT_OFF = re.compile(r"accounts=([0-9]+) holds=([0-9]+)")
"""What the event of a cut-off says of the registers; of events, it is itself the newest."""

_DIGESTED = ((tables.account, "digest"), (tables.hold, "digest"), (tables.event, "chain"))


def registers_at(conn: Connection) -> Registers:
    """Where the registers end now."""
    newest = [
        conn.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one() for table, _ in _DIGESTED
    ]
    return Registers(*newest)


def record_cut_off(conn: Connection, business_date: date, *, at: datetime) -> None:
    """Write down that a day is cut off, and where accounts and holds end at that."""
    accounts, holds, _ = registers_at(conn)
    detail = f"accounts={accounts} holds={holds}"
    record_events(conn, [Event(at, Happened.DAY_CLOSING, business_date.isoformat(), detail)])


def registers_at_cut_off(conn: Connection, business_date: date) -> Registers:
    """Where the registers ended when a day was cut off. Raises ValueError where that is not written down."""
    columns = tables.event.c
    query = select(columns.id, columns.detail).where(
        columns.subject == business_date.isoformat(), columns.kind == Happened.DAY_CLOSING.value
    )
    row = conn.execute(query).first()
    registers = None if row is None else cut_off_at(row.id, row.detail)
    if registers is None:
        raise ValueError(f"the cut-off of {business_date} does not count accounts and holds")
    return registers


def cut_off_at(event_id: int, detail: str) -> Registers | None:
    """What the event of a cut-off says; None where that is nothing of the kind."""
    found = CUT_OFF.fullmatch(detail)
    return None if found is None else Registers(int(found[1]), int(found[2]), event_id)


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

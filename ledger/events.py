"""The events of days, accounts and holds: an append-only journal under a running hash.

What `ledger_day`, `ledger_total.closed`, `ledger_open_hold` and `ledger_forestalled` say now follows from it, so
that a change behind the ledger's back shows.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, select

from ledger import tables
from ledger.bulk import CHUNK_ROWS, insert_rows
from ledger.entry import json_bytes, utc_text

EVENTS_START = hashlib.sha256(b"onecard/events/v1").digest()
"""What the first event is chained to."""


class Happened(StrEnum):
    """What an event says of its subject; `detail` is a reference or a date that belongs to it."""

    DAY_OPENED = "day_opened"
    DAY_CLOSING = "day_closing"
    DAY_CLOSED = "day_closed"
    DAY_SEALED = "day_sealed"
    ACCOUNT_CLOSED = "account_closed"
    ACCOUNT_REOPENED = "account_reopened"
    HOLD_PLACED = "hold_placed"
    HOLD_SETTLED = "hold_settled"
    HOLD_VOIDED = "hold_voided"
    HOLD_EXPIRED = "hold_expired"
    FORESTALLED = "forestalled"
    MONTH_ARCHIVED = "month_archived"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at an instant to a day, an account, a hold or a reference.

    `kind` is one of `Happened`, unless someone wrote past the ledger.
    """

    at: datetime
    kind: str
    subject: str
    detail: str = ""


class Tail(NamedTuple):
    """Where the journal of events ends: the newest number, and the running hash up to it."""

    event_id: int
    chain: bytes


class Written(NamedTuple):
    """An event as it stands in the journal."""

    event_id: int
    event: Event
    chain: bytes


def tail(conn: Connection) -> Tail:
    """The end of the journal as it is now."""
    columns = tables.event.c
    row = conn.execute(select(columns.id, columns.chain).order_by(columns.id.desc()).limit(1)).one_or_none()
    return Tail(0, EVENTS_START) if row is None else Tail(row[0], bytes(row[1]))


def record_events(conn: Connection, events: Sequence[Event], after: Tail | None = None) -> None:
    """Write events behind the end of the journal, or behind `after` where the caller knows that it is the end."""
    if events:
        insert_rows(conn, tables.event, _rows(events, after or tail(conn)))


def read_events(conn: Connection) -> Iterator[Written]:
    """All events in order."""
    columns = tables.event.c
    query = select(columns.id, columns.at, columns.kind, columns.subject, columns.detail, columns.chain)
    query = query.order_by(columns.id).execution_options(yield_per=CHUNK_ROWS)
    for event_id, at, kind, subject, detail, chain in conn.execute(query):
        yield Written(event_id, Event(at, kind, subject, detail), bytes(chain))


def event_chained(previous: bytes, event: Event) -> bytes:
    """The running hash up to an event: SHA-256 over the one before and the event as a JSON array."""
    content = json_bytes([utc_text(event.at), event.kind, event.subject, event.detail])
    return hashlib.sha256(previous + content).digest()


def _rows(events: Sequence[Event], after: Tail) -> Iterator[tuple[object, ...]]:
    event_id, chain = after
    for event in events:
        event_id, chain = event_id + 1, event_chained(chain, event)
        yield event_id, event.at, str(event.kind), event.subject, event.detail, chain

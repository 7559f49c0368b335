"""How long the answers to `Idempotency-Key`s are kept: dropped after a night, wherever it was run from."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete

from api.http import tables

KEPT: Final = timedelta(days=30)
"""For so long, counted from when it was first asked, a request is answered as the first time (docs/api.md)."""


def drop_answers(conn: Connection, *, before: datetime) -> int:
    """Drop the answers of requests begun before an instant and say how many."""
    return conn.execute(delete(tables.answer).where(tables.answer.c.begun_at < before)).rowcount

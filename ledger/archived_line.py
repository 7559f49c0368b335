"""A line of an archived month, and what says that a month's file is the one that was written."""

import hashlib
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple


class ArchivedLine(NamedTuple):
    """A row of the file; amounts in fen."""

    line_id: int
    entry_id: int
    business_date: date
    reference: str
    kind: str
    event_at: datetime
    posted_at: datetime
    narrative: str
    reverses: str | None
    settles: str | None
    line_no: int
    debit: str
    credit: str
    amount_fen: int
    item: str
    debit_before_id: int
    credit_before_id: int


def sha256_of(path: Path) -> bytes:
    """SHA-256 of a file of any size. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()

"""What the entries of a day in the books say now, as digests: lines pass by in columns, and none becomes an object."""

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection

from ledger.column_texts import line_contents
from ledger.entry import canonical_head
from ledger.journal import Recorded, of_day, read_heads
from ledger.line_columns import AccountCodes, LineColumns, lines_of_day


class Told(NamedTuple):
    """An entry without its lines, and the digest of all that it says with them."""

    recorded: Recorded
    digest: bytes


def digests_told(conn: Connection, business_date: date, codes: AccountCodes) -> Iterator[Told]:
    """The entries of a date whose lines are in the books, in posting order, each with the digest that it has now.

    That is `ledger.entry.digest` of `canonical_bytes`, of the lines that name the entry as theirs.
    """
    runs = _runs(conn, business_date, codes)
    waiting = next(runs, None)
    for recorded in read_heads(conn, of_day(business_date)):
        content = hashlib.sha256(b"\x00" + canonical_head(recorded.entry)[:-1] + b",[")
        last = b""
        while waiting is not None and waiting[0] == recorded.entry_id:
            content.update(last)
            content.update(waiting[1][:-1])
            last = b","
            waiting = next(runs, None)
        content.update(b"]]")
        yield Told(recorded, content.digest())


def _runs(conn: Connection, business_date: date, codes: AccountCodes) -> Iterator[tuple[int, memoryview]]:
    """Neighbouring lines of one entry, in the order of entries and lines: its number, and what they say."""
    for piece in lines_of_day(conn, business_date, codes):
        yield from _of_entries(piece)


def _of_entries(lines: LineColumns) -> Iterator[tuple[int, memoryview]]:
    content, bounds = line_contents(lines.debit, lines.credit, lines.amount_fen, lines.item)
    entry_id = lines.entry_id
    begins = np.flatnonzero(np.r_[True, entry_id[1:] != entry_id[:-1]])
    for first, end in zip(begins.tolist(), [*begins[1:].tolist(), len(entry_id)], strict=True):
        yield int(entry_id[first]), content[bounds[first] : bounds[end]]

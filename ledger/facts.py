"""What the books say about the entries that are to be posted: loaded at once, before anything is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from ledger import tables
from ledger.accounts import Limit
from ledger.bulk import one_of
from ledger.day import DayState
from ledger.entry import Entry, Line
from ledger.journal import of_references, read_entries


class AccountFacts(NamedTuple):
    """An account as it stands before the call; amounts in fen. A tuple, as a night loads millions."""

    account_id: int
    limit: Limit
    closed: bool
    debits_fen: int
    credits_fen: int
    debits_held_fen: int
    credits_held_fen: int


class Booked(NamedTuple):
    """An entry that is in the books; `lines` only where a reversal of it is offered."""

    entry_id: int
    digest: bytes
    reversed_by: str | None = None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that decides over a sequence of entries."""

    days: Mapping[date, DayState]
    accounts: Mapping[str, AccountFacts]
    booked: Mapping[str, Booked]
    originals: Mapping[str, Booked]
    last_entry_id: int
    last_line_id: int


def load_facts(conn: Connection, entries: Sequence[Entry]) -> Facts:
    """Read the facts about entries whose texts the database can hold, in at most seven statements."""
    last_entry_id, last_line_id = conn.execute(
        select(
            select(func.coalesce(func.max(tables.entry.c.id), 0)).scalar_subquery(),
            select(func.coalesce(func.max(tables.line.c.id), 0)).scalar_subquery(),
        )
    ).one()
    references = list({entry.reference for entry in entries})
    reversed_ones = list({entry.reverses for entry in entries if entry.reverses is not None})
    codes: set[str] = set()
    for entry in entries:
        codes.update([line.debit for line in entry.lines])
        codes.update([line.credit for line in entry.lines])
    return Facts(
        days=_days(conn, {entry.business_date for entry in entries}),
        accounts=_accounts(conn, sorted(codes)),
        booked=_booked(conn, references),
        originals=_originals(conn, reversed_ones) if reversed_ones else {},
        last_entry_id=last_entry_id,
        last_line_id=last_line_id,
    )


def _days(conn: Connection, dates: set[date]) -> dict[date, DayState]:
    if not dates:
        return {}
    columns = tables.day.c
    query = select(columns.business_date, columns.state)
    query = query.where(columns.business_date.between(min(dates), max(dates)))
    return {business_date: DayState(state) for business_date, state in conn.execute(query)}


def _accounts(conn: Connection, codes: Sequence[str]) -> dict[str, AccountFacts]:
    columns = tables.account.c
    query = select(
        columns.code,
        columns.id,
        columns.limit_rule,
        columns.closed_at.is_not(None),
        columns.debits_posted_fen,
        columns.credits_posted_fen,
        columns.debits_held_fen,
        columns.credits_held_fen,
    ).where(one_of(conn, columns.code, codes))
    limits = {limit.value: limit for limit in Limit}
    return {
        row[0]: AccountFacts(row[1], limits[row[2]], row[3], row[4], row[5], row[6], row[7])
        for row in conn.execute(query)
    }


def _booked(conn: Connection, references: Sequence[str]) -> dict[str, Booked]:
    columns = tables.entry.c
    query = select(columns.reference, columns.id, columns.digest).where(of_references(conn, references))
    return {reference: Booked(number, digest) for reference, number, digest in conn.execute(query)}


def _originals(conn: Connection, references: Sequence[str]) -> dict[str, Booked]:
    reversal = tables.entry.alias("reversal")
    query = (
        select(tables.entry.c.reference, reversal.c.reference)
        .join(reversal, reversal.c.reverses_id == tables.entry.c.id)
        .where(one_of(conn, tables.entry.c.reference, references))
    )
    reversals = {row[0]: row[1] for row in conn.execute(query)}
    return {
        found.entry.reference: Booked(
            found.entry_id, found.digest, reversals.get(found.entry.reference), found.entry.lines
        )
        for found in read_entries(conn, of_references(conn, references))
    }

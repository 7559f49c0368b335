"""Archiving: the lines of closed and sealed months go into signed files, and on PostgreSQL out of the books."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, Select, func, select, text
from sqlalchemy.exc import OperationalError

from ledger import tables
from ledger.archive import Archived, archive_root, archives
from ledger.archive_file import table_of, write_file
from ledger.archived_line import sha256_of
from ledger.bulk import CHUNK_ROWS
from ledger.checks import days_equal_digests
from ledger.day import DayState
from ledger.db import nobody_writes_ahead, reading, writing
from ledger.entry import chain_start
from ledger.events import Event, Happened, record_events
from ledger.ids import month_bounds, next_month
from ledger.journal import of_day
from ledger.line_before import before_on_both
from ledger.partitions import partition_of
from ledger.seal import seal_of

LOCK_TIMEOUT_S: Final = 10
"""How long the drop waits for readers of the lines: others wait behind it."""

Sign = Callable[[bytes], tuple[int, bytes]]
"""The HSM's signature over 32 bytes: the key's version, and 64 bytes."""


class ArchiveRefused(Exception):
    """A month cannot be archived now; nothing was changed, and the message says what to do first."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A month's file, written and compared with the books, that is to be signed."""

    month: date
    name: str
    sha256: bytes
    rows: int


def archive_month(
    engine: Engine, month: date, folder: Path, sign: Sign, *, at: datetime
) -> tuple[Archived, bool]:
    """Put the lines of the month of a date into a signed file; say whether that was done now, or before.

    Raises ArchiveRefused, with nothing changed in the books, where that is not this month's turn, or the books
    are not as they were sealed. The HSM is asked between two transactions.
    """
    month = month.replace(day=1)
    with reading(engine) as conn:
        known = next((one for one in archives(conn) if one.month == month), None)
        if known is not None:
            return known, False
        draft = write_archive(conn, month, folder)
    key_version, signature = sign(archive_root(month, draft.rows, draft.sha256))
    with writing(engine) as conn:
        return store_archive(conn, draft, folder, key_version, signature, at=at), True


def write_archive(conn: Connection, month: date, folder: Path) -> Draft:
    """Write the file of a month's lines, read it back, and compare it with the books, which do not change.

    Raises ArchiveRefused as `archive_month`.
    """
    days = _require_turn(conn, month)
    _require_sealed_content(conn, days)
    name = f"lines-{month:%Y-%m}.parquet"
    path = folder / name
    rows = write_file(path, (table_of(chunk) for chunk in _chunks(conn, month)))
    file = pq.ParquetFile(path)
    written = file.metadata.num_row_groups
    for group, chunk in enumerate(_chunks(conn, month)):
        if group >= written or not file.read_row_group(group).equals(table_of(chunk)):
            raise ArchiveRefused(f"{path} is not what was written; look at the disk, then archive again")
    expected = conn.execute(
        select(func.coalesce(func.sum(tables.entry.c.line_count), 0)).where(_of_month(month))
    ).scalar_one()
    if rows != expected or file.metadata.num_rows != rows:
        raise ArchiveRefused(
            f"{month:%Y-%m} should have {expected} lines and has {rows}; run `onecard ledger verify`"
        )
    return Draft(month, name, sha256_of(path), rows)


def store_archive(
    conn: Connection, draft: Draft, folder: Path, key_version: int, signature: bytes, *, at: datetime
) -> Archived:
    """Keep a signed file and drop its lines from the books where the database can; both or neither.

    Raises ArchiveRefused where the file was changed since it was written, it is not the month's turn, or long
    readers are in the way.
    """
    month = draft.month
    _require_turn(conn, month)
    if sha256_of(folder / draft.name) != draft.sha256:
        raise ArchiveRefused(f"{folder / draft.name} was changed since it was written; archive again")
    archived = Archived(month, draft.name, draft.sha256, draft.rows, key_version, signature, at)
    conn.execute(
        tables.archive.insert().values(
            month=month,
            name=draft.name,
            sha256=draft.sha256,
            rows=draft.rows,
            key_version=key_version,
            signature=signature,
            archived_at=at,
        )
    )
    record_events(conn, [Event(at, Happened.MONTH_ARCHIVED, f"{month:%Y-%m}", draft.sha256.hex())])
    if conn.dialect.name == "postgresql":
        _drop_lines(conn, month)
    return archived


def _require_turn(conn: Connection, month: date) -> list[date]:
    """The days of a month that may be archived: it is over, sealed to its end, and the next in line."""
    day = tables.day.c
    end = next_month(month)
    after = conn.execute(select(func.max(day.business_date)).where(day.business_date >= end)).scalar_one()
    if after is None:
        raise ArchiveRefused(f"{month:%Y-%m} is not over: no day after it was opened; archive it later")
    query = select(day.business_date, day.state).where(day.business_date < end).order_by(day.business_date)
    days = []
    for business_date, state in conn.execute(query).all():
        if state != DayState.CLOSED.value:
            raise ArchiveRefused(
                f"day {business_date} is {state}; run its night before archiving {month:%Y-%m}"
            )
        if seal_of(conn, business_date) is None:
            raise ArchiveRefused(f"day {business_date} is not sealed; seal it before archiving {month:%Y-%m}")
        days.append(business_date)
    on_file = {one.month for one in archives(conn)}
    missing = [one for one in days if one < month and one.replace(day=1) not in on_file]
    if missing:
        raise ArchiveRefused(f"{missing[0]:%Y-%m} is older and not archived; archive it before {month:%Y-%m}")
    own = [one for one in days if one >= month]
    if not own:
        raise ArchiveRefused(f"{month:%Y-%m} has no day in the books; give a month that has")
    return own


def _require_sealed_content(conn: Connection, days: list[date]) -> None:
    """Only what was sealed is archived: each entry is what it was booked as, up to the end of each sealed day."""
    for finding in days_equal_digests(conn, days):
        raise ArchiveRefused(f"{finding.message}; nothing was archived")
    entry = tables.entry.c
    for business_date in days:
        seal = seal_of(conn, business_date)
        newest = select(entry.chain).where(of_day(business_date)).order_by(entry.id.desc()).limit(1)
        chain = conn.execute(newest).scalar_one_or_none()
        if seal is None or seal.contents.chain != (chain or chain_start(business_date)):
            raise ArchiveRefused(f"day {business_date} is not as it was sealed; run `onecard ledger verify`")


def _chunks(conn: Connection, month: date) -> Iterator[list[Any]]:
    """The rows of a month's file, so many at a time."""
    rows = conn.execute(_rows_of(month).execution_options(yield_per=CHUNK_ROWS))
    for chunk in rows.partitions(CHUNK_ROWS):
        yield list(chunk)


def _rows_of(month: date) -> Select[*tuple[Any, ...]]:
    """Lines joined with what their entries, accounts, originals and holds are called, as the file has them."""
    line, entry = tables.line.c, tables.entry.c
    original, hold = tables.entry.alias("original"), tables.hold
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    debit_before, credit_before = before_on_both()
    start, end = month_bounds(month)
    return (
        select(
            line.id,
            line.entry_id,
            entry.business_date,
            entry.reference,
            entry.kind,
            entry.event_at,
            entry.posted_at,
            entry.narrative,
            original.c.reference,
            hold.c.reference,
            line.id - entry.first_line_id + 1,
            debit.c.code,
            credit.c.code,
            line.amount_fen,
            line.item,
            debit_before.line_id,
            credit_before.line_id,
        )
        .select_from(tables.line.join(tables.entry, entry.id == line.entry_id))
        .outerjoin(original, original.c.id == entry.reverses_id)
        .outerjoin(hold, hold.c.id == entry.settles_id)
        .join(debit, debit.c.id == line.debit_id)
        .join(credit, credit.c.id == line.credit_id)
        .outerjoin(debit_before.overtaken, debit_before.joined)
        .outerjoin(credit_before.overtaken, credit_before.joined)
        .where(line.id > start, line.id < end)
        .order_by(line.id)
    )


def _of_month(month: date) -> Any:
    start, end = month_bounds(month)
    return (tables.entry.c.id > start) & (tables.entry.c.id < end)


def _drop_lines(conn: Connection, month: date) -> None:
    name = partition_of(month)
    if not nobody_writes_ahead(conn):
        raise ArchiveRefused(f"a night is writing lines; archive {month:%Y-%m} again when it is done")
    try:
        conn.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
        conn.execute(text(f"ALTER TABLE ledger_line DETACH PARTITION {name}"))
        conn.execute(text(f"DROP TABLE {name}"))
    except OperationalError as error:
        raise ArchiveRefused(
            f"the lines of {month:%Y-%m} are being read by others; archive again when they are done"
        ) from error

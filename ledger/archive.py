"""Archived months: where their lines are when they are no longer in the books, and the reading of them."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from ledger import tables
from ledger.archived_line import ArchivedLine, sha256_of
from ledger.entry import Line
from ledger.ids import before_first, date_of, next_month

if TYPE_CHECKING:
    from ledger.archive_file import MonthFile


class ArchiveDamaged(Exception):
    """The file of an archived month is missing, or is not the one that was written."""


class LinesArchived(LookupError):
    """Lines were asked for that are in an archive which was not named."""

    def __init__(self, what: str, month: date) -> None:
        super().__init__(f"{what}: lines of {month:%Y-%m} are archived; name the folder of the archive")


@dataclass(frozen=True, slots=True)
class Archived:
    """A month on file: the file's name in the folder, its SHA-256 and rows, and the signature over both."""

    month: date
    name: str
    sha256: bytes
    rows: int
    key_version: int
    signature: bytes
    archived_at: datetime

    @property
    def root(self) -> bytes:
        """What is signed."""
        return archive_root(self.month, self.rows, self.sha256)


def archive_root(month: date, rows: int, sha256: bytes) -> bytes:
    """SHA-256 over the label, the month in ASCII, the number of rows in 8 bytes, and the file's SHA-256."""
    labelled = b"onecard/archive/v1" + f"{month:%Y-%m}".encode("ascii")
    return hashlib.sha256(labelled + rows.to_bytes(8, "big") + sha256).digest()


def archives(conn: Connection) -> list[Archived]:
    """All archived months, the oldest first; they are the oldest months there are, without a gap."""
    rows = conn.execute(select(tables.archive).order_by(tables.archive.c.month))
    return [
        Archived(
            row.month,
            row.name,
            bytes(row.sha256),
            row.rows,
            row.key_version,
            bytes(row.signature),
            row.archived_at,
        )
        for row in rows
    ]


def lines_begin(conn: Connection) -> date | None:
    """The first date whose lines are in the books; None where that is the first date of all.

    PostgreSQL drops the lines of archived months; SQLite, whose rows cannot be dropped apart, keeps them.
    """
    if conn.dialect.name != "postgresql":
        return None
    newest: date | None = conn.execute(select(func.max(tables.archive.c.month))).scalar_one()
    return None if newest is None else next_month(newest)


class Archive:
    """The archived months in a folder, safe to share between threads.

    Each file's SHA-256 is compared before the first line of it is believed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._one_opens = Lock()
        self._files: dict[date, MonthFile] = {}

    def month(self, conn: Connection, business_date: date) -> "MonthFile | None":
        """The file of the month that a date lies in, or None where that is not archived.

        Raises ArchiveDamaged where the file is missing or was changed.
        """
        month = business_date.replace(day=1)
        with self._one_opens:
            if month not in self._files:
                archived = next((one for one in archives(conn) if one.month == month), None)
                if archived is None:
                    return None
                self._files[month] = self.open(archived)
            return self._files[month]

    def open(self, archived: Archived) -> "MonthFile":
        """Open a month's file if it is the one that was written. Raises ArchiveDamaged."""
        path = self.folder / archived.name
        remedy = "bring it back from a copy"
        try:
            found = sha256_of(path)
        except OSError as error:
            what = f"{path}, the archive of {archived.month:%Y-%m}, cannot be read ({error.strerror})"
            raise ArchiveDamaged(f"{what}; {remedy}") from error
        if found != archived.sha256:
            what = f"{path}, the archive of {archived.month:%Y-%m}, was changed"
            raise ArchiveDamaged(
                f"{what}: its SHA-256 is {found.hex()}, not {archived.sha256.hex()}; {remedy}"
            )
        # Arrow is loaded where a file is read, and most books have none.
        from ledger.archive_file import MonthFile

        return MonthFile(path)

    def line(self, conn: Connection, line_id: int) -> ArchivedLine | None:
        """An archived line by its number. Raises ArchiveDamaged."""
        try:
            file = self.month(conn, date_of(line_id))
        except ValueError:  # a number of no day
            return None
        return None if file is None else file.line(line_id)

    def lines(self, conn: Connection, entry_id: int, first_line_id: int, count: int) -> tuple[Line, ...]:
        """The lines of an entry that are in the file of its month; none where that is not archived."""
        file = self.month(conn, date_of(entry_id))
        found = [] if file is None else file.lines(first_line_id, count)
        return tuple(
            Line(one.debit, one.credit, one.amount_fen, one.item) for one in found if one.entry_id == entry_id
        )

    def moved(self, conn: Connection, code: str, *, since: date, at: datetime) -> tuple[int, int]:
        """What was booked until an instant to an account in the archive, from a date on: debits, credits in fen."""
        debits_fen = credits_fen = 0
        start = before_first(since)
        for archived in archives(conn):
            file = self.month(conn, archived.month) if archived.month >= since.replace(day=1) else None
            for line in () if file is None else file.lines_of(code, start):
                if line.posted_at <= at:
                    debits_fen += line.amount_fen if line.debit == code else 0
                    credits_fen += line.amount_fen if line.credit == code else 0
        return debits_fen, credits_fen

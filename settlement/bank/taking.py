"""A file of the bank's taken: kept first, read, held against what is known, and booked whole or not at all.

The same file again changes nothing and says so; of several who bring it at once, one takes it. A file that was refused
is looked at anew when it comes again, since what it stumbled over may have been put right.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from clearing.archive import keep, keep_file, require_whole
from ledger.day import current_day
from ledger.db import writing
from ledger.money import yuan
from settlement.bank.booking import book_statement, take_statuses
from settlement.bank.points import WORK_KINDS, points_of, work_of
from settlement.bank.reading import read_bank_file
from settlement.bank.statement_checks import Doubt, StatementFlaw, to_book
from settlement.bank.statement_file import Statement
from settlement.bank.status_report import StatusReport
from settlement.bank.store import KeptFile, files_where, keep_bank_file, next_file, statements_where
from settlement.bank.tables import bank_file
from settlement.bank.xml_reading import MOST_BYTES, Unreadable
from settlement.participants import SCHEME, participants_of
from settlement.work_queue import hand_over


class Took(StrEnum):
    """What became of a file that was brought."""

    TAKEN = "taken"
    REPEATED = "repeated"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was brought: its number with us, what it did, and what to do where it was refused."""

    name: str
    number: int
    took: Took
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Brought:
    """A file as it was brought: its name, its digest in the archive, and what it says."""

    name: str
    digest: str
    read: StatusReport | tuple[Statement, ...] | Unreadable


def brought(archive: Path, path: Path, name: str = "") -> Brought:
    """Keep a file and read it; one that is too long is kept whole, and only so much of it read as says so.

    Raises OSError where it cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        digest = keep_file(archive, path).digest
        with path.open("rb") as file:
            return Brought(name or path.name, digest, read_bank_file(file.read(MOST_BYTES + 1)))
    data = path.read_bytes()
    return Brought(name or path.name, keep(archive, data), read_bank_file(data))


def brought_again(archive: Path, file: KeptFile) -> Brought:
    """A file that came before, as the archive has it. Raises OSError or ValueError where it has it no more."""
    return brought(archive, require_whole(archive, file.digest), file.name)


def take_file(engine: Engine, archive: Path, name: str, data: bytes, *, at: datetime, today: date) -> Taken:
    """Take a file's bytes (see `take`)."""
    return take(engine, Brought(name, keep(archive, data), read_bank_file(data)), at=at, today=today)


def take(engine: Engine, file: Brought, *, at: datetime, today: date) -> Taken:
    """Take a file that the archive has, in one transaction; `today` is the day by which open points are old.

    Raises DayOrderError where no day is open and StepRefused where the ledger refuses; then only the archive has it.
    """
    read, name, digest = file.read, file.name, file.digest
    with writing(engine) as conn:
        business_date = current_day(conn)
        known = next(iter(files_where(conn, bank_file.c.digest == digest)), None)
        if known is not None and known.state == "taken":
            message = f"was taken on {known.read_on} already, as file {known.number}: nothing changes"
            return Taken(name, known.number, Took.REPEATED, message)
        number = known.number if known else next_file(conn)
        kind = (
            "status"
            if isinstance(read, StatusReport)
            else "unknown"
            if isinstance(read, Unreadable)
            else "statement"
        )
        todo = _todo(conn, read)
        if isinstance(todo, Doubt | Unreadable):
            again = known is not None and known.message == todo.message[:2000]
            state = known.state if known is not None and again else "refused"
            kept = KeptFile(
                number, digest, name[:255], kind, state, todo.message[:2000], todo.remedy, at, business_date
            )
            keep_bank_file(conn, kept)
            done = Taken(name, number, Took.REFUSED, todo.message, todo.remedy)
        else:
            kept = KeptFile(number, digest, name[:255], kind, "taken", "", "", at, business_date)
            keep_bank_file(conn, kept)
            done = Taken(name, number, Took.TAKEN, _take(conn, number, todo, business_date, at))
            keep_bank_file(conn, replace(kept, message=done.message[:2000]))
        keep_work(conn, business_date, at=at, today=today)
    return done


def keep_work(conn: Connection, business_date: date, *, at: datetime, today: date) -> None:
    """Have the work queue say what is open with the bank now."""
    found = work_of(points_of(conn, today))
    hand_over(conn, found, WORK_KINDS, business_date, at=at, who="bank")


def _todo(
    conn: Connection, read: StatusReport | tuple[Statement, ...] | Unreadable
) -> StatusReport | list[Statement] | Doubt | Unreadable:
    """What of a file is to be taken, or why it is not."""
    if isinstance(read, Unreadable | StatusReport):
        return read
    scheme = participants_of(conn, [SCHEME]).get(SCHEME)
    if scheme is None:
        remedy = f"register a participant {SCHEME} with it, and bring the file again"
        return Doubt(StatementFlaw.ACCOUNT_OTHER, "nobody knows the reserve's account", remedy)
    return to_book(read, statements_where(conn), scheme.account_no)


def _take(
    conn: Connection, file: int, todo: StatusReport | list[Statement], business_date: date, at: datetime
) -> str:
    """Take what was read; what it did, in words."""
    if isinstance(todo, StatusReport):
        effects = take_statuses(conn, file, todo, business_date)
        return f"statuses of {todo.original_message_id}: {_counted(effects, _EFFECTS) or 'none'}"
    said = []
    for statement in todo:
        fates = book_statement(conn, file, statement, business_date, at=at)
        left = f"; {statement.pending} pending left out" if statement.pending else ""
        closes = f"closes {statement.day} with {yuan(statement.closing_fen)} yuan"
        said.append(
            f"statement {statement.statement_id} {closes}: {_counted(fates, _FATES) or 'no line'}{left}"
        )
    return " · ".join(said) or "every statement in it is booked already"


_EFFECTS: Final = {
    "moved": "moved an instruction",
    "same": "changed nothing",
    "contradicts": "contradicted what is known",
    "unknown": "named none of ours",
}
_FATES: Final = {
    "paid": "paid",
    "returned": "returned",
    "known": "in the books already",
    "differs": "differing",
    "twice": "paid twice",
    "contradicts": "paid though rejected",
    "theirs_only": "theirs only",
}


def _counted(counts: Counter[str], words: Mapping[str, str]) -> str:
    return ", ".join(f"{counts[name]} {word}" for name, word in words.items() if counts[name])

"""Reconciling a business day with a biller: totals first, then lines; nothing is lost and nothing is guessed.

What we have and the biller has not is notified again; what it has and we have not goes to suspense; what
differs is listed. Run again on a repaired file, a difference that is gone is settled and its suspense undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, func, insert, select, update

from clearing.online.payment import payments_of_merchant
from clearing.sectors.utilities.catalogue import biller_of
from clearing.sectors.utilities.comparing import Comparison, Difference, DifferenceKind, compare
from clearing.sectors.utilities.daily_file import BillerFileError, DailyFile, FileHeader, read_daily_file
from clearing.sectors.utilities.differences import keep_differences
from clearing.sectors.utilities.moves import happen
from clearing.sectors.utilities.notices import ClosedNotice, Closing, close_notices, queue_notices
from clearing.sectors.utilities.register import BillPayment, payments_of, payments_of_day
from clearing.sectors.utilities.states import LIVE, Act, Happening, State
from clearing.sectors.utilities.tables import daily_file as file_table
from clearing.sectors.utilities.tables import payment as payment_table
from ledger.db import writing
from ledger.tables import day as day_table


class FileRefusal(StrEnum):
    """Why a file is not reconciled, in order of precedence: the first that applies is the one given."""

    FLAWED = "file_flawed"
    BILLER_UNKNOWN = "biller_unknown"
    OTHER_BILLER = "other_biller"
    OTHER_DAY = "other_day"
    ISSUE_TAKEN = "issue_taken"
    ISSUE_SUPERSEDED = "issue_superseded"


@dataclass(frozen=True, slots=True)
class FileRefused:
    """The file changed nothing, and why."""

    reason: FileRefusal
    message: str


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One business day of a biller from both sides, in payments and fen, and what differs.

    `proved` counts payments that the file, and no answer to their notice, shows to be written off.
    """

    biller: str
    business_date: date
    issue: int
    ours_count: int
    ours_fen: int
    theirs_count: int
    theirs_fen: int
    agreed: int
    proved: int
    differences: tuple[Difference, ...]

    @property
    def totals_agree(self) -> bool:
        """Whether count and amount agree; lines may differ all the same, where they make up for each other."""
        return (self.ours_count, self.ours_fen) == (self.theirs_count, self.theirs_fen)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, in total and line by line."""
        return self.totals_agree and not self.differences


def reconcile_day(
    engine: Engine, biller: str, file_bytes: bytes, business_date: date, at: datetime
) -> Reconciled | FileRefused:
    """Reconcile a biller's business date with its daily file, in one transaction.

    The same file again gives what is so now and books nothing twice. Raises ledger.day.DayOrderError where
    something goes to suspense and no business day is open.
    """
    with writing(engine) as conn:
        return take_file(conn, biller, file_bytes, business_date, at=at)


def take_file(
    conn: Connection, biller: str, file_bytes: bytes, business_date: date, *, at: datetime
) -> Reconciled | FileRefused:
    """Reconcile as `reconcile_day` does, in the caller's transaction; `conn` comes from `writing`."""
    file = _accepted(conn, biller, file_bytes, business_date)
    if isinstance(file, FileRefused):
        return file
    ours, found = _compared(conn, file)
    _take_as_answers(conn, found, at)
    _notify_again(conn, found, at)
    keep_differences(conn, file.header, found.differences, at=at)
    _register(conn, file, at)
    return _result(file, ours, found)


def look_at_file(
    conn: Connection, biller: str, file_bytes: bytes, business_date: date
) -> Reconciled | FileRefused:
    """What taking a file would find now; nothing is changed."""
    file = _accepted(conn, biller, file_bytes, business_date)
    return file if isinstance(file, FileRefused) else _result(file, *_compared(conn, file))


def _accepted(
    conn: Connection, biller: str, file_bytes: bytes, business_date: date
) -> DailyFile | FileRefused:
    try:
        file = read_daily_file(file_bytes)
    except BillerFileError as error:
        return FileRefused(FileRefusal.FLAWED, f"the file of {biller} for {business_date}: {error}")
    return _refused(conn, file, biller, business_date) or file


def _compared(conn: Connection, file: DailyFile) -> tuple[list[BillPayment], Comparison]:
    header = file.header
    ours = _as_money_stands(
        conn, payments_of_day(conn, header.biller, header.business_date), header.biller, header.business_date
    )
    held = {one.reference for one in ours}
    elsewhere = payments_of(conn, [one.reference for one in file.lines if one.reference not in held])
    return ours, compare(ours, file.lines, elsewhere)


def _take_as_answers(conn: Connection, found: Comparison, at: datetime) -> None:
    """The file is the biller's word as much as an answer is."""
    happen(conn, dict.fromkeys(found.proved, Happening.WRITE_OFF_TAKEN), at=at)
    close_notices(conn, [ClosedNotice(one, Act.WRITE_OFF, Closing.BY_FILE) for one in found.proved], at=at)


def _notify_again(conn: Connection, found: Comparison, at: datetime) -> None:
    again = {DifferenceKind.OURS_ONLY: Act.WRITE_OFF, DifferenceKind.REVERSAL_OPEN: Act.REVERSE}
    for kind, act in again.items():
        references = [one.reference for one in found.differences if one.kind is kind]
        if references:
            queue_notices(conn, references, act, at=at)


def _refused(conn: Connection, file: DailyFile, biller: str, business_date: date) -> FileRefused | None:
    header = file.header
    if biller_of(conn, biller) is None:
        return FileRefused(
            FileRefusal.BILLER_UNKNOWN, f"biller {biller!r} is not in the catalogue; register it first"
        )
    if header.biller != biller:
        return FileRefused(
            FileRefusal.OTHER_BILLER, f"the file is of {header.biller}, not of {biller}; give {biller}'s own"
        )
    if header.business_date != business_date:
        return FileRefused(
            FileRefusal.OTHER_DAY,
            f"the file of {biller} is of {header.business_date}, not of {business_date}; ask for that day's",
        )
    issues = _issues(conn, biller, business_date)
    if issues.get(header.issue, file.digest) != file.digest:
        return FileRefused(
            FileRefusal.ISSUE_TAKEN,
            f"issue {header.issue} of {biller} for {business_date} came before with other content; "
            "have the biller send its correction as a new issue",
        )
    if issues and header.issue < max(issues):
        return FileRefused(
            FileRefusal.ISSUE_SUPERSEDED,
            f"issue {header.issue} of {biller} for {business_date} is older than issue {max(issues)}, which "
            "is reconciled; give a newer one",
        )
    return None


def _issues(conn: Connection, biller: str, business_date: date) -> Mapping[int, str]:
    columns = file_table.c
    query = select(columns.issue, columns.digest).where(
        columns.biller == biller, columns.business_date == business_date
    )
    return {row.issue: row.digest for row in conn.execute(query)}


def _register(conn: Connection, file: DailyFile, at: datetime) -> None:
    header, columns = file.header, file_table.c
    key = {"biller": header.biller, "business_date": header.business_date, "issue": header.issue}
    here = [columns[name] == value for name, value in key.items()]
    if conn.execute(update(file_table).where(*here).values(reconciled_at=at)).rowcount:
        return
    conn.execute(
        insert(file_table).values(
            **key,
            digest=file.digest,
            made_at=header.made_at,
            line_count=header.count,
            amount_fen=header.amount_fen,
            reconciled_at=at,
        )
    )


def _result(file: DailyFile, ours: Sequence[BillPayment], found: Comparison) -> Reconciled:
    header = file.header
    live = [one.amount_fen for one in ours if one.state in LIVE]
    return Reconciled(
        header.biller, header.business_date, header.issue, len(live), sum(live), header.count,
        header.amount_fen, found.agreed, len(found.proved), found.differences,
    )  # fmt: skip


def files_of_day(conn: Connection, business_date: date) -> list[FileHeader]:
    """The newest file of each biller that a business date is reconciled with, by biller."""
    columns = file_table.c
    query = select(
        columns.biller, columns.business_date, columns.issue, columns.line_count, columns.amount_fen,
        columns.made_at,
    ).where(columns.business_date == business_date).order_by(columns.biller, columns.issue)  # fmt: skip
    newest = {row.biller: FileHeader(*row) for row in conn.execute(query)}
    return list(newest.values())


def standing_payments(conn: Connection, biller: str, business_date: date) -> list[BillPayment]:
    """The payments of a business date that a biller should have in its file, with what is left of them."""
    ours = _as_money_stands(conn, payments_of_day(conn, biller, business_date), biller, business_date)
    return [one for one in ours if one.state in LIVE]


def unreconciled_days(conn: Connection, *, before: date) -> list[tuple[str, date]]:
    """Billers' business dates before `before`, since their first payment, without a file yet, oldest first.

    A day without payments of ours is one, too: the biller may have written off what we do not have.
    """
    paid, filed, day = payment_table.c, file_table.c, day_table.c
    first = select(paid.biller, func.min(paid.business_date).label("first")).group_by(paid.biller).subquery()
    query = (
        select(first.c.biller, day.business_date)
        .join(day_table, day.business_date >= first.c.first)
        .outerjoin(file_table, (filed.biller == first.c.biller) & (filed.business_date == day.business_date))
        .where(day.business_date < before, filed.issue.is_(None))
        .order_by(day.business_date, first.c.biller)
    )
    return [(biller, business_date) for biller, business_date in conn.execute(query)]


def _as_money_stands(
    conn: Connection, ours: Sequence[BillPayment], biller: str, business_date: date
) -> list[BillPayment]:
    """Payments by what is left of their money, should a refund have gone past this room's register."""
    booked = {one.reference: one for one in payments_of_merchant(conn, biller, business_date)}
    return [
        replace(one, state=State.REVERSED)
        if (left_fen := booked[one.reference].standing_fen) == 0
        else replace(one, amount_fen=left_fen)
        for one in ours
    ]

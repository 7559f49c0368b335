"""Archived months recomputed from their files: the same that `ledger.verify` recomputes of what is in the books."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from ledger import tables
from ledger.archive import Archive, Archived, ArchiveDamaged, archives
from ledger.archive_file import MonthFile
from ledger.archive_walks import Walks
from ledger.bulk import one_of
from ledger.checks import days_equal_digests, gaps
from ledger.findings import Finding, both_sides
from ledger.ids import A_DAY, date_of, month_bounds, next_month
from ledger.seal import PublicKey, signed_under

Numbers = NDArray[np.int64]

CHECK = "archives_agree"


def archives_agree(
    conn: Connection, archive: Archive | None, public_key: PublicKey | None, walks: Walks
) -> Iterator[Finding]:
    """Each archived month's file is there as it was written and signed, and what is in it is what was booked.

    Its entries have their digests, their lines are numbered without gaps, and its days' sums are their snapshots.
    `walks` is told of every line.
    """
    on_file = archives(conn)
    totals = _Totals(conn)
    for archived in on_file:
        month = f"{archived.month:%Y-%m}"
        if archive is None:
            walks.complete = False
            message = f"{month} is archived and was not looked at; name the folder of the archive"
            yield Finding(CHECK, month, 0, 0, message)
            return
        try:
            file = archive.open(archived)
        except ArchiveDamaged as error:
            walks.complete = False
            yield Finding(CHECK, month, 0, 0, str(error))
            return
        signature = (archived.key_version, archived.signature, archived.root)
        if public_key is not None and not signed_under(public_key, *signature):
            message = f"the archive of {month} is not signed by key version {archived.key_version}"
            yield Finding(CHECK, month, 0, 0, f"{message}; restore the books from a backup")
        found = list(_month(conn, archive, archived, file))
        yield from found
        if found:
            walks.complete = False
            return
        yield from _sums(conn, file, archived, totals, walks)


def _month(conn: Connection, archive: Archive, archived: Archived, file: MonthFile) -> Iterator[Finding]:
    entry, day = tables.entry.c, tables.day.c
    start, end = month_bounds(archived.month)
    month = f"{archived.month:%Y-%m}"
    expected = conn.execute(
        select(func.coalesce(func.sum(entry.line_count), 0)).where(entry.id > start, entry.id < end)
    ).scalar_one()
    if not expected == file.rows == archived.rows:
        message = f"the entries of {month} have {expected} lines, its archive {file.rows}"
        yield Finding(CHECK, month, int(expected), file.rows, f"{message}; restore the books from a backup")
    yield from gaps(conn, (entry.id > start) & (entry.id < end))
    days = select(day.business_date).where(day.business_date >= archived.month).order_by(day.business_date)
    dates = conn.scalars(days.where(day.business_date < next_month(archived.month))).all()
    yield from days_equal_digests(conn, dates, _FromFile(archive, archived.month, file))


class _FromFile(Archive):
    """An archive of one month that has been opened, so that its file is not hashed again."""

    def __init__(self, archive: Archive, month: date, file: MonthFile) -> None:
        super().__init__(archive.folder)
        self._files[month] = file


class _Totals:
    """Running totals by number of account, in fen."""

    def __init__(self, conn: Connection) -> None:
        newest: int = conn.execute(select(func.coalesce(func.max(tables.account.c.id), 0))).scalar_one()
        self.debits_fen, self.credits_fen = (np.zeros(newest + 1, np.int64) for _ in range(2))
        self.moved = np.zeros(newest + 1, np.bool_)


def _sums(
    conn: Connection, file: MonthFile, archived: Archived, totals: _Totals, walks: Walks
) -> Iterator[Finding]:
    """Add a month's lines up, day by day, and hold each day's sums against its snapshots."""
    today = 0
    seen: set[date] = set()
    for table in file.groups():
        line_id, amount_fen = (table[name].to_numpy() for name in ("line_id", "amount_fen"))
        debit_id, credit_id = (_account_ids(conn, table[name]) for name in ("debit", "credit"))
        for account_id, before in ((debit_id, "debit_before_id"), (credit_id, "credit_before_id")):
            before_id = table[before].to_numpy()
            walks.add(account_id, line_id, 1)
            walks.add(account_id, before_id, -1)
            backwards = (before_id // A_DAY == line_id // A_DAY) & (before_id >= line_id)
            if backwards.any():
                first = int(line_id[backwards.argmax()])
                message = f"line {first} names a later line as the one before it; restore a backup"
                yield Finding(CHECK, str(first), 0, first, message)
        days = line_id // A_DAY
        cuts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]) if len(days) else np.empty(0, np.int64)
        for start, end in zip(cuts.tolist(), [*cuts[1:].tolist(), len(days)], strict=True):
            if today and int(days[start]) != today:
                yield from _snapshots(conn, date_of(today * A_DAY), totals)
            today = int(days[start])
            seen.add(date_of(today * A_DAY))
            for account_id, sums_fen in ((debit_id, totals.debits_fen), (credit_id, totals.credits_fen)):
                np.add.at(sums_fen, account_id[start:end], amount_fen[start:end])
                totals.moved[account_id[start:end]] = True
    if today:
        yield from _snapshots(conn, date_of(today * A_DAY), totals)
    snapshot = tables.snapshot.c
    kept = select(snapshot.business_date).distinct().where(snapshot.business_date >= archived.month)
    for business_date in conn.scalars(kept.where(snapshot.business_date < next_month(archived.month))).all():
        if business_date not in seen:
            yield from _snapshots(conn, business_date, totals)


def _snapshots(conn: Connection, business_date: date, totals: _Totals) -> Iterator[Finding]:
    """The snapshots of a day are the sums of all lines up to its end, of the accounts that moved on it."""
    snapshot = tables.snapshot.c
    query = select(snapshot.account_id, snapshot.debits_posted_fen, snapshot.credits_posted_fen)
    rows = conn.execute(
        query.where(snapshot.business_date == business_date).order_by(snapshot.account_id)
    ).all()
    kept = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 3)
    moved = np.flatnonzero(totals.moved)
    expected = np.column_stack([moved, totals.debits_fen[moved], totals.credits_fen[moved]])
    totals.moved[:] = False
    if np.array_equal(kept, expected):
        return
    ours, theirs = ({row[0]: row[1:] for row in rows.tolist()} for rows in (expected, kept))
    number = min(one for one in ours.keys() | theirs.keys() if ours.get(one) != theirs.get(one))
    code = conn.execute(
        select(tables.account.c.code).where(tables.account.c.id == number)
    ).scalar_one_or_none()
    code = code or "an account that is gone"
    found, should = theirs.get(number, [0, 0]), ours.get(number, [0, 0])
    message = (
        f"{code} on {business_date}: by lines {should[0]} fen of debits and {should[1]} of credits, "
        f"by the snapshot {found[0]} and {found[1]}"
    )
    yield Finding(CHECK, code, should[0] - should[1], found[0] - found[1], message)


def resting_totals_agree(conn: Connection, begin: date | None) -> Iterator[Finding]:
    """What has not moved since the archive ends stood, before its newest date, where the snapshots say it did."""
    if begin is None:
        return
    snapshot, total, account = tables.snapshot.c, tables.total.c, tables.account.c
    by_date: dict[str, Any] = {"partition_by": snapshot.account_id, "order_by": snapshot.business_date}
    newest_first: dict[str, Any] = {**by_date, "order_by": snapshot.business_date.desc()}
    kept = select(
        snapshot.account_id,
        snapshot.business_date,
        func.lag(snapshot.debits_posted_fen, 1, 0).over(**by_date).label("debits"),
        func.lag(snapshot.credits_posted_fen, 1, 0).over(**by_date).label("credits"),
        func.row_number().over(**newest_first).label("place"),
    ).subquery()
    rows = (
        select(account.code, kept.c.debits, total.debits_before_fen, kept.c.credits, total.credits_before_fen)
        .join(tables.total, total.account_id == account.id)
        .join(kept, kept.c.account_id == account.id)
        .where(kept.c.place == 1, total.moved_on < begin)
    )
    check = "totals_tell_the_day_before"
    yield from both_sides(check, rows, conn, "snapshots", "the totals before its newest date")
    elsewhere = (
        select(account.code, kept.c.business_date, total.moved_on)
        .join(tables.total, total.account_id == account.id)
        .outerjoin(kept, (kept.c.account_id == account.id) & (kept.c.place == 1))
        .where(total.moved_on < begin, total.moved_on.is_distinct_from(kept.c.business_date))
        .order_by(account.code)
    )
    for code, expected, moved_on in conn.execute(elsewhere):
        message = f"account {code} moved on {expected} by its snapshots, on {moved_on} by its totals"
        yield Finding(check, code, 0, 0, message)


def _account_ids(conn: Connection, codes: Any) -> Numbers:
    """The numbers of the accounts of a column of codes; 0 for one that is gone."""
    known: pa.DictionaryArray[Any, Any] = codes.combine_chunks().dictionary_encode()
    names = [str(name) for name in known.dictionary.to_pylist()]
    account = tables.account.c
    query = select(account.code, account.id).where(one_of(conn, account.code, names))
    ids: dict[str, int] = dict(conn.execute(query).all())
    numbers = np.array([ids.get(name, 0) for name in names], np.int64)
    places: Numbers = known.indices.to_numpy()
    return numbers[places]

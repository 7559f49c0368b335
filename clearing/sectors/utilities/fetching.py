"""Billers at night: the daily file of every business day that is not settled with them, fetched and reconciled.

A biller that does not answer, or whose file cannot be taken, keeps its day open: it is fetched again the next
night, as is a day on which lines still differ.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from threading import Lock

from sqlalchemy import Connection, Engine

from clearing.archive import fetch, keep
from clearing.context import Night
from clearing.peers import SILENT_IN_A_ROW
from clearing.sectors.peer_day import LineDifference, Outcome, PeerDay, PeerDays, Totals
from clearing.sectors.utilities.claims import SuspenseError
from clearing.sectors.utilities.differences import open_differences
from clearing.sectors.utilities.peer import BillerClient, NoAnswer, shortened
from clearing.sectors.utilities.reconciliation import (
    FileRefused,
    Reconciled,
    look_at_file,
    take_file,
    unreconciled_days,
)
from clearing.sectors.utilities.sending import MOST_AT_ONCE
from ledger.db import reading


@dataclass(frozen=True, slots=True)
class Fetched:
    """A biller's file of a day by its digest in the archive; or why there is none."""

    biller: str
    business_date: date
    digest: str = ""
    failure: Outcome | None = None
    message: str = ""


def reconcile_billers(engine: Engine, night: Night) -> PeerDays:
    """Fetch and compare the files of all days through the night's own that are not settled.

    Every file is kept in the archive before it is read. What is found goes into the books with `write`: what
    we have not goes to suspense on the open day, as the night's own day is cut off.
    """
    with reading(engine) as conn:
        wanted = days_to_fetch(conn, through=night.business_date)
    fetched = fetch_files(night, wanted)
    with reading(engine) as conn:
        days = tuple(_looked_at(conn, night, one) for one in fetched)

    def write(conn: Connection) -> None:
        for one in fetched:
            if one.failure is None:
                _take(conn, night, one)

    return PeerDays(days, write)


def days_to_fetch(conn: Connection, *, through: date) -> Mapping[str, Sequence[date]]:
    """By biller, the days without a file and those whose lines differ, newest first."""
    found = set(unreconciled_days(conn, before=through + timedelta(days=1)))
    found |= {
        (one.biller, one.business_date) for one in open_differences(conn) if one.business_date <= through
    }
    billers = sorted({biller for biller, _ in found})
    return {
        biller: sorted((day for whose, day in found if whose == biller), reverse=True) for biller in billers
    }


def fetch_files(night: Night, days: Mapping[str, Sequence[date]]) -> list[Fetched]:
    """Fetch billers' files, several billers at a time; by business date, then biller."""
    archiving = Lock()  # two billers may send the same rubbish, which is one file

    def archived(content: bytes) -> str:
        with archiving:
            return keep(night.archive, content)

    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        waiting = [
            pool.submit(_fetch_each, biller, night.peers.billers.get(biller), wanted, archived)
            for biller, wanted in days.items()
        ]
    fetched = [one for finished in waiting for one in finished.result()]
    return sorted(fetched, key=lambda one: (one.business_date, one.biller))


def _fetch_each(
    biller: str, client: BillerClient | None, days: Sequence[date], archived: Callable[[bytes], str]
) -> list[Fetched]:
    if client is None:
        why = f"no address of {biller} is set; set it, or have the biller bring its files"
        return [Fetched(biller, day, failure=Outcome.NOT_CONNECTED, message=why) for day in days]
    fetched: list[Fetched] = []
    silent = 0
    for day in days:
        if silent == SILENT_IN_A_ROW:
            why = "the biller is silent tonight; it is asked again the next night"
            fetched.append(Fetched(biller, day, failure=Outcome.NOT_TRIED, message=why))
            continue
        try:
            content = client.daily_file(day)
        except NoAnswer as error:
            silent += 1
            fetched.append(Fetched(biller, day, failure=Outcome.NO_ANSWER, message=shortened(str(error))))
        else:
            silent = 0
            fetched.append(Fetched(biller, day, archived(content)))
    return fetched


def _looked_at(conn: Connection, night: Night, one: Fetched) -> PeerDay:
    if one.failure is not None:
        return PeerDay(one.biller, one.business_date, one.failure, one.message)
    content = fetch(night.archive, one.digest)
    found = look_at_file(conn, one.biller, content, one.business_date)
    if isinstance(found, FileRefused):
        return PeerDay(one.biller, one.business_date, Outcome.REFUSED, f"{found.reason}: {found.message}")
    return day_of(found)


def day_of(found: Reconciled) -> PeerDay:
    """A reconciled day as every peer's is reported."""
    lines = tuple(
        LineDifference(one.reference, one.kind.value, one.ours_fen, one.theirs_fen, one.message)
        for one in found.differences
    )
    return PeerDay(
        found.biller,
        found.business_date,
        Outcome.AGREES if found.agrees else Outcome.DIFFERS,
        f"issue {found.issue}",
        Totals(found.ours_count, found.ours_fen),
        Totals(found.theirs_count, found.theirs_fen),
        lines,
    )


def _take(conn: Connection, night: Night, one: Fetched) -> None:
    """Take one file; where the books do not take its claims, it leaves nothing and its day stays open."""
    savepoint = conn.begin_nested()
    try:
        take_file(conn, one.biller, fetch(night.archive, one.digest), one.business_date, at=night.at)
    except SuspenseError:
        savepoint.rollback()
    else:
        savepoint.commit()

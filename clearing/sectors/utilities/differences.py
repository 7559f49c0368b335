"""Differences with billers: listed since when and why, until a file without them settles them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from clearing.sectors.utilities.claims import Claim, renew_claims
from clearing.sectors.utilities.comparing import Difference, DifferenceKind
from clearing.sectors.utilities.daily_file import FileHeader
from clearing.sectors.utilities.tables import difference


@dataclass(frozen=True, slots=True)
class ListedDifference:
    """A difference as it is listed, since when, and by which issue of the file it was found last."""

    biller: str
    business_date: date
    difference: Difference
    found_at: datetime
    issue: int
    settled_at: datetime | None


def open_differences(
    conn: Connection, biller: str | None = None, business_date: date | None = None
) -> list[ListedDifference]:
    """Differences that are not settled, oldest business date first."""
    columns = difference.c
    query = select(difference).where(columns.settled_at.is_(None))
    if biller is not None:
        query = query.where(columns.biller == biller)
    if business_date is not None:
        query = query.where(columns.business_date == business_date)
    return [
        _listed(row)
        for row in conn.execute(query.order_by(columns.business_date, columns.biller, columns.reference))
    ]


def keep_differences(
    conn: Connection, header: FileHeader, found: Sequence[Difference], *, at: datetime
) -> None:
    """List what this file finds, settle what it does not find any more, and move suspense accordingly.

    A bounded number of statements however many there are; `conn` comes from `ledger.db.writing`. Raises
    claims.SuspenseError where the books refuse.
    """
    columns = difference.c
    of_day = (columns.biller == header.biller, columns.business_date == header.business_date)
    before = {row.reference: row for row in conn.execute(select(difference).where(*of_day))}
    claims = renew_claims(
        conn,
        header,
        {
            reference: Claim(row.claims, row.theirs_fen or 0, row.suspense_entry)
            for reference, row in before.items()
        },
        [one for one in found if one.kind is DifferenceKind.THEIRS_ONLY],
        at=at,
    )
    this_one = (*of_day, columns.reference == bindparam("of"))
    now = {one.reference for one in found}
    if gone := [
        {"of": row.reference} for row in before.values() if not row.settled_at and row.reference not in now
    ]:
        conn.execute(update(difference).where(*this_one).values(settled_at=at, suspense_entry=None), gone)
    rows = [
        _row(one, header.issue, claims.get(one.reference, Claim()), _since(before.get(one.reference), at))
        for one in found
    ]
    if known := [row for row in rows if row["of"] in before]:
        conn.execute(update(difference).where(*this_one), known)
    if new := [row for row in rows if row["of"] not in before]:
        key = {"biller": header.biller, "business_date": header.business_date}
        conn.execute(insert(difference), [key | row | {"reference": row["of"]} for row in new])


def _row(one: Difference, issue: int, claim: Claim, found_at: datetime) -> dict[str, Any]:
    return {
        "of": one.reference,
        "kind": one.kind.value,
        "ours_fen": one.ours_fen,
        "theirs_fen": one.theirs_fen,
        "account_no": one.account_no,
        "bill_no": one.bill_no,
        "message": one.message[:500],
        "found_at": found_at,
        "issue": issue,
        "claims": claim.times,
        "suspense_entry": claim.entry,
        "settled_at": None,
    }


def _since(row: Any, at: datetime) -> datetime:
    """A difference that was settled and is there again is a new one."""
    if row is None or row.settled_at is not None:
        return at
    since: datetime = row.found_at
    return since


def _listed(row: Any) -> ListedDifference:
    found = Difference(
        row.reference, DifferenceKind(row.kind), row.ours_fen, row.theirs_fen, row.account_no, row.bill_no,
        row.message,
    )  # fmt: skip
    return ListedDifference(row.biller, row.business_date, found, row.found_at, row.issue, row.settled_at)

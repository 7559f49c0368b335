"""Notices to billers as an outbox: what they have yet to be told, and what they answered.

A notice is written in the transaction that makes it necessary, so that neither a kill nor a silent biller
loses it. It is due until it is answered, and the biller knows a repetition by its reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from clearing.sectors.utilities.peer import Notice
from clearing.sectors.utilities.states import Act
from clearing.sectors.utilities.tables import notice, payment
from ledger.bulk import one_of

FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(hours=1)


class Closing(StrEnum):
    """How a notice came to need no more sending."""

    TAKEN = "taken"
    REFUSED = "refused"
    BY_FILE = "by_file"
    """The biller's daily file shows that it has the payment."""
    OVERTAKEN = "overtaken"
    """The payment's reversal, which speaks for its write-off too, came after it."""


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice that nobody has answered; `message` is why not, as of the last of `attempts`."""

    notice: Notice
    queued_at: datetime
    due_at: datetime
    attempts: int
    message: str


@dataclass(frozen=True, slots=True)
class ClosedNotice:
    """A notice, by the payment's reference and the act, that needs no more sending."""

    reference: str
    act: Act
    closing: Closing
    message: str = ""


def queue_notices(conn: Connection, references: Sequence[str], act: Act, *, at: datetime) -> None:
    """Make notices due at once; one that was answered before is sent again."""
    columns = notice.c
    known = set(
        conn.scalars(
            select(columns.reference).where(one_of(conn, columns.reference, references), columns.act == act)
        )
    )
    fresh = {"queued_at": at, "due_at": at, "attempts": 0, "message": ""}
    if known:
        conn.execute(
            update(notice)
            .where(columns.reference == bindparam("of"), columns.act == act)
            .values(answered_at=None, answer=None, **fresh),
            [{"of": reference} for reference in sorted(known)],
        )
    new = [{"reference": one, "act": act, **fresh} for one in references if one not in known]
    if new:
        conn.execute(insert(notice), new)


def due_notices(
    conn: Connection, *, biller: str | None = None, by: datetime | None = None, limit: int | None = None
) -> list[DueNotice]:
    """Notices that nobody has answered, the longest due first.

    `biller` gives one biller's only, `by` only those whose next try has come, `limit` that many at most.
    """
    columns = notice.c
    query = (
        select(
            payment.c.reference, columns.act, payment.c.biller, payment.c.account_no, payment.c.bill_no,
            payment.c.amount_fen, payment.c.business_date, payment.c.event_at,
            columns.queued_at, columns.due_at, columns.attempts, columns.message,
        )
        .join(payment, payment.c.reference == columns.reference)
        .where(columns.answered_at.is_(None))
        .order_by(columns.due_at, columns.reference, columns.act)
        .limit(limit)
    )  # fmt: skip
    if biller is not None:
        query = query.where(payment.c.biller == biller)
    if by is not None:
        query = query.where(columns.due_at <= by)
    return [
        DueNotice(Notice(reference, Act(act), *row[:6]), *row[6:])
        for reference, act, *row in conn.execute(query)
    ]


def close_notices(conn: Connection, closed: Sequence[ClosedNotice], *, at: datetime) -> None:
    """Take notices off the list of those due; one that is answered already keeps its answer."""
    _change(
        conn,
        [
            _key(one.reference, one.act)
            | {"answered_at": at, "answer": one.closing.value, "message": one.message}
            for one in closed
        ],
    )


def put_off_notices(conn: Connection, silent: Sequence[tuple[DueNotice, str]], *, at: datetime) -> None:
    """Try again later, each time after twice the wait, up to an hour; the text says why nobody answered."""
    _change(
        conn,
        [
            _key(due.notice.reference, due.notice.act)
            | {"attempts": due.attempts + 1, "due_at": at + wait_after(due.attempts + 1), "message": message}
            for due, message in silent
        ],
    )


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts without an answer."""
    return min(FIRST_WAIT * (1 << min(attempts - 1, 16)), LONGEST_WAIT)


def _key(reference: str, act: Act) -> dict[str, Any]:
    return {"of": reference, "told": act.value}


def _change(conn: Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns = notice.c
        here = (columns.reference == bindparam("of"), columns.act == bindparam("told"))
        conn.execute(update(notice).where(*here, columns.answered_at.is_(None)), rows)

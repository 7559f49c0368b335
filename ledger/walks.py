"""The walks along accounts' lines, checked: from an account's newest line they lead over all its lines, once.

By number, an account's lines are in the order of their days, and within a day in that of posting. Before each comes
the one before it by number, but where the account moved on two days in turn, as in a night that books on its closing
day while the next one goes on.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, Subquery, and_, func, or_, select

from ledger import tables
from ledger.bulk import CHUNK_ROWS, one_of_numbers
from ledger.findings import Finding
from ledger.ids import A_DAY, NONE, before_first
from ledger.line_before import sides
from ledger.snapshots import day_number


class Turn(NamedTuple):
    """A line of an account before which another line comes than the one before it by number."""

    account_id: int
    line_id: int
    before_by_number: int
    before: int


def walks_reach_every_line(conn: Connection) -> Iterator[Finding]:
    """From its newest line, an account's lines lead over all of them, and to nothing else."""
    moved = sides()
    turns = {
        number: list(found) for number, found in groupby(_turns(conn, moved), lambda turn: turn.account_id)
    }
    account, total = tables.account.c, tables.total.c
    newest = (
        select(moved.c.account_id, func.max(moved.c.line_id).label("line_id"))
        .group_by(moved.c.account_id)
        .subquery()
    )
    by_number = func.coalesce(newest.c.line_id, NONE)
    query = (
        select(account.id, account.code, by_number, total.last_line_id)
        .join(tables.total, total.account_id == account.id)
        .outerjoin(newest, newest.c.account_id == account.id)
        .where(or_(by_number != total.last_line_id, one_of_numbers(conn, account.id, list(turns))))
        .order_by(account.id)
    )
    for number, code, newest_line, last_line_id in conn.execute(query):
        line_id = astray(newest_line, last_line_id, turns.get(number, ()))
        if line_id is not None:
            message = f"account {code}: the walk along its lines goes astray at {line_id}; restore a backup"
            yield Finding("walks_reach_every_line", code, 0, line_id, message)
    yield from before_the_last_posting(conn)
    yield from overtaken_lines_belong(conn)


def astray(newest: int, start: int, turns: Sequence[Turn]) -> int | None:
    """The line at which a walk from `start` goes wrong, or None where it leads over all lines of the account once.

    `newest` is the newest line by number, and `turns` are in the order of their numbers. From the line by number
    before a turn down to the turn before, lines name one another: a walk is made of such stretches, each once.
    """
    tops = [*(turn.before_by_number for turn in turns), newest]
    stretches: dict[int, Turn | None] = dict(zip(tops, [None, *turns], strict=True))
    stretches.pop(NONE, None)  # the first line is a turn itself, or there is none at all
    told_by, at = start, start
    while at in stretches:
        turn = stretches.pop(at)
        if turn is None:
            at = NONE
            break
        if turn.before // A_DAY == turn.line_id // A_DAY:
            return turn.line_id
        told_by, at = turn.line_id, turn.before
    return told_by if at != NONE else next(iter(stretches), None)


def _turns(conn: Connection, moved: Subquery) -> Iterator[Turn]:
    by_number = func.lag(moved.c.line_id, 1, NONE).over(
        partition_by=moved.c.account_id, order_by=moved.c.line_id
    )
    numbered = select(
        moved.c.account_id, moved.c.line_id, by_number.label("before_by_number"), moved.c.before
    ).subquery()
    query = select(numbered).where(numbered.c.before != numbered.c.before_by_number)
    query = query.order_by(numbered.c.account_id, numbered.c.line_id)
    for account_id, line_id, before_by_number, before in conn.execute(
        query.execution_options(yield_per=CHUNK_ROWS)
    ):
        yield Turn(account_id, line_id, before_by_number, before)


def before_the_last_posting(conn: Connection, begin: date | None = None) -> Iterator[Finding]:
    """What the totals say was the newest line before the last posting is an earlier line of the account, or none.

    Lines before `begin` are archived, and not looked for.
    """
    account, total, line = tables.account.c, tables.total.c, tables.line.c
    own = and_(
        line.id == total.line_before_id, or_(line.debit_id == account.id, line.credit_id == account.id)
    )
    query = (
        select(account.code, total.line_before_id)
        .join(tables.total, total.account_id == account.id)
        .outerjoin(tables.line, own)
        .where(
            total.line_before_id > (NONE if begin is None else before_first(begin)),
            or_(line.id.is_(None), total.line_before_id == total.last_line_id),
        )
        .order_by(account.id)
    )
    for code, line_id in conn.execute(query):
        message = f"account {code}: line {line_id} is no line of it before its last posting; restore a backup"
        yield Finding("walks_reach_every_line", code, 0, line_id, message)


def overtaken_lines_belong(conn: Connection, begin: date | None = None) -> Iterator[Finding]:
    """What overtook a line on an account is of a later day, and the line is one of the account.

    Whether a walk goes over both is looked at with all others. Lines before `begin` are archived, and not looked for.
    """
    account, overtaken, line = tables.account.c, tables.overtaken.c, tables.line.c
    own = and_(line.id == overtaken.line_id, overtaken.account_id.in_([line.debit_id, line.credit_id]))
    query = (
        select(account.code, overtaken.line_id)
        .select_from(tables.overtaken)
        .join(tables.account, account.id == overtaken.account_id)
        .outerjoin(tables.line, own)
        .where(
            overtaken.line_id > (NONE if begin is None else before_first(begin)),
            or_(line.id.is_(None), day_number(overtaken.before_id) <= day_number(overtaken.line_id)),
        )
        .order_by(overtaken.line_id, account.code)
    )
    for code, line_id in conn.execute(query):
        message = (
            f"account {code}: no later day's line can come before line {line_id} of it; restore a backup"
        )
        yield Finding("walks_reach_every_line", code, 0, line_id, message)

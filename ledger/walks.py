"""The walks along accounts' lines, checked: from an account's newest line they lead over all its lines, once.

By number, an account's lines are in the order of their days, and within a day in that of posting. Each names the
one before it by number, but where the account moved on two days in turn, as in a night that books on its closing
day while the next one goes on.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, Subquery, and_, func, or_, select, union_all

from ledger import tables
from ledger.bulk import CHUNK_ROWS, one_of_numbers
from ledger.findings import Finding
from ledger.ids import A_DAY, NONE, before_first


class Turn(NamedTuple):
    """A line of an account that names another line than the one before it by number."""

    account_id: int
    line_id: int
    before_by_number: int
    before: int


def walks_reach_every_line(conn: Connection) -> Iterator[Finding]:
    """From its newest line, an account's lines lead over all of them, and to nothing else."""
    sides = _sides()
    turns = {
        number: list(found) for number, found in groupby(_turns(conn, sides), lambda turn: turn.account_id)
    }
    account, total = tables.account.c, tables.total.c
    newest = (
        select(sides.c.account_id, func.max(sides.c.line_id).label("line_id"))
        .group_by(sides.c.account_id)
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


def _sides() -> Subquery:
    """Each line twice, once an account that it moves, with the line that it names as the one before."""
    line = tables.line.c
    return union_all(
        select(
            line.debit_id.label("account_id"), line.id.label("line_id"), line.debit_before_id.label("before")
        ),
        select(line.credit_id, line.id, line.credit_before_id),
    ).subquery()


def _turns(conn: Connection, sides: Subquery) -> Iterator[Turn]:
    by_number = func.lag(sides.c.line_id, 1, NONE).over(
        partition_by=sides.c.account_id, order_by=sides.c.line_id
    )
    numbered = select(
        sides.c.account_id, sides.c.line_id, by_number.label("before_by_number"), sides.c.before
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

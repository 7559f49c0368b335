"""The line before a line on one of its accounts: the one that it names, or that which overtook it.

A night writes its lines while others post on the next day. What they book meanwhile on an account of its lines comes
before the first of these, though that was written with another line's number: `ledger_overtaken` says so, and a line
stays as it is.
"""

from typing import NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, Subquery, and_, case, func, select, union_all

from ledger import tables


class Before(NamedTuple):
    """The line before each of `tables.line`, where a table is joined to it (outer) on a condition."""

    overtaken: FromClause
    joined: ColumnElement[bool]
    line_id: ColumnElement[int]


def before_on(account_id: ColumnElement[int] | int) -> Before:
    """The line before on the account that is walked along, which is on either side of each line."""
    line = tables.line.c
    named = case((line.debit_id == account_id, line.debit_before_id), else_=line.credit_before_id)
    return _before(account_id, named)


def before_on_both() -> tuple[Before, Before]:
    """The lines before on the debited and on the credited account."""
    line = tables.line.c
    return _before(line.debit_id, line.debit_before_id), _before(line.credit_id, line.credit_before_id)


def sides() -> Subquery:
    """Each line twice, once an account that it moves: account_id, line_id, and before, the line before it there."""
    line = tables.line.c
    both = zip((line.debit_id, line.credit_id), before_on_both(), strict=True)
    return union_all(*(_side(account_id, before) for account_id, before in both)).subquery()


def _side(account_id: ColumnElement[int], before: Before) -> Select[tuple[int, int, int]]:
    columns = (
        account_id.label("account_id"),
        tables.line.c.id.label("line_id"),
        before.line_id.label("before"),
    )
    return select(*columns).outerjoin(before.overtaken, before.joined)


def _before(account_id: ColumnElement[int] | int, named: ColumnElement[int]) -> Before:
    overtaken = tables.overtaken.alias()
    joined = and_(overtaken.c.line_id == tables.line.c.id, overtaken.c.account_id == account_id)
    return Before(overtaken, joined, func.coalesce(overtaken.c.before_id, named))

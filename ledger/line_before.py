"""The line before a line on one of its accounts: the one that it names, or that which overtook it.

A night writes its lines while others post on the next day. What they book meanwhile on an account of its lines comes
before the first of these, though that was written with another line's number: `ledger_overtaken` says so, and a line
stays as it is.
"""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, select, union_all

from ledger import tables


class Before(NamedTuple):
    """The line before each of `tables.line`, where `tables.overtaken` is joined to it (outer) on a condition."""

    overtaken: ColumnElement[bool]
    line_id: ColumnElement[int]


def before_on(account_id: ColumnElement[int] | int) -> Before:
    """The line before on the account that is walked along, which is on either side of each line."""
    line = tables.line.c
    named = case((line.debit_id == account_id, line.debit_before_id), else_=line.credit_before_id)
    return _before(account_id, named)


def sides() -> Subquery:
    """Each line twice, once an account that it moves: account_id, line_id, and before, the line before it there."""
    line = tables.line.c
    both = (line.debit_id, line.debit_before_id), (line.credit_id, line.credit_before_id)
    return union_all(*(_side(account_id, named) for account_id, named in both)).subquery()


def _side(account_id: ColumnElement[int], named: ColumnElement[int]) -> Select[tuple[int, int, int]]:
    before = _before(account_id, named)
    columns = (
        account_id.label("account_id"),
        tables.line.c.id.label("line_id"),
        before.line_id.label("before"),
    )
    return select(*columns).outerjoin(tables.overtaken, before.overtaken)


def _before(account_id: ColumnElement[int] | int, named: ColumnElement[int]) -> Before:
    overtaken = tables.overtaken.c
    joined = and_(overtaken.line_id == tables.line.c.id, overtaken.account_id == account_id)
    return Before(joined, func.coalesce(overtaken.before_id, named))

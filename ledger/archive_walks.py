"""The walks of accounts from line to line where they go on into the archive."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Connection, Row, Select, func, literal, select, union_all

from ledger import tables
from ledger.findings import Finding
from ledger.line_before import sides
from ledger.snapshots import day_number
from ledger.walks import before_the_last_posting, overtaken_lines_belong

Numbers = NDArray[np.int64]


class Walks:
    """Which lines are named by what follows them, account by account: the rest of what was seen so far.

    Every side of a line is one more, every naming of a line before it one less, and what cancels out is gone, so
    that hardly more than each account's last line is left.
    """

    def __init__(self) -> None:
        self.account_id, self.line_id, self.times = (np.empty(0, np.int64) for _ in range(3))
        self.complete = True

    def add(self, account_id: Numbers, line_id: Numbers, times: int | Numbers) -> None:
        """See lines (1) or namings of lines (-1); number 0 is no line."""
        real = line_id > 0
        account = np.concatenate([self.account_id, account_id[real]])
        line = np.concatenate([self.line_id, line_id[real]])
        many = np.concatenate([self.times, np.broadcast_to(np.int64(times), line_id.shape)[real]])
        order = np.lexsort((line, account))
        account, line, many = account[order], line[order], many[order]
        if not len(order):
            return
        starts = np.flatnonzero(np.r_[True, (account[1:] != account[:-1]) | (line[1:] != line[:-1])])
        many = np.add.reduceat(many, starts)
        left = many != 0
        self.account_id, self.line_id, self.times = account[starts][left], line[starts][left], many[left]

    def left_with(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[tuple[int, int, int]]:
        """What is left when more of the same is seen: (account, line, times), by line."""
        seen = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 3)
        self.add(seen[:, 0], seen[:, 1], seen[:, 2])
        left = zip(self.account_id.tolist(), self.line_id.tolist(), self.times.tolist(), strict=True)
        return sorted(left, key=lambda one: one[1])


def walks_join_the_archive(conn: Connection, begin: date, archived: Walks) -> Iterator[Finding]:
    """Each account's lines name one another, over the end of the archive and back: every line is named once.

    `archived` has seen the lines before `begin`, which are no longer in the books.
    """
    account = tables.account.c
    if archived.complete:  # or else what is missing has been told
        for account_id, line_id, _ in archived.left_with(conn.execute(_unnamed_lines()).all())[:1]:
            code = conn.execute(select(account.code).where(account.id == account_id)).scalar_one()
            message = (
                f"line {line_id} of account {code} is not named once by what follows it; restore a backup"
            )
            yield Finding("walks_reach_every_line", code, 0, line_id, message)
    yield from _names_a_later_line(conn)
    yield from before_the_last_posting(conn, begin)
    yield from overtaken_lines_belong(conn, begin)


def _unnamed_lines() -> Select[*tuple[Any, ...]]:
    """Lines in the books that are not named once by what follows them: (account, line, times named too few)."""
    total, moved = tables.total.c, sides()
    one, minus_one = literal(1, BigInteger), literal(-1, BigInteger)
    seen = union_all(
        select(moved.c.account_id, moved.c.line_id, one.label("named")),
        select(moved.c.account_id, moved.c.before, minus_one),
        select(total.account_id, total.last_line_id, minus_one),
    ).subquery()
    return (
        select(seen.c.account_id, seen.c.line_id, func.sum(seen.c.named).cast(BigInteger))
        .where(seen.c.line_id > 0)
        .group_by(seen.c.account_id, seen.c.line_id)
        .having(func.sum(seen.c.named) != 0)
    )


def _names_a_later_line(conn: Connection) -> Iterator[Finding]:
    """The first line that names a later one of its own day as the one before it."""
    line = tables.line.c
    backwards = (
        select(line.id)
        .where(
            ((day_number(line.debit_before_id) == day_number(line.id)) & (line.debit_before_id >= line.id))
            | (
                (day_number(line.credit_before_id) == day_number(line.id))
                & (line.credit_before_id >= line.id)
            )
        )
        .order_by(line.id)
        .limit(1)
    )
    for (line_id,) in conn.execute(backwards):
        message = f"line {line_id} names a later line as the one before it; restore a backup"
        yield Finding("walks_reach_every_line", str(line_id), 0, line_id, message)

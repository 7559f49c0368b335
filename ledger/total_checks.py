"""The check of totals: each account's own figures against its last snapshot and the lines since."""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    func,
    literal,
    select,
    true,
)

from ledger import tables
from ledger.accounts import codes_by_number
from ledger.findings import KEPT, Finding, Rows, findings_of
from ledger.ids import A_DAY, NONE, before_first
from ledger.line_sums import sums_by_account
from ledger.packed import Numbers, numbers_in_turn
from ledger.snapshots import date_number


def totals_agree_with_lines(conn: Connection, since: date | None) -> list[Finding]:
    """Each account's totals are its last snapshot and its lines after it; so is where they stood on its newest date.

    The first is found as `totals_equal_lines`, the other, and that date, as `totals_tell_the_day_before`.
    """
    sides = _sides(conn, since)
    wrong = np.flatnonzero(sides.totals_differ | sides.before_differs | sides.dates_differ)
    codes = codes_by_number(conn, sides.account_id[wrong].tolist())
    rows = sorted((codes[int(sides.account_id[place])], place) for place in wrong.tolist())
    return list(_findings(sides, rows))


def _findings(sides: "_Sides", rows: list[tuple[str, int]]) -> Iterator[Finding]:
    """What is wrong with accounts, which come by code, with their places."""
    check = "totals_tell_the_day_before"
    totals = ((code, *sides.totals[:, place].tolist()) for code, place in rows if sides.totals_differ[place])
    before = ((code, *sides.before[:, place].tolist()) for code, place in rows if sides.before_differs[place])
    yield from findings_of("totals_equal_lines", totals, "lines", "the running total")
    yield from findings_of(check, before, "lines", "the totals before its newest date")
    for code, place in rows:
        if sides.dates_differ[place]:
            of_lines, moved_on = int(sides.of_lines[place]), int(sides.moved_on[place])
            message = (
                f"account {code} moved on {of_lines} by its lines, on {moved_on} by its totals (0 is never)"
            )
            yield Finding(check, code, of_lines, moved_on, message)


class _Sides(NamedTuple):
    """By account what snapshots and lines say, and what its totals do; dates are YYYYMMDD, 0 where there is none.

    `totals` and `before` have four rows each: debits by lines and as they stand, credits by lines and as they stand.
    """

    account_id: Numbers
    totals: Numbers
    before: Numbers
    of_lines: Numbers
    moved_on: Numbers
    totals_differ: NDArray[np.bool_]
    before_differs: NDArray[np.bool_]
    dates_differ: NDArray[np.bool_]


def _sides(conn: Connection, since: date | None) -> _Sides:
    standing, account_ids = _standing(conn.dialect.name, since), tables.total.c.account_id
    pieces = list(
        numbers_in_turn(conn, lambda start: standing.where(account_ids > start), "account_id", NONE)
    )
    none = [np.empty(0, np.int64)] * 8
    account_id, debits, credits, *stands, moved_on = map(np.concatenate, zip(none, *pieces, strict=True))
    lines = sums_by_account(conn, account_id, NONE if since is None else before_first(since))
    totals = np.stack([debits + lines.debits_fen, stands[0], credits + lines.credits_fen, stands[1]])
    before = np.stack(
        [debits + lines.earlier_debits_fen, stands[2], credits + lines.earlier_credits_fen, stands[3]]
    )
    # What moved before only is not told by the lines since.
    told = np.ones(len(account_id), np.bool_) if since is None else lines.day > 0
    recent = told if since is None else moved_on >= before_first(since) // A_DAY
    return _Sides(
        account_id,
        totals,
        before,
        lines.day,
        moved_on,
        _unequal(totals),
        told & _unequal(before),
        (told | recent) & (lines.day != moved_on),
    )


def _unequal(sides: Numbers) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (sides[0] != sides[1]) | (sides[2] != sides[3])
    return found


@lru_cache(KEPT)
def _standing(dialect: str, since: date | None) -> Rows:
    """Each account with its debits and credits in its newest snapshot before a date, and what its totals say."""
    total = tables.total.c
    accounts: FromClause = tables.total
    kept: Sequence[ColumnElement[Any]] = (literal(0, BigInteger), literal(0, BigInteger))
    if since is not None and dialect == "postgresql":
        # One look-up for both, where a subquery for each would ask twice.
        newest = _newest_snapshot(since).lateral()
        accounts, kept = accounts.outerjoin(newest, true()), list(newest.c)
    elif since is not None:
        newest_of = _newest_snapshot(since)
        kept = [newest_of.with_only_columns(one).scalar_subquery() for one in newest_of.selected_columns]
    debits, credits = (func.coalesce(column, 0) for column in kept)
    return select(
        total.account_id,
        debits.label("debits"),
        credits.label("credits"),
        total.debits_posted_fen,
        total.credits_posted_fen,
        total.debits_before_fen,
        total.credits_before_fen,
        func.coalesce(date_number(dialect, total.moved_on), 0).label("moved_on"),
    ).select_from(accounts)


def _newest_snapshot(before: date) -> Select[tuple[int, int]]:
    """An account's debits and credits in its newest snapshot before a date."""
    snapshot = tables.snapshot.c
    return (
        select(snapshot.debits_posted_fen, snapshot.credits_posted_fen)
        .where(snapshot.account_id == tables.total.c.account_id, snapshot.business_date < before)
        .order_by(snapshot.business_date.desc())
        .limit(1)
        .correlate(tables.total)
    )

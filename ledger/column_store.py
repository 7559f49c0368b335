"""Writing columns of lines: totals renewed in one statement that also tells where each account's walk goes on."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from ledger import tables
from ledger.binary_rows import Kind, binary_rows, stream
from ledger.bulk import copy_into, insert_rows, one_of_numbers
from ledger.bulk_columns import insert_columns
from ledger.column_walk import Accounts, Moved
from ledger.db import sort_within
from ledger.moved import controls_of
from ledger.questions import array_of_numbers, by_key_where_few, looking_up
from ledger.totals import add_to_totals, renewing

Numbers = NDArray[np.int64]

WITHIN_LIMITS: Final = (
    "NOT closed"
    " AND (may_debit OR debits_posted_fen + debits_held_fen + :need_debit <= credits_posted_fen)"
    " AND (may_credit OR credits_posted_fen + credits_held_fen + :need_credit <= debits_posted_fen)"
)
"""Whether an account takes all that a call does to it, even where it stands lowest in between."""


class TotalsRefused(Exception):
    """Some account is closed or would be past its limit; nothing of the call may stand."""


Renew = Callable[[Connection, Moved, date], Numbers]
"""Renews all totals that lines move, now or later, and tells the newest line that each account had before, 0 for none.

Raises TotalsRefused, or the database's IntegrityError, where one cannot take it.
"""


def store_columns(
    conn: Connection, entries: Sequence[tuple[Any, ...]], moved: Moved, business_date: date, renew: Renew
) -> None:
    """Write entries, their lines, and totals. Raises TotalsRefused where an account cannot take it."""
    stood = renew(conn, moved, business_date)
    insert_rows(conn, tables.entry, entries)
    before = [_resolved(side, stood) for side in (moved.debit_before, moved.credit_before)]
    sort_within(conn, megabytes=128)  # the rows that the guards look at together
    columns = (moved.line_id, moved.entry_id, moved.debit_id, moved.credit_id, moved.amount_fen)
    lines = [*map(pa.array, columns), moved.item, *map(pa.array, before)]
    insert_columns(conn, tables.line, [pa.table(lines, names=[column.name for column in tables.line.c])])


def _resolved(before: Numbers, stood: Numbers) -> Numbers:
    """The line before, where it is one of before this call: `stood` has it by account."""
    first = before < 0
    found = before.copy()
    found[first] = stood[-1 - before[first]]
    return found


def renew_totals(conn: Connection, moved: Moved, business_date: date) -> Numbers:
    """Add to the totals of accounts, all of them within their limits, and of sub-ledgers (see Renew)."""
    lay_ready(conn, moved.accounts)
    stood = renew_accounts(conn, moved.accounts, business_date)
    add_to_totals(conn, {}, controls_of(moved.debits_fen, moved.credits_fen))
    return stood


def lay_ready(conn: Connection, moved: Accounts) -> None:
    """Give the database what is to be added to accounts, for `renew_accounts` in the same transaction."""
    if len(moved) and conn.dialect.name == "postgresql":
        _fill_moving(conn, moved)


def renew_accounts(conn: Connection, moved: Accounts, business_date: date) -> Numbers:
    """The part of accounts alone, which lie ready."""
    renew = _renew_postgresql if conn.dialect.name == "postgresql" else _renew_sqlite
    try:
        return renew(conn, moved, business_date)
    except IntegrityError as refused:
        raise TotalsRefused from refused


def newest_lines(conn: Connection, account_id: Numbers) -> Numbers:
    """The newest line of each of these accounts, which rise; 0 for none. Raises TotalsRefused where one is missing."""
    wanted = account_id.tolist()
    if conn.dialect.name == "postgresql":
        with by_key_where_few(conn, len(wanted)):
            packed = conn.exec_driver_sql(_NEWEST, (array_of_numbers(wanted),)).scalar_one()
        found = np.frombuffer(packed or b"", ">i8").astype(np.int64)
    else:
        total = tables.total.c
        query = select(total.last_line_id).where(one_of_numbers(conn, total.account_id, wanted))
        found = np.fromiter(conn.scalars(query.order_by(total.account_id)), np.int64)
    if len(found) != len(account_id):
        raise TotalsRefused
    return found


_NEWEST: Final = (
    "SELECT string_agg(int8send(last_line_id), '' ORDER BY account_id) FROM ledger_total"
    " WHERE account_id = ANY (CAST(%s AS bigint[]))"
)

_RENEW: Final = renewing(
    "WITH renewed AS (UPDATE ledger_total SET :assignments FROM ledger_moving added"
    " WHERE account_id = added.id AND :within RETURNING account_id, line_before_id)"
    " SELECT string_agg(int8send(account_id), ''), string_agg(int8send(line_before_id), '') FROM renewed",
    within=WITHIN_LIMITS, need_debit="added.need_debit", need_credit="added.need_credit",
    day="CAST($day AS date)", debits="added.debits", credits="added.credits", line="added.line",
    earlier_debits="0", earlier_credits="0",
).replace("$", ":")  # fmt: skip


def _fill_moving(conn: Connection, moved: Accounts) -> None:
    conn.execute(
        text(
            "CREATE TEMPORARY TABLE IF NOT EXISTS ledger_moving (id bigint, debits bigint, credits bigint,"
            " need_debit bigint, need_credit bigint, line bigint) ON COMMIT DELETE ROWS"
        )
    )
    conn.execute(text("TRUNCATE ledger_moving"))
    columns = (
        moved.account_id,
        moved.debits_fen,
        moved.credits_fen,
        moved.need_debit_fen,
        moved.need_credit_fen,
        moved.last_line_id,
    )
    rows = binary_rows([(Kind.INT8, pa.array(column)) for column in columns])
    copy_into(conn, "ledger_moving FROM STDIN (FORMAT binary)", stream([rows]))


def _renew_postgresql(conn: Connection, moved: Accounts, business_date: date) -> Numbers:
    # Accounts come in the order of their key: looking each up reads neighbouring pages once, where a hash
    # join would visit them all, at random.
    with looking_up(conn):
        told = conn.execute(text(_RENEW), {"day": business_date}).one()
    renewed, stood = (np.frombuffer(packed or b"", ">i8").astype(np.int64) for packed in told)
    if len(renewed) != len(moved):
        raise TotalsRefused
    # They come as they were renewed, which is in order; to have the database sort them would take it a fifth longer.
    return stood if (np.diff(renewed) > 0).all() else stood[np.argsort(renewed)]


_RENEW_ONE: Final = renewing(
    "UPDATE ledger_total SET :assignments WHERE account_id = ?5 AND :within",
    within=WITHIN_LIMITS, need_debit="?6", need_credit="?7", day="?1", debits="?2", credits="?3", line="?4",
    earlier_debits="0", earlier_credits="0",
)  # fmt: skip


def _renew_sqlite(conn: Connection, moved: Accounts, business_date: date) -> Numbers:
    stood = newest_lines(conn, moved.account_id)
    numbers = moved.account_id.tolist()
    day = business_date.isoformat()
    rows = zip(
        [day] * len(numbers), moved.debits_fen.tolist(), moved.credits_fen.tolist(), moved.last_line_id.tolist(),
        numbers, moved.need_debit_fen.tolist(), moved.need_credit_fen.tolist(), strict=True,
    )  # fmt: skip
    if conn.exec_driver_sql(_RENEW_ONE, list(rows)).rowcount != len(numbers):
        raise TotalsRefused
    return stood

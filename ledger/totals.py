"""Renewing the totals of accounts: all that an entry changes beside the rows it adds."""

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from ledger.questions import array_of_numbers


class Added(NamedTuple):
    """What a call adds to an account, in fen: in all, and of that on dates before the last; its newest line."""

    account_id: int
    debits_fen: int
    credits_fen: int
    earlier_debits_fen: int
    earlier_credits_fen: int
    last_line_id: int


# All dates of a call at once: what it adds on one of them alone may well be past the account's limit.
ASSIGNMENTS: Final = """
  debits_before_fen = CASE WHEN moved_on > :day THEN debits_before_fen + :debits
    WHEN moved_on = :day THEN debits_before_fen + :earlier_debits ELSE debits_posted_fen + :earlier_debits END,
  credits_before_fen = CASE WHEN moved_on > :day THEN credits_before_fen + :credits
    WHEN moved_on = :day THEN credits_before_fen + :earlier_credits ELSE credits_posted_fen + :earlier_credits END,
  moved_on = CASE WHEN moved_on > :day THEN moved_on ELSE :day END,
  debits_posted_fen = debits_posted_fen + :debits,
  credits_posted_fen = credits_posted_fen + :credits,
  line_before_id = last_line_id, last_line_id = :line
"""
"""One text for both databases: `before` is where the totals stood when the newest date that moved began."""


def renewing(statement: str, **values: str) -> str:
    """A statement with ASSIGNMENTS in place of its `:assignments`, and then every name's value in place of it."""
    for name, value in {"assignments": ASSIGNMENTS, **values}.items():
        statement = statement.replace(f":{name}", value)
    return statement


_MANY: Final = renewing(
    "UPDATE ledger_total SET :assignments FROM unnest(CAST(%s AS bigint[]), CAST(%s AS bigint[]),"
    " CAST(%s AS bigint[]), CAST(%s AS bigint[]), CAST(%s AS bigint[]), CAST(%s AS bigint[]))"
    " AS added(ids, debits, credits, earlier_debits, earlier_credits, lines)"
    " CROSS JOIN (SELECT CAST(%s AS date) AS day) on_day"
    " WHERE account_id = added.ids",
    day="on_day.day", debits="added.debits", credits="added.credits",
    earlier_debits="added.earlier_debits", earlier_credits="added.earlier_credits", line="added.lines",
)  # fmt: skip
_ONE: Final = renewing(
    "UPDATE ledger_total SET :assignments WHERE account_id = ?2",
    day="?1", debits="?3", credits="?4", earlier_debits="?5", earlier_credits="?6", line="?7",
)  # fmt: skip


def add_to_totals(conn: Connection, business_date: date, added: Sequence[Added]) -> None:
    """Add to accounts, in the order of their ids, for which this is the last date that a call moves them on."""
    if conn.dialect.name == "postgresql":
        columns = map(array_of_numbers, zip(*added, strict=True))
        conn.exec_driver_sql(_MANY, (*columns, business_date))
        return
    day = business_date.isoformat()
    conn.exec_driver_sql(_ONE, [(day, *one) for one in added])


def hold_on_totals(conn: Connection, changed: Sequence[tuple[int, int, int]]) -> None:
    """Add to what is held on accounts: (account id, debits, credits) in fen, negative where it is freed."""
    really = [one for one in changed if one[1] or one[2]]
    if not really:
        return
    conn.execute(
        text(
            "UPDATE ledger_total SET debits_held_fen = debits_held_fen + :debits,"
            " credits_held_fen = credits_held_fen + :credits WHERE account_id = :id"
        ),
        [
            {"id": number, "debits": debits_fen, "credits": credits_fen}
            for number, debits_fen, credits_fen in really
        ],
    )

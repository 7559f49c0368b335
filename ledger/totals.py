"""Renewing the totals of accounts: all that an entry changes beside the rows it adds."""

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

from sqlalchemy import Connection, text


class Added(NamedTuple):
    """What one business date adds to an account, in fen, and the account's newest line."""

    account_id: int
    debits_fen: int
    credits_fen: int
    last_line_id: int


ASSIGNMENTS: Final = """
  debits_before_fen = CASE WHEN moved_on IS NULL OR moved_on < :day THEN debits_posted_fen
    WHEN moved_on > :day THEN debits_before_fen + :debits ELSE debits_before_fen END,
  credits_before_fen = CASE WHEN moved_on IS NULL OR moved_on < :day THEN credits_posted_fen
    WHEN moved_on > :day THEN credits_before_fen + :credits ELSE credits_before_fen END,
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
    "UPDATE ledger_total SET :assignments FROM unnest(CAST($ids AS bigint[]), CAST($debits AS bigint[]),"
    " CAST($credits AS bigint[]), CAST($lines AS bigint[])) AS added(id, debits, credits, line)"
    " WHERE account_id = added.id",
    day="CAST($day AS date)", debits="added.debits", credits="added.credits", line="added.line",
).replace("$", ":")  # fmt: skip
_ONE: Final = renewing(
    "UPDATE ledger_total SET :assignments WHERE account_id = ?5",
    day="?1",
    debits="?2",
    credits="?3",
    line="?4",
)


def add_to_totals(conn: Connection, business_date: date, added: Sequence[Added]) -> None:
    """Add a date's amounts to accounts, which come in the order of their ids."""
    if conn.dialect.name == "postgresql":
        ids, debits, credits, lines = (list(column) for column in zip(*added, strict=True))
        columns = {"ids": ids, "debits": debits, "credits": credits, "lines": lines}
        conn.execute(text(_MANY), {"day": business_date, **columns})
        return
    day = business_date.isoformat()
    conn.exec_driver_sql(
        _ONE,
        [(day, one.debits_fen, one.credits_fen, one.last_line_id, one.account_id) for one in added],
    )


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

"""Renewing the totals of accounts: all that an entry changes beside the rows it adds."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, text

from ledger.questions import AS_IT_LIKES, BY_KEY, array_of, array_of_numbers
from ledger.talk import talking

if TYPE_CHECKING:
    from ledger.pipeline import Talk

Added = tuple[int, int, int, int, int, int]
"""What a call adds to an account, in fen: its id, debits, credits, those of dates before the last, its newest line."""


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
    "UPDATE ledger_total SET :assignments FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[]),"
    " CAST($3 AS bigint[]), CAST($4 AS bigint[]), CAST($5 AS bigint[]), CAST($6 AS bigint[]))"
    " AS added(ids, debits, credits, earlier_debits, earlier_credits, lines)"
    " CROSS JOIN (SELECT CAST($7 AS date) AS day) on_day"
    " WHERE account_id = added.ids",
    day="on_day.day", debits="added.debits", credits="added.credits",
    earlier_debits="added.earlier_debits", earlier_credits="added.earlier_credits", line="added.lines",
)  # fmt: skip
_ONE: Final = renewing(
    "UPDATE ledger_total SET :assignments WHERE account_id = ?2",
    day="?1", debits="?3", credits="?4", earlier_debits="?5", earlier_credits="?6", line="?7",
)  # fmt: skip


_CONTROLS: Final = (
    "INSERT INTO ledger_control (segment, debits_posted_fen, credits_posted_fen) {rows}"
    " ON CONFLICT (segment) DO UPDATE"
    " SET debits_posted_fen = ledger_control.debits_posted_fen + excluded.debits_posted_fen,"
    " credits_posted_fen = ledger_control.credits_posted_fen + excluded.credits_posted_fen"
)
_CONTROLS_ONE: Final = _CONTROLS.format(rows="VALUES (?, ?, ?)")
_CONTROLS_MANY: Final = _CONTROLS.format(
    rows="SELECT * FROM unnest(CAST($1 AS text[]), CAST($2 AS bigint[]), CAST($3 AS bigint[]))"
)


def add_to_totals(
    conn: Connection, added: Mapping[date, Sequence[Added]], controls: Sequence[tuple[str, int, int]]
) -> None:
    """Add to accounts, each under the last date that a call moves it on and in the order of their ids.

    `controls` is what that adds to the control totals of sub-ledgers: segment, debits and credits in fen.
    """
    if conn.dialect.name != "postgresql":
        for business_date, several in added.items():
            day = business_date.isoformat()
            conn.exec_driver_sql(_ONE, [(day, *one) for one in several])
        conn.exec_driver_sql(_CONTROLS_ONE, list(controls))
        return
    with talking(conn) as talk:
        talk.say(BY_KEY)
        say_totals(talk, added, controls)
        talk.say(AS_IT_LIKES)


def say_totals(
    talk: "Talk", added: Mapping[date, Sequence[Added]], controls: Sequence[tuple[str, int, int]]
) -> None:
    """The same on PostgreSQL, by key where the caller has said so."""
    for business_date, several in added.items():
        talk.say(_MANY, (*map(array_of_numbers, zip(*several, strict=True)), business_date))
    segments, *amounts_fen = zip(*controls, strict=True)
    talk.say(_CONTROLS_MANY, (array_of(segments), *map(array_of_numbers, amounts_fen)))


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

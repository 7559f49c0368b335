"""The ledger against a slow and obvious one, over anything that callers might post."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from ledger.accounts import Account, Kind, Limit, close_account, open_accounts
from ledger.balances import balance, balance_on, balances
from ledger.checks import check_books
from ledger.day import DayState, begin_close, finish_close, open_day
from ledger.db import writing
from ledger.entry import Entry, Line, Posted, Refused
from ledger.post import post
from tests.ledger.slow_ledger import Answer, SlowLedger, mirror
from tests.ledger.some_books import AT, DAY, Books

CLOSED, CLOSING, OPEN = DAY + timedelta(days=1), DAY + timedelta(days=2), DAY + timedelta(days=3)
UNOPENED = DAY + timedelta(days=9)
LIMITS = {
    "purse:1": Limit.NO_DEBIT_BALANCE,
    "purse:2": Limit.NO_DEBIT_BALANCE,
    "agent:A": Limit.NONE,
    "clearing:METRO-1": Limit.NONE,
    "till:1": Limit.NO_CREDIT_BALANCE,
    "purse:gone": Limit.NO_DEBIT_BALANCE,
}
CODES = st.sampled_from([*LIMITS, "agent:A", "agent:A", "purse:1", "purse:none"])
LINES = st.builds(Line, CODES, CODES, st.integers(0, 40), st.sampled_from(["", "tap:1", "站台 \\ 2"]))
ENTRIES = st.builds(
    Entry,
    reference=st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"]),
    kind=st.sampled_from(["tap", "load"]),
    business_date=st.sampled_from([OPEN, OPEN, OPEN, OPEN, CLOSING, CLOSED, UNOPENED]),
    event_at=st.just(AT),
    lines=st.lists(LINES, max_size=3).map(tuple),
)


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[bool, list[Entry]]]:
    """Some calls of `post`: fresh entries, the same again, and reversals of earlier ones, right and wrong."""
    offered: list[Entry] = []
    made = []
    for _ in range(draw(st.integers(1, 4))):
        batch = []
        for _ in range(draw(st.integers(0, 6))):
            entry = draw(ENTRIES)
            turn = draw(st.sampled_from(["fresh", "fresh", "again", "reversal"]))
            if offered and turn == "again":
                entry = draw(st.sampled_from(offered))
            elif offered and turn == "reversal":
                original = draw(st.sampled_from(offered))
                lines = draw(st.sampled_from([mirror(original), mirror(original), original.lines]))
                named = draw(st.sampled_from([original.reference, original.reference, "none"]))
                reference = draw(st.sampled_from(["x", "y", "z"]))
                entry = Entry(reference, "reversal", OPEN, AT, lines, "back", named)
            batch.append(entry)
            offered.append(entry)
        made.append((draw(st.booleans()), batch))
    return made


@contextmanager
def forgotten(books: Books) -> Iterator[Connection]:
    """A transaction on prepared books that is rolled back at the end, so that each example starts alike."""
    with books.engine.connect() as conn:
        open_accounts(conn, [Account("purse:gone", Kind.LIABILITY, Limit.NO_DEBIT_BALANCE)], at=AT)
        close_account(conn, "purse:gone", at=AT)
        open_day(conn, CLOSED, at=AT)
        for business_date in (DAY, CLOSED):
            begin_close(conn, business_date, at=AT)
            finish_close(conn, business_date, at=AT)
        begin_close(conn, CLOSING, at=AT)
        yield conn
        conn.rollback()


@given(made=calls())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ledger_answers_as_the_slow_one_does(books: Books, made: list[tuple[bool, list[Entry]]]) -> None:
    days = {DAY: DayState.CLOSED, CLOSED: DayState.CLOSED, CLOSING: DayState.CLOSING, OPEN: DayState.OPEN}
    slow = SlowLedger(days, LIMITS, {"purse:gone"})
    with forgotten(books) as conn:
        for closing, batch in made:
            answers = [short(found) for found in post(conn, batch, at=AT, closing=closing)]
            assert answers == slow.post(batch, closing=closing)
        for code in LIMITS:
            assert balance(conn, code).net_fen == slow.net_fen(code)
            for business_date in days:
                assert balance_on(conn, code, business_date).net_fen == slow.net_fen_on(code, business_date)
        assert sum(found.net_fen for found in balances(conn)) == 0
        assert check_books(conn) == []
        # The day that was closing is closed: what was known of every date is known from snapshots now.
        finish_close(conn, CLOSING, at=AT)
        for code in LIMITS:
            assert balance_on(conn, code, CLOSING).net_fen == slow.net_fen_on(code, CLOSING)
        assert check_books(conn) == []


def short(found: Posted | Refused) -> Answer:
    """An answer of the ledger in the slow one's words."""
    if isinstance(found, Refused):
        return found.reason.value, found.account, found.amount_fen
    return "posted" if found.first_time else "again", "", found.entry_id


def test_the_books_of_one_call_are_those_of_many(books: Books) -> None:
    entries = [books.load("1", 90), *(books.tap("1", 20, f"t{number}") for number in range(6))]
    with writing(books.engine) as conn:
        savepoint = conn.begin_nested()
        together = [short(found) for found in post(conn, entries, at=AT)]
        savepoint.rollback()
        alone = [short(post(conn, [entry], at=AT)[0]) for entry in entries]
    assert together == alone
    assert [answer for answer, _, _ in alone] == ["posted"] * 5 + ["limit_exceeded"] * 2

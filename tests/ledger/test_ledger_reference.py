"""The ledger against a slow and obvious one, over anything that callers might ask of it, in any mix."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from ledger.accounts import (
    Account,
    AccountNotEmpty,
    Kind,
    Limit,
    close_account,
    open_accounts,
    reopen_account,
)
from ledger.balances import balance, balance_at, balance_on, balances, free
from ledger.checks import check_books
from ledger.day import DayState, begin_close
from ledger.db import writing
from ledger.entry import Entry, Line, Posted, Refused
from ledger.history import history
from ledger.orders import Answer as Answered
from ledger.orders import Held, Hold, Order, Remembered, Reversal, Void, Voided
from ledger.post import expire_holds, post
from ledger.verify import verify_books
from tests.ledger.full_books import close_and_seal, public_key
from tests.ledger.slow_ledger import Answer, SlowLedger, mirror
from tests.ledger.some_books import AT, DAY, Books

LIMITS = {
    "purse:1": Limit.NO_DEBIT_BALANCE,
    "purse:2": Limit.NO_DEBIT_BALANCE,
    "agent:A": Limit.NONE,
    "clearing:METRO-1": Limit.NONE,
    "till:1": Limit.NO_CREDIT_BALANCE,
    "wallet:h": Limit.NO_DEBIT_BALANCE,
}
FLOWS = [
    *[("agent:A", "purse:1"), ("purse:1", "clearing:METRO-1")] * 3,
    *[("agent:A", "purse:2"), ("purse:2", "clearing:METRO-1"), ("purse:1", "purse:2")] * 2,
    *[("till:1", "agent:A"), ("agent:A", "till:1"), ("agent:A", "wallet:h"), ("wallet:h", "purse:1")],
    *[("agent:A", "purse:none"), ("purse:1", "purse:1")],
]
AMOUNTS = [1, 2, 3, 5, 8, 13, 21, 34, 40, 40, 60, 60, 0]
ITEMS = ["", "", "tap:1", "站台 \\ 2"]


def line(flow: tuple[str, str], amount_fen: int, item: str) -> Line:
    """A line from one account to another."""
    return Line(*flow, amount_fen, item)


LINES = st.builds(line, st.sampled_from(FLOWS), st.sampled_from(AMOUNTS), st.sampled_from(ITEMS))
REFERENCES = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"])


@dataclass(frozen=True)
class Step:
    """Something that is done some minutes after the step before: `what` is posting, or a word."""

    minutes: int
    what: str
    orders: tuple[Order, ...] = ()
    closing: bool = False
    code: str = ""


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """A few days: batches of orders fresh, again and upon one another; accounts and days closed in between."""
    offered: list[Order] = []
    made, today = [], DAY
    words = ["post", "post", "post", "post", "post", "cut off", "close day", "close", "reopen", "expire"]
    for _ in range(draw(st.integers(1, 12))):
        minutes = draw(st.sampled_from([0, 1, 5, 30, 61, -2]))
        what = draw(st.sampled_from(words))
        if what == "post":
            batch = []
            for _ in range(draw(st.integers(0, 6))):
                order = draw(orders(offered, today))
                batch.append(order)
                offered.append(order)
            made.append(Step(minutes, what, tuple(batch), closing=draw(st.booleans())))
        else:
            made.append(Step(minutes, what, code=draw(st.sampled_from(sorted(LIMITS)))))
            today += timedelta(days=what == "cut off")
    return made


@st.composite
def orders(draw: st.DrawFn, offered: list[Order], today: date) -> Order:
    """An order that has to do with earlier ones, or nothing."""
    day = draw(
        st.sampled_from(
            [*[today] * 12, today - timedelta(days=1), today - timedelta(days=1), date(2019, 1, 1)]
        )
    )
    lines = tuple(draw(st.lists(LINES, min_size=1, max_size=2)))
    entries = [order for order in offered if isinstance(order, Entry)]
    holds = [order for order in offered if isinstance(order, Hold)]
    turn = draw(
        st.sampled_from(
            [
                "fresh",
                "load",
                "load",
                "hold",
                "hold",
                "settle",
                "settle",
                "void",
                "reversal",
                "again",
                "mirror",
            ]
        )
    )
    match turn:
        case "again" if offered:
            return draw(st.sampled_from(offered))
        case "mirror" if entries:
            known = draw(st.sampled_from(entries))
            swapped = draw(st.sampled_from([mirror(known), mirror(known), known.lines]))
            named = draw(st.sampled_from([known.reference, known.reference, "none"]))
            return Entry(draw(st.sampled_from("xyz")), "reversal", day, AT, swapped, "back", named)
        case "settle" if holds:
            hold = draw(st.sampled_from(holds))
            less = draw(st.sampled_from([0, 0, 1, -1]))
            taken = tuple(replace(line, amount_fen=line.amount_fen - less) for line in hold.lines)
            return Entry(
                draw(REFERENCES), "pay", day, AT, taken[: draw(st.integers(1, 3))], settles=hold.reference
            )
        case "hold":
            minutes = draw(st.sampled_from([600, 600, 60, 30, 1]))
            return Hold(draw(REFERENCES), "counter", AT, AT + timedelta(minutes=minutes), lines)
        case "void":
            return Void(draw(st.sampled_from([*(hold.reference for hold in holds), "h"])))
        case "reversal":
            original = draw(st.sampled_from([*(entry.reference for entry in entries), "h"]))
            return Reversal(draw(st.sampled_from("axyz")), original, day, AT)
        case "load":
            load = Line("agent:A", draw(st.sampled_from(["purse:1", "purse:2", "wallet:h"])), 60)
            return Entry(draw(REFERENCES), "load", day, AT, (load,))
    return Entry(draw(REFERENCES), draw(st.sampled_from(["tap", "load"])), day, AT, lines)


@contextmanager
def forgotten(books: Books) -> Iterator[Connection]:
    """A transaction on prepared books that is rolled back at the end, so that each example starts alike."""
    with books.engine.connect() as conn:
        open_accounts(conn, [Account("wallet:h", Kind.LIABILITY, Limit.NO_DEBIT_BALANCE)], at=AT)
        yield conn
        conn.rollback()


@given(made=steps())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ledger_answers_as_the_slow_one_does(books: Books, made: list[Step]) -> None:
    slow = SlowLedger({DAY: DayState.OPEN}, LIMITS)
    with forgotten(books) as conn:
        now, instants = AT, [AT - timedelta(minutes=1)]
        for step in made:
            now += timedelta(minutes=step.minutes)
            instants.append(now)
            if step.what == "post":
                answers = [short(found) for found in post(conn, step.orders, at=now, closing=step.closing)]
                assert answers == slow.post(step.orders, at=now, closing=step.closing)
            elif step.what in ("close", "reopen"):
                keep_account(conn, slow, step, now)
            else:
                keep_day(conn, slow, step, now)
        assert_alike(conn, slow, instants)


def keep_account(conn: Connection, slow: SlowLedger, step: Step, now: datetime) -> None:
    """Close or reopen an account in both ledgers."""
    if step.what == "reopen":
        reopen_account(conn, step.code, at=now)
        slow.closed.discard(step.code)
    elif slow.close(step.code):
        close_account(conn, step.code, at=now)
    else:
        with pytest.raises(AccountNotEmpty, match=step.code):
            close_account(conn, step.code, at=now)


def keep_day(conn: Connection, slow: SlowLedger, step: Step, now: datetime) -> None:
    """Cut off or close what is next in both ledgers, or let holds run out."""
    newest = max(slow.days)
    closing = [day for day, state in slow.days.items() if state is DayState.CLOSING]
    if step.what == "expire":
        before = len(slow.open_holds())
        slow.post([], at=now, closing=False)
        assert expire_holds(conn, at=now) == before - len(slow.open_holds())
    elif step.what == "cut off" and not closing:
        slow.days |= {newest: DayState.CLOSING, begin_close(conn, newest, at=now): DayState.OPEN}
    elif closing and step.what != "cut off":
        close_and_seal(conn, closing[0], at=now)
        slow.days[closing[0]] = DayState.CLOSED


def assert_alike(conn: Connection, slow: SlowLedger, instants: list[datetime]) -> None:
    """Every question has the same answer in both ledgers."""
    dates = [DAY - timedelta(days=1), *slow.days, date(2019, 1, 1)]
    for code in LIMITS:
        found = balance(conn, code)
        grown = 1 if found.kind.grows_by_debit else -1
        assert found.net_fen == slow.net_fen(code)
        held_debits, held_credits = slow.held_fen(code)
        spendable = free(conn, code)
        assert spendable.balance_fen == grown * slow.net_fen(code)
        assert spendable.held_fen == (held_credits if found.kind.grows_by_debit else held_debits)
        for business_date in dates:
            assert balance_on(conn, code, business_date).net_fen == slow.net_fen_on(code, business_date)
        for instant in instants:
            assert balance_at(conn, code, instant).net_fen == slow.net_fen_at(code, instant)
        moved = history(conn, code, limit=1000)
        seen = [(one.reference, one.item, grown * one.amount_fen, one.counter_account) for one in moved]
        assert seen == slow.history(code)
    assert sum(found.net_fen for found in balances(conn)) == 0
    assert check_books(conn) == []
    assert list(verify_books(conn, public_key)) == []


def short(found: Answered) -> Answer:
    """An answer of the ledger in the slow one's words."""
    match found:
        case Refused():
            return found.reason.value, found.account, found.amount_fen
        case Posted():
            return "posted" if found.first_time else "again", "", found.entry_id
        case Held():
            return "held" if found.first_time else "held again", "", found.hold_id
        case Voided():
            return "voided" if found.first_time else "voided before", "", 0
        case Remembered():
            return "remembered" if found.first_time else "remembered before", "", 0


def test_the_books_of_one_call_are_those_of_many(books: Books) -> None:
    entries = [books.load("1", 90), *(books.tap("1", 20, f"t{number}") for number in range(6))]
    with writing(books.engine) as conn:
        savepoint = conn.begin_nested()
        together = [short(found) for found in post(conn, entries, at=AT)]
        savepoint.rollback()
        alone = [short(post(conn, [entry], at=AT)[0]) for entry in entries]
    assert together == alone
    assert [answer for answer, _, _ in alone] == ["posted"] * 5 + ["limit_exceeded"] * 2

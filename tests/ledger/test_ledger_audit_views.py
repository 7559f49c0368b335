"""What auditors read with SQL is what the ledger says of itself."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, inspect, text

from ledger.balances import balances
from ledger.db import migrate, reading, writing
from ledger.entry import Entry, Line
from ledger.history import history
from ledger.journal import read_day
from ledger.orders import Hold, Void
from ledger.post import expire_holds, post
from tests.ledger.sealed_books import FIRST, at, book, load, open_books, ride

VIEWS = {"audit_general_journal", "audit_general_ledger", "audit_trial_balance", "audit_holds"}
HOUR = timedelta(hours=1)


def rows(engine: Engine, query: str) -> list[dict[str, Any]]:
    with reading(engine) as conn:
        return [dict(row) for row in conn.execute(text(query)).mappings()]


def as_date(value: date | str) -> date:
    """SQLite keeps dates as text."""
    return date.fromisoformat(value) if isinstance(value, str) else value


def as_instant(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


@pytest.fixture
def kept(engine: Engine) -> Engine:
    """Books with loads, a batch of rides, and one taken back."""
    open_books(engine)
    book(engine, load(FIRST, "1", 5000), load(FIRST, "2", 3000))
    book(engine, ride(FIRST, "batch:7", ("1", 205), ("2", 315), ("1", 100)))
    back = Line("purse:2", "agent:A", 3000, "2")
    with writing(engine) as conn:
        post(
            conn,
            [Entry("fill", "load", FIRST, at(FIRST, 6), (Line("agent:A", "purse:2", 315),))],
            at=at(FIRST, 6),
        )
    book(engine, Entry("back", "reversal", FIRST, at(FIRST, 7), (back,), "退款", "load:2"))
    return engine


def test_the_general_journal_is_every_line_of_every_entry(kept: Engine) -> None:
    found = rows(kept, "SELECT * FROM audit_general_journal ORDER BY entry, line")
    with reading(kept) as conn:
        recorded = list(read_day(conn, FIRST))
    expected = [
        {
            "business_date": one.entry.business_date, "entry": one.entry_id, "reference": one.entry.reference,
            "kind": one.entry.kind, "event_at": one.entry.event_at, "posted_at": one.posted_at,
            "narrative": one.entry.narrative, "reverses": one.entry.reverses, "line": number,
            "debit": line.debit, "credit": line.credit, "amount_fen": line.amount_fen, "item": line.item,
        }
        for one in recorded
        for number, line in enumerate(one.entry.lines, 1)
    ]  # fmt: skip
    for row in found:
        row["business_date"] = as_date(row["business_date"])
        row["event_at"], row["posted_at"] = as_instant(row["event_at"]), as_instant(row["posted_at"])
    assert found == expected
    assert [row["reverses"] for row in found if row["reference"] == "back"] == ["load:2"]


def test_the_general_ledger_is_the_history_of_each_account(kept: Engine) -> None:
    found = rows(kept, "SELECT * FROM audit_general_ledger ORDER BY entry DESC, line DESC")
    with reading(kept) as conn:
        accounts = balances(conn)
        for account in accounts:
            sign = 1 if account.kind.grows_by_debit else -1
            assert [
                (
                    as_date(row["business_date"]), row["entry"], row["line"], row["reference"], row["item"],
                    sign * (row["debit_fen"] - row["credit_fen"]), row["counter_account"],
                )
                for row in found
                if row["account"] == account.code
            ] == [
                (
                    one.business_date, one.entry_id, one.line_no, one.reference, one.item, one.amount_fen,
                    one.counter_account,
                )
                for one in history(conn, account.code)
            ]  # fmt: skip
    assert len(found) == 2 * 7


def test_the_trial_balance_is_that_of_the_running_totals(kept: Engine) -> None:
    found = rows(kept, "SELECT * FROM audit_trial_balance ORDER BY code")
    with reading(kept) as conn:
        expected = [
            (one.code, one.kind.value, one.debits_fen, one.credits_fen, one.balance_fen)
            for one in balances(conn)
        ]
    assert [tuple(row.values()) for row in found] == expected
    assert sum(row["debits_fen"] - row["credits_fen"] for row in found) == 0


@given(fares=st.lists(st.tuples(st.sampled_from("1234"), st.integers(1, 500)), min_size=1, max_size=5))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_views_agree_with_one_another(kept: Engine, fares: list[tuple[str, int]]) -> None:
    lines = tuple(Line("agent:A", f"purse:{card}", fare_fen) for card, fare_fen in fares)
    with writing(kept) as conn:
        count = conn.execute(text("SELECT count(*) FROM ledger_entry")).scalar_one()
        post(conn, [Entry(f"more:{count}", "load", FIRST, at(FIRST, 8), lines)], at=at(FIRST, 8))
    summed = rows(
        kept,
        "SELECT account, sum(debit_fen) AS debits, sum(credit_fen) AS credits FROM audit_general_ledger"
        " GROUP BY account ORDER BY account",
    )
    moved = rows(
        kept,
        "SELECT code, debits_fen, credits_fen FROM audit_trial_balance WHERE debits_fen + credits_fen > 0"
        " ORDER BY code",
    )
    assert [tuple(row.values()) for row in summed] == [tuple(row.values()) for row in moved]


def test_holds_are_shown_with_how_they_ended(kept: Engine) -> None:
    def hold(name: str) -> Hold:
        lines = (Line("purse:1", "clearing:METRO-1", 100, name), Line("purse:1", "income:fee", 5))
        return Hold(name, "purchase", at(FIRST, 8), at(FIRST, 8) + HOUR, lines)

    taken = Line("purse:1", "clearing:METRO-1", 60, "h:settled")
    with writing(kept) as conn:
        names = ("h:settled", "h:voided", "h:expired")
        post(conn, [*(hold(name) for name in names), Void("h:voided")], at=at(FIRST, 8))
        post(conn, [Entry("buy", "p", FIRST, at(FIRST, 8), (taken,), settles="h:settled")], at=at(FIRST, 8))
        expire_holds(conn, at=at(FIRST, 10))
        later = Hold("h:open", "purchase", at(FIRST, 8), at(FIRST, 12), (Line("purse:1", "income:fee", 7),))
        post(conn, [later], at=at(FIRST, 10))
    found = rows(kept, "SELECT * FROM audit_holds ORDER BY placed_at, reference, line")
    ended = {
        (row["reference"], row["line"]): (row["state"], as_instant(row["ended_at"]), row["settled_by"])
        for row in found
    }
    assert ended == {
        ("h:expired", 1): ("expired", at(FIRST, 10), None),
        ("h:expired", 2): ("expired", at(FIRST, 10), None),
        ("h:open", 1): ("open", None, None),
        ("h:settled", 1): ("settled", at(FIRST, 8), "buy"),
        ("h:settled", 2): ("settled", at(FIRST, 8), "buy"),
        ("h:voided", 1): ("voided", at(FIRST, 8), None),
        ("h:voided", 2): ("voided", at(FIRST, 8), None),
    }
    held = sum(row["amount_fen"] for row in found if row["state"] == "open")
    with reading(kept) as conn:
        kept_fen = conn.execute(text("SELECT sum(debits_held_fen) FROM ledger_total")).scalar_one()
    assert held == kept_fen == 7


def test_the_views_go_down_and_up_again(engine: Engine) -> None:
    assert set(inspect(engine).get_view_names()) == VIEWS
    migrate(engine, "base")
    assert inspect(engine).get_view_names() == []
    migrate(engine)
    assert set(inspect(engine).get_view_names()) == VIEWS

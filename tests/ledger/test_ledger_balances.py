"""Balances now and then, the trial balance, and the history of an account."""

from datetime import date, datetime, timedelta
from functools import partial
from typing import cast

import pytest
from sqlalchemy import select, text

from ledger import tables
from ledger.accounts import (
    Account,
    Kind,
    Limit,
    close_account,
    closed_accounts,
    open_accounts,
    reopen_account,
)
from ledger.balances import Balance, Free, balance, balance_at, balance_on, balances, free, roll_up, totals
from ledger.chart import account
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from ledger.entry import Line
from ledger.history import history
from ledger.orders import Hold
from tests.ledger.some_books import AT, DAY, Books, answers, numbered

NEXT_DAY = DAY + timedelta(days=1)


def test_a_balance_is_positive_where_its_kind_grows() -> None:
    assert Balance("a", Kind.ASSET, 7, 2).balance_fen == 5
    assert Balance("l", Kind.LIABILITY, 7, 2).balance_fen == -5
    assert Balance("e", Kind.EXPENSE, 7, 2).balance_fen == 5
    assert Balance("i", Kind.INCOME, 2, 7).balance_fen == 5


def test_balances_of_a_prefix_come_by_code(books: Books) -> None:
    with writing(books.engine) as conn:
        open_accounts(conn, [account("purse:10"), account("purse:A"), account("purse:a")], at=AT)
    books.post(books.load("1", 500), books.tap("1", 200, "tap"))
    with reading(books.engine) as conn:
        codes = [found.code for found in balances(conn, "purse:")]
        assert codes == ["purse:1", "purse:10", "purse:2", "purse:A", "purse:a"]
        assert [found.code for found in balances(conn, "purse:1")] == ["purse:1", "purse:10"]
        assert [found.code for found in balances(conn)][:2] == ["agent:A", "bank:reserve"]
        assert balance(conn, "purse:1") == Balance("purse:1", Kind.LIABILITY, 200, 500)


def test_an_account_that_is_not_there_is_said_to_be_missing(books: Books) -> None:
    with reading(books.engine) as conn:
        on_a_day, at_an_instant = partial(balance_on, business_date=DAY), partial(balance_at, at=AT)
        for ask in (balance, history, free, on_a_day, at_an_instant):
            with pytest.raises(LookupError, match="purse:none"):
                ask(conn, "purse:none")


def test_the_trial_balance_has_a_row_a_sub_ledger_and_a_row_a_standing_account(books: Books) -> None:
    books.post(books.load("1", 500), books.load("2", 300), books.tap("1", 200, "tap"))
    books.post(books.entry("fee", Line("clearing:METRO-1", "income:fee", 2)))
    with reading(books.engine) as conn:
        found = {row.code: row.balance_fen for row in totals(conn)}
    assert found == {
        "agent": 800,
        "bank:reserve": 0,
        "clearing": 198,
        "expense:loss": 0,
        "income:fee": 2,
        "purse": 600,
        "till": 0,
    }


def test_history_is_the_account_seen_from_itself_newest_first_page_by_page(books: Books) -> None:
    books.post(books.load("1", 500), books.tap("1", 200, "tap:1"), books.tap("1", 30, "tap:2"))
    books.post(books.entry("both", Line("agent:A", "purse:2", 1), Line("purse:1", "purse:2", 7, "gift")))
    with reading(books.engine) as conn:
        first = history(conn, "purse:1", limit=2)
        rest = history(conn, "purse:1", limit=2, before=first[-1].line_id)
        assert history(conn, "purse:1", before=rest[-1].line_id) == []
        agent = history(conn, "agent:A")
    seen = [
        (found.reference, found.line_no, found.amount_fen, found.counter_account) for found in first + rest
    ]
    assert seen == [
        ("both", 2, -7, "purse:2"),
        ("tap:2", 1, -30, "clearing:METRO-1"),
        ("tap:1", 1, -200, "clearing:METRO-1"),
        ("load:1", 1, 500, "agent:A"),
    ]
    assert [found.amount_fen for found in agent] == [1, 500]
    assert (first[0].item, first[0].entry_id, first[0].business_date, first[0].event_at) == (
        "gift",
        numbered(4),
        DAY,
        AT,
    )


def test_balances_at_past_dates_are_kept_while_the_next_day_goes_on(books: Books) -> None:
    books.post(books.load("1", 500))
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
    tomorrow = books.on(NEXT_DAY)
    # The night books on its day after the next day's first payment.
    assert answers(tomorrow.post(tomorrow.tap("1", 100, "tap:tomorrow"))) == ["posted"]
    assert answers(books.post(books.tap("1", 30, "tap:today"), closing=True)) == ["posted"]

    def known() -> list[int]:
        with reading(books.engine) as conn:
            dates = (DAY - timedelta(days=1), DAY, NEXT_DAY, NEXT_DAY + timedelta(days=9))
            return [balance_on(conn, "purse:1", day).balance_fen for day in dates]

    assert known() == [0, 470, 370, 370]
    with writing(books.engine) as conn:
        finish_close(conn, DAY, at=AT)
    assert known() == [0, 470, 370, 370]
    with writing(books.engine) as conn:
        begin_close(conn, NEXT_DAY, at=AT)
        finish_close(conn, NEXT_DAY, at=AT)
    assert known() == [0, 470, 370, 370]


def test_only_accounts_that_moved_get_a_snapshot(books: Books) -> None:
    books.post(books.load("1", 500))
    with writing(books.engine) as conn:
        for day in (DAY, NEXT_DAY):
            begin_close(conn, day, at=AT)
            finish_close(conn, day, at=AT)
    with reading(books.engine) as conn:
        count = conn.execute(text("SELECT count(*) FROM ledger_snapshot")).scalar_one()
    assert count == 2


def test_a_balance_at_an_instant_is_what_had_been_posted_until_then(books: Books) -> None:
    def hour(number: int) -> datetime:
        return AT + timedelta(hours=number)

    def post_at(number: int, day: date, reference: str, *, closing: bool = False) -> None:
        """Load 10^n fen in hour n, so that the digits of a balance tell which loads it has."""
        load = books.on(day).load("1", 10**number, reference)
        assert answers(books.ask(load, minutes=60 * number, closing=closing)) == ["posted"]

    post_at(1, DAY, "one")
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=hour(2))
    post_at(3, NEXT_DAY, "three")
    post_at(4, DAY, "four", closing=True)

    def known() -> list[int]:
        with reading(books.engine) as conn:
            return [balance_at(conn, "purse:1", hour(number)).balance_fen for number in range(7)]

    assert known() == [0, 10, 10, 1010, 11010, 11010, 11010]
    # Once the day is closed and sealed, its snapshot tells; what came to the next day meanwhile still counts.
    with writing(books.engine) as conn:
        finish_close(conn, DAY, at=hour(5))
    post_at(6, NEXT_DAY, "six")
    assert known() == [0, 10, 10, 1010, 11010, 11010, 1011010]
    with writing(books.engine) as conn:
        begin_close(conn, NEXT_DAY, at=hour(6))
        finish_close(conn, NEXT_DAY, at=hour(6))
    assert known() == [0, 10, 10, 1010, 11010, 11010, 1011010]
    with reading(books.engine) as conn:
        just_before = hour(4) - timedelta(microseconds=1)
        assert balance_at(conn, "purse:1", just_before).balance_fen == 1010
        assert balance_at(conn, "agent:A", hour(4)) == Balance("agent:A", Kind.ASSET, 11010, 0)


def test_a_day_closes_no_earlier_than_its_last_posting_and_the_day_before(books: Books) -> None:
    def close(day: date) -> datetime:
        with writing(books.engine) as conn:
            begin_close(conn, day, at=AT)
            finish_close(conn, day, at=AT)
            closed_at = select(tables.day.c.closed_at).where(tables.day.c.business_date == day)
            return cast(datetime, conn.execute(closed_at).scalar_one())

    books.ask(books.load("1", 5), minutes=9)
    # The clock of whoever closes may be behind that of whoever posted.
    assert close(DAY) == close(NEXT_DAY) == AT + timedelta(minutes=9)
    with reading(books.engine) as conn:
        for minutes, expected in ((0, 0), (8, 0), (9, 5)):
            assert balance_at(conn, "purse:1", AT + timedelta(minutes=minutes)).balance_fen == expected


def test_accounts_are_added_up_along_their_codes(books: Books) -> None:
    codes = ("clearing:METRO-1:line-2", "clearing:METRO-1:line-3", "clearing:METRO-10", "payable:METRO-1")
    with writing(books.engine) as conn:
        odd = Account("clearing:CITY", Kind.ASSET, Limit.NONE)
        open_accounts(conn, [odd, *(account(code) for code in codes)], at=AT)
    books.post(*(books.entry(code, Line("agent:A", code, 7)) for code in (*codes, "clearing:CITY")))
    books.post(books.entry("direct", Line("agent:A", "clearing:METRO-1", 100)))
    with reading(books.engine) as conn:
        assert [(row.code, row.kind, row.balance_fen) for row in roll_up(conn, "clearing")] == [
            ("clearing", Kind.ASSET, -7),
            ("clearing", Kind.LIABILITY, 121),
        ]
        deeper = [(row.code, row.balance_fen) for row in roll_up(conn, "clearing:METRO", depth=2)]
        assert deeper == [("clearing:METRO-1", 114), ("clearing:METRO-10", 7)]
        deepest = [(row.code, row.balance_fen) for row in roll_up(conn, "clearing:METRO-1:", depth=9)]
        assert deepest == [("clearing:METRO-1:line-2", 7), ("clearing:METRO-1:line-3", 7)]
        assert sum(row.net_fen for row in roll_up(conn)) == 0
        assert {row.code for row in roll_up(conn)} == {found.code.split(":")[0] for found in balances(conn)}
        with pytest.raises(ValueError, match="depth 0 is below 1; give the number of parts"):
            roll_up(conn, depth=0)


def test_what_is_free_is_the_balance_less_what_is_held(books: Books) -> None:
    books.post(books.load("1", 500))
    hold = Hold("h", "counter", AT, AT + timedelta(hours=1), (Line("purse:1", "clearing:METRO-1", 120),))
    assert answers(books.ask(hold)) == ["held"]
    with reading(books.engine) as conn:
        assert (free(conn, "purse:1"), free(conn, "purse:1").free_fen) == (Free(500, 120), 380)
        assert free(conn, "purse:2") == Free(0, 0)
        with pytest.raises(LookupError, match="no account purse:none; open it first"):
            free(conn, "purse:none")


def test_accounts_that_are_closed_are_listed_by_code(books: Books) -> None:
    with writing(books.engine) as conn:
        assert closed_accounts(conn) == []
        for code in ("purse:2", "income:fee", "purse:1"):
            close_account(conn, code, at=AT)
        reopen_account(conn, "purse:1", at=AT)
        reopen_account(conn, "purse:1", at=AT)
        assert closed_accounts(conn) == ["income:fee", "purse:2"]
        with pytest.raises(LookupError, match="no account purse:none; open it first"):
            reopen_account(conn, "purse:none", at=AT)


def test_history_begins_at_a_line_of_the_account_or_not_at_all(books: Books) -> None:
    books.post(books.load("1", 500), books.load("2", 5))
    with reading(books.engine) as conn:
        assert history(conn, "purse:1", limit=0) == []
        assert history(conn, "income:fee") == []
        for stranger in (numbered(2), numbered(77)):
            with pytest.raises(
                LookupError, match=f"line {stranger} is none of account purse:1; begin without it"
            ):
                history(conn, "purse:1", before=stranger)

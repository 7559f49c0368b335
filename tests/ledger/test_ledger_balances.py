"""Balances now and then, the trial balance, and the history of an account."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from ledger.accounts import Kind, open_accounts
from ledger.balances import Balance, balance, balance_on, balances, totals
from ledger.chart import account
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from ledger.entry import Line
from ledger.history import history
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
        for ask in (balance, history, lambda conn, code: balance_on(conn, code, DAY)):
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

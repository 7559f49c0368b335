"""Opening and closing accounts, and the chart that defines them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import sampled_from
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from ledger import chart
from ledger.accounts import (
    Account,
    AccountNotEmpty,
    Conflict,
    Kind,
    Limit,
    close_account,
    find_accounts,
    open_accounts,
)
from ledger.db import reading, writing
from ledger.entry import Refused
from tests.ledger.some_books import Books

PURSE = chart.account("purse:9")


def test_opening_again_opens_nothing(books: Books) -> None:
    with writing(books.engine) as conn:
        assert open_accounts(conn, [PURSE, PURSE], at=books.at) == 1
        assert open_accounts(conn, iter([PURSE]), at=books.at + timedelta(days=1)) == 0
        assert find_accounts(conn, ["purse:9", "purse:none"]) == [PURSE]


@pytest.mark.parametrize(
    "other",
    [
        Account("purse:9", Kind.ASSET, Limit.NO_DEBIT_BALANCE),
        Account("purse:9", Kind.LIABILITY, Limit.NONE),
        Account("purse:9", Kind.LIABILITY, Limit.NO_DEBIT_BALANCE, owner="someone"),
        Account("purse:9", Kind.LIABILITY, Limit.NO_DEBIT_BALANCE, currency="HKD"),
    ],
)
def test_another_definition_under_the_same_code_is_a_conflict_and_opens_nothing(
    books: Books, other: Account
) -> None:
    with writing(books.engine) as conn:
        open_accounts(conn, [PURSE], at=books.at)
    with pytest.raises(Conflict) as raised, writing(books.engine) as conn:
        open_accounts(conn, [chart.account("purse:10"), other], at=books.at)
    assert (raised.value.ours, raised.value.theirs) == (PURSE, other)
    with reading(books.engine) as conn:
        assert find_accounts(conn, ["purse:10"]) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"owner": "Anna\x00"},
            r"account purse:10: owner 'Anna\\x00' holds a control character; take it out",
        ),
        ({"owner": "An\nna"}, "control character"),
        ({"owner": "\ud800"}, "control character"),
        ({"currency": "CN\x00"}, r"currency 'CN\\x00' is not one; give three capital letters"),
        ({"currency": "yuan"}, "currency 'yuan' is not one"),
        ({"currency": ""}, "currency '' is not one"),
    ],
)
def test_an_owner_or_currency_that_cannot_be_is_refused_and_opens_nothing(
    books: Books, changed: dict[str, Any], words: str
) -> None:
    flawed = replace(chart.account("purse:10"), **changed)
    with pytest.raises(ValueError, match=words), writing(books.engine) as conn:
        open_accounts(conn, [PURSE, flawed], at=books.at)
    with reading(books.engine) as conn:
        assert find_accounts(conn, ["purse:9", "purse:10"]) == []


def test_two_definitions_in_one_call_are_a_conflict(books: Books) -> None:
    other = Account("purse:9", Kind.ASSET, Limit.NONE)
    with pytest.raises(Conflict), writing(books.engine) as conn:
        open_accounts(conn, [PURSE, other], at=books.at)


@pytest.mark.parametrize(
    "code", ["", "purse", "purse:", ":1", "Purse:1", "purse:a b", "purse:卡", "purse:" + "1" * 91]
)
def test_what_is_not_a_code_is_refused_with_a_remedy(engine: Engine, code: str) -> None:
    with pytest.raises(ValueError, match="write a lower-case segment"), writing(engine) as conn:
        open_accounts(conn, [Account(code, Kind.ASSET, Limit.NONE)], at=datetime(2018, 9, 1, tzinfo=UTC))


def test_only_an_empty_account_closes_and_then_it_is_closed(books: Books) -> None:
    books.post(books.load("1", 500))
    with writing(books.engine) as conn:
        with pytest.raises(AccountNotEmpty, match="-500 fen"):
            close_account(conn, "purse:1", at=books.at)
        close_account(conn, "purse:2", at=books.at)
        close_account(conn, "purse:2", at=books.at)
        with pytest.raises(LookupError, match="purse:none"):
            close_account(conn, "purse:none", at=books.at)
    [refused] = books.post(books.load("2", 1))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.account) == ("account_closed", "purse:2")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_account SET code = 'purse:8' WHERE code = 'purse:1'",
        "UPDATE ledger_account SET limit_rule = 'none'",
        "UPDATE ledger_account SET kind = 'asset'",
        "UPDATE ledger_total SET may_debit = true",
        "UPDATE ledger_total SET account_id = account_id + 100",
        "DELETE FROM ledger_account",
        "DELETE FROM ledger_total",
        "DELETE FROM ledger_control",
    ],
)
def test_the_database_keeps_accounts_as_they_were_opened(books: Books, statement: str) -> None:
    books.post(books.load("1", 5))
    with (
        pytest.raises(DBAPIError, match=r"as it was opened|keeps its rows|is append-only"),
        writing(books.engine) as conn,
    ):
        conn.execute(text(statement))


SEGMENTS = ("purse", "wallet", "medical", "subsidy", "load", "deposit")


@given(sampled_from(SEGMENTS))
def test_customers_money_can_never_be_overdrawn(segment: str) -> None:
    assert chart.account(f"{segment}:x") == Account(f"{segment}:x", Kind.LIABILITY, Limit.NO_DEBIT_BALANCE)


def test_a_code_outside_the_chart_is_refused() -> None:
    with pytest.raises(ValueError, match="pocket"):
        chart.account("pocket:1")

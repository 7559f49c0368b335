"""Taking back: once, as it stands in the books, and also before it has come."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ledger import chart
from ledger.accounts import close_account, open_accounts, reopen_account
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted, Reason, Refused
from ledger.orders import Hold, Order, Remembered, Reversal
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, answers, numbered

NEXT_DAY = DAY + timedelta(days=1)
BACK = Reversal("back", "tap", DAY, AT, narrative="wrong fare")


@pytest.fixture
def ridden(books: Books) -> Books:
    """Books with one ride of 200 fen, reference `tap`."""
    books.post(books.load("1", 500), books.tap("1", 200, "tap"))
    return books


def assert_good(books: Books) -> None:
    with reading(books.engine) as conn:
        assert list(verify_books(conn)) == []


def test_what_is_in_the_books_is_taken_back_once_as_it_stands(ridden: Books) -> None:
    assert ridden.ask(BACK) == [Posted("back", numbered(3), True)]
    assert ridden.nets() == {"agent:A": 500, "purse:1": -500, "clearing:METRO-1": 0}
    # Again it gets the first answer; under another reference it is a second one.
    assert ridden.ask(BACK) == [Posted("back", numbered(3), False)]
    [refused] = ridden.ask(replace(BACK, reference="back:again"))
    assert isinstance(refused, Refused) and refused.reason is Reason.ALREADY_REVERSED
    assert refused.message == "entry 'back:again': its original 'tap' was reversed by 'back'; once is enough"
    assert_good(ridden)


def test_a_reversal_by_its_lines_and_one_by_its_reference_are_the_same(ridden: Books) -> None:
    mirror = Entry(
        "back", "reversal", DAY, AT, (Line("clearing:METRO-1", "purse:1", 200, "tap"),), "wrong fare", "tap"
    )
    assert ridden.ask(BACK, mirror) == [Posted("back", numbered(3), True), Posted("back", numbered(3), False)]


def test_a_reversal_before_its_original_is_remembered_and_the_original_refused(books: Books) -> None:
    books.post(books.load("1", 500))
    assert books.ask(BACK, BACK) == [Remembered("back", True), Remembered("back", False)]
    [refused] = books.ask(books.tap("1", 200, "tap"))
    assert isinstance(refused, Refused) and refused.reason is Reason.FORESTALLED
    assert refused.message == "entry 'tap' was taken back by 'back' before it came; use another reference"
    assert books.ask(BACK, replace(BACK, reference="second")) == [
        Remembered("back", False),
        Remembered("second", False),
    ]
    assert books.nets() == {"agent:A": 500, "purse:1": -500}
    assert_good(books)


def test_in_one_call_a_reversal_before_its_original_and_one_after_it_end_alike(books: Books) -> None:
    tap = books.tap("1", 200, "tap")
    assert answers(books.ask(BACK, books.load("1", 500), tap)) == ["remembered", "posted", "forestalled"]
    other = replace(tap, reference="other")
    assert answers(books.ask(other, replace(BACK, reference="o", original="other"))) == ["posted", "posted"]
    assert books.nets() == {"agent:A": 500, "purse:1": -500, "clearing:METRO-1": 0}
    assert_good(books)


def test_a_refused_original_taken_back_stays_refused(books: Books) -> None:
    tap = books.tap("1", 200, "tap")
    assert answers(books.ask(tap, BACK)) == ["limit_exceeded", "remembered"]
    assert answers(books.ask(books.load("1", 500), tap)) == ["posted", "forestalled"]


def test_a_reversal_may_be_reversed_itself(ridden: Books) -> None:
    forth = Reversal("forth", "back", DAY, AT)
    assert answers(ridden.ask(BACK, forth)) == ["posted", "posted"]
    assert ridden.nets()["purse:1"] == -300
    assert_good(ridden)


REFUSALS: list[tuple[Order, Reason, str, int]] = [
    (replace(BACK, business_date=NEXT_DAY), Reason.DAY_NOT_OPEN, "", 0),
    (Reversal("back", "out", DAY, AT), Reason.ACCOUNT_CLOSED, "purse:2", 0),
    (Reversal("load:1", "tap", DAY, AT), Reason.CONFLICT, "", 0),
    (Reversal("load:1", "not there", DAY, AT), Reason.CONFLICT, "", 0),
    (Reversal("never", "tap", DAY, AT), Reason.FORESTALLED, "", 0),
    (Reversal("back", "load:1", DAY, AT), Reason.LIMIT_EXCEEDED, "purse:1", 200),
]


@pytest.mark.parametrize(("offered", "reason", "account", "amount_fen"), REFUSALS)
def test_a_reversal_is_refused_as_an_entry_is(
    ridden: Books, offered: Reversal, reason: Reason, account: str, amount_fen: int
) -> None:
    ridden.post(ridden.load("2", 5), ridden.tap("2", 5, "out"))
    ridden.ask(Reversal("back:never", "never", DAY, AT))
    with writing(ridden.engine) as conn:
        close_account(conn, "purse:2", at=AT)
    before = ridden.nets()
    [refused] = ridden.ask(offered)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.account, refused.amount_fen) == (reason, account, amount_fen)
    assert f"{offered.reference!r}" in refused.message and "; " in refused.message
    assert ridden.nets() == before
    assert_good(ridden)


def test_a_closed_account_takes_back_nothing_until_it_is_reopened(ridden: Books) -> None:
    with writing(ridden.engine) as conn:
        open_accounts(conn, [chart.account("wallet:h")], at=AT)
    out = (
        ridden.entry("out", Line("purse:1", "wallet:h", 300)),
        ridden.entry("on", Line("wallet:h", "income:fee", 300)),
    )
    assert answers(ridden.ask(*out)) == ["posted", "posted"]
    with writing(ridden.engine) as conn:
        close_account(conn, "wallet:h", at=AT)
    back = Reversal("on:back", "on", DAY, AT)
    assert answers(ridden.ask(back)) == ["account_closed"]
    with writing(ridden.engine) as conn:
        reopen_account(conn, "wallet:h", at=AT)
    assert answers(ridden.ask(back)) == ["posted"]
    assert_good(ridden)


def test_an_entry_of_a_closed_day_is_taken_back_on_the_open_one(ridden: Books) -> None:
    with writing(ridden.engine) as conn:
        begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
    assert answers(ridden.ask(BACK)) == ["day_closed"]
    assert ridden.ask(replace(BACK, business_date=NEXT_DAY)) == [Posted("back", numbered(1, NEXT_DAY), True)]
    assert_good(ridden)


SETTLES = [
    # Each entry takes more than there is, and its hold may be none.
    ("tap", "none", Reason.CONFLICT),
    ("never", "none", Reason.FORESTALLED),
    ("pay", "none", Reason.HOLD_UNKNOWN),
    ("pay", "over", Reason.HOLD_OVER),
    ("pay", "h", Reason.HOLD_EXCEEDED),
]


@pytest.mark.parametrize(("reference", "settles", "reason"), SETTLES)
def test_the_first_reason_against_settling_is_given(
    ridden: Books, reference: str, settles: str, reason: Reason
) -> None:
    line, later = Line("purse:1", "clearing:METRO-1", 10), AT + timedelta(hours=1)
    ridden.ask(*(Hold(name, "counter", AT, later, (line,)) for name in ("over", "h")))
    ridden.ask(
        Entry("first", "pay", DAY, AT, (line,), settles="over"), Reversal("back:never", "never", DAY, AT)
    )
    too_much = replace(line, amount_fen=9_000)
    [refused] = ridden.ask(Entry(reference, "pay", DAY, AT, (too_much,), settles=settles))
    assert isinstance(refused, Refused) and refused.reason is reason
    assert f"entry {reference!r}" in refused.message and "; " in refused.message
    assert ridden.free_fen("purse:1") == 280

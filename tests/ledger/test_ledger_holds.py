"""Holds: money set aside, and the ends that it may come to; what may come first, twice or too late."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import chart
from ledger.accounts import AccountNotEmpty, close_account, open_accounts, reopen_account
from ledger.balances import Free, balance, free
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted, Reason, Refused
from ledger.orders import Held, Hold, Order, Reversal, Void, Voided, hold_content
from ledger.post import expire_holds
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, answers, numbered

OUT = Line("purse:1", "clearing:METRO-1", 300, "gate")
HOUR = timedelta(hours=1)


def hold(*lines: Line, reference: str = "h", **other: Any) -> Hold:
    """A hold for an hour."""
    return Hold(
        reference, "counter", other.pop("event_at", AT), other.pop("expires_at", AT + HOUR), lines, **other
    )


def settling(*lines: Line, reference: str = "pay", settles: str = "h", **other: Any) -> Entry:
    """An entry that takes what a hold set aside."""
    return Entry(reference, "pay", DAY, AT, lines, settles=settles, **other)


@pytest.fixture
def rich(books: Books) -> Books:
    """Books in which the first purse has 500 fen, and a wallet is closed."""
    books.post(books.load("1", 500))
    with writing(books.engine) as conn:
        open_accounts(conn, [chart.account("wallet:closed")], at=AT)
        close_account(conn, "wallet:closed", at=AT)
    return books


def assert_good(books: Books) -> None:
    with reading(books.engine) as conn:
        assert list(verify_books(conn)) == []


def test_what_is_held_is_not_free_and_moves_nothing(rich: Books) -> None:
    assert rich.ask(hold(OUT)) == [Held("h", 1, True)]
    with reading(rich.engine) as conn:
        assert free(conn, "purse:1") == Free(500, 300)
        assert free(conn, "clearing:METRO-1") == Free(0, 0)
        assert free(conn, "agent:A") == Free(500, 0)
        assert balance(conn, "purse:1").balance_fen == 500
    assert answers(rich.ask(rich.tap("1", 201, "too much"), rich.tap("1", 200, "just right"))) == [
        "limit_exceeded",
        "posted",
    ]
    assert_good(rich)


def test_an_asset_is_held_by_what_would_take_from_it(books: Books) -> None:
    books.post(books.entry("till", Line("till:1", "agent:A", 90)))
    assert answers(books.ask(hold(Line("agent:A", "till:1", 60)))) == ["held"]
    with reading(books.engine) as conn:
        assert free(conn, "till:1") == Free(90, 60)
    assert answers(books.ask(books.entry("out", Line("agent:A", "till:1", 31)))) == ["limit_exceeded"]


SETTLEMENTS = [
    # What is taken, what the purse has left of 500, and what is free of that: what is not taken is free again.
    ((OUT,), 200),
    ((replace(OUT, amount_fen=1),), 499),
    ((replace(OUT, amount_fen=100), replace(OUT, amount_fen=200)), 200),
]


@pytest.mark.parametrize(("lines", "left_fen"), SETTLEMENTS)
def test_a_hold_is_settled_once_in_whole_or_in_part(
    rich: Books, lines: tuple[Line, ...], left_fen: int
) -> None:
    rich.ask(hold(OUT))
    assert answers(rich.ask(settling(*lines), settling(*lines), settling(OUT, reference="second"))) == [
        "posted",
        "posted",
        "hold_over",
    ]
    with reading(rich.engine) as conn:
        assert free(conn, "purse:1") == Free(left_fen, 0)
    assert rich.ask(settling(*lines)) == [Posted("pay", numbered(2), False)]
    assert_good(rich)


def test_a_hold_of_all_there_is_can_be_settled(rich: Books) -> None:
    everything = replace(OUT, amount_fen=500)
    assert answers(rich.ask(hold(everything))) == ["held"]
    assert answers(rich.ask(settling(everything))) == ["posted"]
    assert rich.free_fen("purse:1") == 0


TOO_MUCH = [
    ((replace(OUT, amount_fen=301),), "purse:1", 1),
    ((OUT, replace(OUT, amount_fen=7)), "purse:1", 7),
    ((replace(OUT, item="another gate"),), "purse:1", 300),
    ((replace(OUT, credit="income:fee"),), "purse:1", 300),
    ((Line("agent:A", "purse:1", 2),), "agent:A", 2),
]


@pytest.mark.parametrize(("lines", "account", "amount_fen"), TOO_MUCH)
def test_no_more_is_settled_than_was_held(
    rich: Books, lines: tuple[Line, ...], account: str, amount_fen: int
) -> None:
    rich.ask(hold(OUT))
    [refused] = rich.ask(settling(*lines))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.account, refused.amount_fen) == (
        Reason.HOLD_EXCEEDED,
        account,
        amount_fen,
    )
    for said in ("'pay'", "'h'", account, f"{amount_fen} fen", "; take less"):
        assert said in refused.message
    assert rich.free_fen("purse:1") == 200


def test_what_a_hold_would_bring_in_cannot_be_held_further(rich: Books) -> None:
    # The second purse has nothing until the first line is settled.
    passing_on = Line("purse:1", "purse:2", 100), Line("purse:2", "clearing:METRO-1", 100)
    [refused] = rich.ask(hold(*passing_on))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.account, refused.amount_fen) == (Reason.LIMIT_EXCEEDED, "purse:2", 100)
    assert answers(rich.ask(rich.entry("pass on", *passing_on))) == ["posted"]


def test_a_voided_hold_frees_its_money_and_stays_over(rich: Books) -> None:
    rich.ask(hold(OUT))
    assert rich.ask(Void("h"), Void("h")) == [Voided("h", True), Voided("h", False)]
    assert rich.free_fen("purse:1") == 500
    # The same hold again gets its first answer and sets nothing aside.
    assert rich.ask(hold(OUT), settling(OUT))[0] == Held("h", 1, False)
    assert answers(rich.ask(settling(OUT))) == ["hold_over"]
    assert rich.free_fen("purse:1") == 500
    assert_good(rich)


def test_a_settled_hold_is_not_voided_but_its_entry_reversed(rich: Books) -> None:
    rich.ask(hold(OUT), settling(OUT))
    [refused] = rich.ask(Void("h"))
    assert isinstance(refused, Refused) and refused.reason is Reason.HOLD_OVER
    assert "reverse that entry instead" in refused.message
    assert answers(rich.ask(Reversal("back", "pay", DAY, AT), settling(OUT, reference="again"))) == [
        "posted",
        "hold_over",
    ]
    with reading(rich.engine) as conn:
        assert free(conn, "purse:1") == Free(500, 0)
    assert_good(rich)


def test_a_void_before_its_hold_is_remembered_and_the_hold_refused(rich: Books) -> None:
    assert rich.ask(Void("h"), Void("h")) == [Voided("h", True), Voided("h", False)]
    [refused, unknown] = rich.ask(hold(OUT), settling(OUT))
    assert isinstance(refused, Refused) and refused.reason is Reason.FORESTALLED
    assert refused.message == "hold 'h' was taken back by 'h' before it came; use another reference"
    assert answers([unknown]) == ["hold_unknown"]
    assert rich.ask(Void("h")) == [Voided("h", False)]
    assert_good(rich)


def test_a_hold_runs_out_at_its_instant_and_not_before(rich: Books) -> None:
    rich.ask(hold(OUT))
    last_moment = 60 - 1 / 60_000_000
    assert answers(rich.ask(rich.tap("1", 201, "tap"), minutes=last_moment)) == ["limit_exceeded"]
    assert rich.free_fen("purse:1") == 200
    # What has run out is free to the very call that finds it so.
    assert answers(rich.ask(rich.tap("1", 500, "tap"), settling(OUT), Void("h"), minutes=60)) == [
        "posted",
        "hold_over",
        "voided",
    ]
    assert rich.free_fen("purse:1") == 0
    assert_good(rich)


def test_an_entry_settles_a_hold_in_its_last_moment(rich: Books) -> None:
    rich.ask(hold(OUT))
    assert answers(rich.ask(settling(OUT), minutes=60 - 1 / 60_000_000)) == ["posted"]


def test_holds_that_ran_out_end_without_a_posting_too(rich: Books) -> None:
    rich.ask(hold(OUT), hold(replace(OUT, amount_fen=9), reference="longer", expires_at=AT + 2 * HOUR))
    with writing(rich.engine) as conn:
        assert expire_holds(conn, at=AT + HOUR - timedelta(microseconds=1)) == 0
        assert expire_holds(conn, at=AT + HOUR) == 1
        assert expire_holds(conn, at=AT + HOUR) == 0
    with reading(rich.engine) as conn:
        assert free(conn, "purse:1") == Free(500, 9)
    assert_good(rich)


OTHER_CONTENT: list[dict[str, Any]] = [
    {"lines": (replace(OUT, amount_fen=299),)},
    {"kind": "gate"},
    {"narrative": "other"},
    {"event_at": AT - timedelta(microseconds=1)},
    {"expires_at": AT + 2 * HOUR},
]


@pytest.mark.parametrize("change", OTHER_CONTENT)
def test_another_hold_under_a_taken_reference_is_a_conflict(rich: Books, change: dict[str, Any]) -> None:
    offered = hold(OUT)
    other = replace(offered, **change)
    assert rich.ask(offered, offered) == [Held("h", 1, True), Held("h", 1, False)]
    assert answers(rich.ask(other)) == ["conflict"]
    assert answers(rich.ask(Void("h"), other)) == ["voided", "conflict"]
    assert hold_content(offered) != hold_content(other)
    assert_good(rich)


def test_holds_and_entries_have_references_of_their_own(rich: Books) -> None:
    assert answers(rich.ask(hold(OUT, reference="one"), settling(OUT, reference="one", settles="one"))) == [
        "held",
        "posted",
    ]
    assert_good(rich)


UNKNOWN = Line("purse:1", "purse:none", 9_000)
CLOSED = Line("purse:1", "wallet:closed", 9_000)
SHORT = replace(OUT, amount_fen=9_000)
PAST: dict[str, Any] = {"event_at": AT - 2 * HOUR, "expires_at": AT - HOUR}
REFUSED_HOLDS = [
    # Each hold also has every fault that comes later in the order.
    (hold(UNKNOWN, CLOSED, SHORT, reference="", **PAST), Reason.MALFORMED, "", 0, "reference is empty"),
    (
        hold(UNKNOWN, CLOSED, reference="taken", **PAST),
        Reason.ACCOUNT_UNKNOWN,
        "purse:none",
        0,
        "open it first",
    ),
    (hold(CLOSED, SHORT, reference="taken", **PAST), Reason.ACCOUNT_CLOSED, "wallet:closed", 0, "reopen it"),
    (hold(SHORT, reference="taken", **PAST), Reason.CONFLICT, "", 0, "other content; use another reference"),
    (hold(SHORT, reference="gone", **PAST), Reason.FORESTALLED, "", 0, "taken back by 'gone'"),
    (hold(SHORT, **PAST), Reason.HOLD_OVER, "", 0, "before it was placed; give it a later instant"),
    (hold(SHORT), Reason.LIMIT_EXCEEDED, "purse:1", 8_501, "(no_debit_balance) by 8501 fen; bring the money"),
]


@pytest.mark.parametrize(("offered", "reason", "account", "amount_fen", "said"), REFUSED_HOLDS)
def test_the_first_reason_against_a_hold_is_given(
    rich: Books, offered: Hold, reason: Reason, account: str, amount_fen: int, said: str
) -> None:
    rich.ask(hold(replace(OUT, amount_fen=1), reference="taken"), Void("gone"))
    [refused] = rich.ask(offered)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.account, refused.amount_fen) == (reason, account, amount_fen)
    assert said in refused.message and f"hold {offered.reference!r}" in refused.message
    assert rich.free_fen("purse:1") == 499
    assert_good(rich)


MALFORMED: list[tuple[Order, str]] = [
    (
        replace(hold(OUT), expires_at=AT.replace(tzinfo=None)),
        "expires_at 2018-09-01 03:04:05.678901 has no time zone",
    ),
    (
        replace(hold(OUT), event_at=AT.replace(tzinfo=None)),
        "event_at 2018-09-01 03:04:05.678901 has no time zone",
    ),
    (hold(OUT, expires_at=AT), "is not after event_at"),
    (hold(), "there are no lines"),
    (hold(OUT, narrative="a\nb"), "narrative 'a\\nb' holds a control character"),
    (hold(replace(OUT, item="\ud800")), "item of line 1"),
    (Void(""), "reference is empty; name the hold"),
    (Void("\x00"), "reference '\\x00' holds a control character"),
    (Reversal("r", "", DAY, AT), "original is empty; name what is taken back"),
    (Reversal("r", "o\n", DAY, AT), "original 'o\\n' holds a control character"),
    (Reversal("r", "o", DAY, AT, kind="k" * 33), "longer than 32 characters"),
    (Reversal("r", "o", DAY, AT.replace(tzinfo=None)), "has no time zone"),
    (settling(OUT, reverses="x"), "both reverses an entry and settles a hold"),
    (settling(OUT, settles="a\tb"), "settles 'a\\tb' holds a control character"),
]


@pytest.mark.parametrize(("wrong", "message"), MALFORMED)
def test_an_order_that_can_never_be_taken_is_told_its_field(rich: Books, wrong: Order, message: str) -> None:
    [refused, held] = rich.ask(wrong, hold(OUT, reference="good"))
    assert isinstance(refused, Refused) and refused.reason is Reason.MALFORMED
    assert message in refused.message
    assert answers([held]) == ["held"]


def test_an_account_with_a_hold_does_not_close_and_a_reopened_one_takes_holds(books: Books) -> None:
    books.post(books.load("1", 500))
    books.ask(hold(replace(OUT, amount_fen=500)), hold(Line("agent:A", "purse:2", 5), reference="in"))
    not_empty = pytest.raises(AccountNotEmpty, match="purse:2 has 0 fen and 5 held; move them out first")
    with writing(books.engine) as conn, not_empty:
        close_account(conn, "purse:2", at=AT)
    books.ask(Void("in"))
    with writing(books.engine) as conn:
        close_account(conn, "purse:2", at=AT)
    onto = hold(Line("agent:A", "purse:2", 5), reference="again")
    assert answers(books.ask(onto)) == ["account_closed"]
    with writing(books.engine) as conn:
        reopen_account(conn, "purse:2", at=AT)
    assert answers(books.ask(onto)) == ["held"]
    assert_good(books)


def test_many_holds_of_one_call_come_and_go_with_it(rich: Books) -> None:
    five = [hold(replace(OUT, amount_fen=100), reference=f"h{number}") for number in range(5)]
    over = hold(replace(OUT, amount_fen=1), reference="h5")
    taken = settling(replace(OUT, amount_fen=40), settles="h0")
    assert answers(rich.ask(*five, over, Void("h1"), taken, over)) == [
        *["held"] * 5,
        "limit_exceeded",
        "voided",
        "posted",
        "held",
    ]
    with reading(rich.engine) as conn:
        assert free(conn, "purse:1") == Free(460, 301)
        assert check_books(conn) == []
    assert answers(rich.ask(*(Void(f"h{number}") for number in (2, 3, 4, 5)))) == ["voided"] * 4
    with reading(rich.engine) as conn:
        assert free(conn, "purse:1") == Free(460, 0)
    assert_good(rich)


@given(text=st.text(max_size=8), other=st.text(max_size=8))
def test_different_holds_never_have_the_same_content(text: str, other: str) -> None:
    one = hold(OUT, reference=text, narrative=other)
    two = hold(OUT, reference=other, narrative=text)
    assert (hold_content(one) == hold_content(two)) == (text == other)

"""Top-ups: in the wallet once the channel has confirmed, however late, often or wrongly it does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from clearing.online.topup import (
    TopUp,
    TopUpAccepted,
    TopUpAnswer,
    TopUpRefusal,
    TopUpRefused,
    TopUpState,
    confirm_topup,
    fail_topup,
    order_topup,
    pending_topups,
    stray_confirmations,
    topup_of,
    topups_of_holder,
)
from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, at
from tests.support.online_books import ANNA, BO, furnish, lock, moved_fen

ORDER = TopUp("app:77", ANNA, "ALIPAY", 5_000, at(9), expires_at=at(9, 30))
CREDITED = {"agent:ALIPAY": 5_000, f"wallet:{ANNA}": 5_000}


@pytest.fixture
def books(engine: Engine) -> Engine:
    furnish(engine)
    return engine


def ordered(engine: Engine, order: TopUp = ORDER) -> TopUpAnswer:
    with writing(engine) as conn:
        return order_topup(conn, order, at=at(9))


def confirmed(engine: Engine, reference: str = "app:77", **other: Any) -> TopUpAnswer:
    word: dict[str, Any] = {
        "channel_id": "ALIPAY", "channel_reference": "A-1", "amount_fen": 5_000, "business_date": DAY,
        "event_at": at(9, 10), "at": at(9, 11),
    }  # fmt: skip
    with writing(engine) as conn:
        return confirm_topup(conn, reference, **(word | other))


def failed(engine: Engine, channel_id: str = "ALIPAY") -> TopUpAnswer:
    with writing(engine) as conn:
        return fail_topup(conn, "app:77", channel_id=channel_id, event_at=at(9, 5))


def reason(answer: TopUpAnswer) -> TopUpRefusal:
    assert isinstance(answer, TopUpRefused)
    return answer.reason


def strays(engine: Engine) -> list[tuple[str, int, str]]:
    with reading(engine) as conn:
        return [(one.channel_reference, one.amount_fen, one.reason) for one in stray_confirmations(conn)]


def test_an_order_waits_for_the_channel_and_moves_nothing(books: Engine) -> None:
    assert ordered(books) == TopUpAccepted("app:77", first_time=True)
    assert ordered(books) == TopUpAccepted("app:77", first_time=False)
    assert ordered(books, replace(ORDER, event_at=at(10))) == TopUpAccepted("app:77", first_time=False)
    assert moved_fen(books) == {}
    with reading(books) as conn:
        (waiting,) = pending_topups(conn)
        assert pending_topups(conn, expired_at=at(9, 29)) == []
        assert pending_topups(conn, expired_at=at(9, 30)) == [waiting]
    assert (waiting.reference, waiting.amount_fen, waiting.ordered_at) == ("app:77", 5_000, at(9))


def test_a_confirmation_credits_the_wallet_once(books: Engine) -> None:
    ordered(books)
    assert confirmed(books) == TopUpAccepted("app:77", first_time=True)
    assert confirmed(books, event_at=at(12)) == TopUpAccepted("app:77", first_time=False)
    assert moved_fen(books) == CREDITED
    with reading(books) as conn:
        assert pending_topups(conn) == []
        (record,) = topups_of_holder(conn, ANNA)
        assert topup_of(conn, "app:77") == record
        assert check_books(conn) == []
    assert (record.state, record.channel_reference, record.late) == (TopUpState.CONFIRMED, "A-1", False)
    assert strays(books) == []


UNORDERED = [
    (replace(ORDER, reference="a\tb"), TopUpRefusal.MALFORMED),
    (replace(ORDER, channel_id="alipay"), TopUpRefusal.MALFORMED),
    (replace(ORDER, amount_fen=0), TopUpRefusal.AMOUNT_NOT_POSITIVE),
    (replace(ORDER, amount_fen=10**15), TopUpRefusal.AMOUNT_NOT_POSITIVE),
    (replace(ORDER, amount_fen=5_001), TopUpRefusal.REFERENCE_TAKEN),
    (replace(ORDER, holder=BO), TopUpRefusal.REFERENCE_TAKEN),
    (replace(ORDER, channel_id="WECHAT"), TopUpRefusal.REFERENCE_TAKEN),
    (replace(ORDER, reference="new", holder="H0000000033"), TopUpRefusal.HOLDER_UNKNOWN),
    (replace(ORDER, reference="new", holder="\0"), TopUpRefusal.HOLDER_UNKNOWN),
    (replace(ORDER, reference="new", holder=BO), TopUpRefusal.HOLDER_LOCKED),
]


def test_an_order_is_refused_for_the_first_reason_that_applies(books: Engine) -> None:
    ordered(books)
    with writing(books) as conn:
        lock(conn, BO)
    for order, expected in UNORDERED:
        assert reason(ordered(books, order)) is expected
    with reading(books) as conn:
        assert [one.reference for one in pending_topups(conn)] == ["app:77"]


STRAYS: list[tuple[dict[str, Any], TopUpRefusal]] = [
    ({"reference": "app:78"}, TopUpRefusal.TOPUP_UNKNOWN),
    ({"channel_id": "WECHAT"}, TopUpRefusal.CHANNEL_DIFFERS),
    ({"amount_fen": 4_999}, TopUpRefusal.AMOUNT_DIFFERS),
]


def test_a_confirmation_of_something_else_is_a_stray_and_books_nothing(books: Engine) -> None:
    ordered(books)
    for other, expected in STRAYS * 2:
        assert reason(confirmed(books, **other)) is expected
    assert moved_fen(books) == {}
    assert sorted(strays(books)) == sorted(
        ("A-1", other.get("amount_fen", 5_000), expected.value) for other, expected in STRAYS
    )
    assert confirmed(books) == TopUpAccepted("app:77", first_time=True)


def test_a_second_payment_of_one_order_is_a_stray(books: Engine) -> None:
    ordered(books)
    ordered(books, replace(ORDER, reference="app:78"))
    confirmed(books)
    assert reason(confirmed(books, channel_reference="A-2")) is TopUpRefusal.CONFIRMED_OTHERWISE
    assert reason(confirmed(books, "app:78")) is TopUpRefusal.CHANNEL_REFERENCE_TAKEN
    assert moved_fen(books) == CREDITED
    assert sorted(strays(books)) == [
        ("A-1", 5_000, "channel_reference_taken"), ("A-2", 5_000, "confirmed_otherwise"),
    ]  # fmt: skip


def test_a_late_confirmation_counts_and_says_so(books: Engine) -> None:
    ordered(books)
    with writing(books) as conn:
        tomorrow = begin_close(conn, DAY, at=at(23))
        finish_close(conn, DAY, at=at(23))
        lock(conn, ANNA)
    late: dict[str, Any] = {"event_at": at(9, 31), "business_date": tomorrow}
    assert reason(confirmed(books, event_at=at(9, 31))) is TopUpRefusal.LEDGER_REFUSES
    assert confirmed(books, **late) == TopUpAccepted("app:77", first_time=True, late=True)
    assert confirmed(books, **late) == TopUpAccepted("app:77", first_time=False, late=True)
    assert moved_fen(books) == CREDITED
    assert strays(books) == []


def test_a_failed_order_is_credited_if_the_channel_was_paid_after_all(books: Engine) -> None:
    ordered(books)
    assert reason(failed(books, "WECHAT")) is TopUpRefusal.CHANNEL_DIFFERS
    assert failed(books) == TopUpAccepted("app:77", first_time=True)
    assert failed(books) == TopUpAccepted("app:77", first_time=False)
    with reading(books) as conn:
        assert pending_topups(conn) == []
    assert confirmed(books) == TopUpAccepted("app:77", first_time=True, late=True)
    assert reason(failed(books)) is TopUpRefusal.CONFIRMED_OTHERWISE
    assert moved_fen(books) == CREDITED


def test_what_was_never_ordered_cannot_fail(books: Engine) -> None:
    assert reason(failed(books)) is TopUpRefusal.TOPUP_UNKNOWN


def test_a_confirmation_without_the_channels_number_is_malformed(books: Engine) -> None:
    ordered(books)
    assert reason(confirmed(books, channel_reference="")) is TopUpRefusal.MALFORMED
    assert strays(books) == []
    assert ORDER.expires_at is not None and ORDER.expires_at - ORDER.event_at == timedelta(minutes=30)

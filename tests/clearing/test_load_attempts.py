"""Offers that the office authorises or not: the first reason that applies, and money taken once a load."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine

from card.registry import CardRecord, register
from clearing.online.load_attempts import (
    AttemptRefusal,
    AttemptRefused,
    Booking,
    Offer,
    authorise_offer,
    booked_load,
    prove_by_counter,
    return_by_counter,
    waiting_loads,
)
from clearing.wire.bcd import pack_moment
from ledger.balances import balance
from ledger.day import open_day
from ledger.db import writing
from tests.support.clearing_day import DAY, ISSUER, at, card_no

CARD, BLOCKED = card_no(1), card_no(2)
MOMENT = pack_moment(at(9))
OFFER = Offer(CARD, 5, 1_000, 5_000, "518000000001", MOMENT, b"\1\2\3\4", MOMENT)
ELSEWHERE = replace(
    OFFER, terminal="518000000002", moment=pack_moment(at(10)), ordered_at=pack_moment(at(10))
)
FIRST = f"{CARD}:5"
BOOKING = Booking("AGENT-1", "", DAY)


@pytest.fixture
def books(engine: Engine) -> Engine:
    cards = [CardRecord(CARD, ISSUER, 1, 1, 0, at(0)), CardRecord(BLOCKED, ISSUER, 1, 1, 0, at(0), "blocked")]
    with writing(engine) as conn:
        open_day(conn, DAY, at=at(0))
        register(conn, cards, at=at(0))
    return engine


def offered(conn: Connection, offer: Offer, booking: Booking = BOOKING) -> str | AttemptRefusal:
    answer = authorise_offer(conn, offer, booking, at=at(9))
    return answer.reason if isinstance(answer, AttemptRefused) else answer


def given_back(conn: Connection, offer: Offer, seen: int) -> AttemptRefusal | None:
    refused = return_by_counter(conn, offer, seen, paid_by="AGENT-2", business_date=DAY, at=at(10))
    return None if refused is None else refused.reason


@pytest.mark.parametrize(
    ("offer", "booking", "reason"),
    [
        (replace(OFFER, card_no=BLOCKED, order="none"), BOOKING, AttemptRefusal.CARD_NOT_ACTIVE),
        (replace(OFFER, order="none", amount_fen=1), BOOKING, AttemptRefusal.LOAD_UNKNOWN),
        (replace(OFFER, counter=4, order=FIRST, amount_fen=1), BOOKING, AttemptRefusal.COUNTER_BEHIND),
        (replace(OFFER, amount_fen=1), BOOKING, AttemptRefusal.AMOUNT_DIFFERS),
        (ELSEWHERE, BOOKING, AttemptRefusal.UNFINISHED),
        (replace(OFFER, counter=6, amount_fen=0), BOOKING, AttemptRefusal.BOOKS_REFUSE),
        (
            replace(OFFER, counter=6),
            replace(BOOKING, business_date=at(0).date()),
            AttemptRefusal.BOOKS_REFUSE,
        ),
    ],
)
def test_an_offer_is_refused_for_the_first_reason_that_applies(
    books: Engine, offer: Offer, booking: Booking, reason: AttemptRefusal
) -> None:
    with writing(books) as conn:
        assert offered(conn, OFFER) == FIRST
        assert offered(conn, offer, booking) is reason
        assert balance(conn, "agent:AGENT-1").balance_fen == 5_000


def test_the_same_load_offered_again_takes_no_more_money_at_any_terminal(books: Engine) -> None:
    with writing(books) as conn:
        for offer in (OFFER, OFFER, replace(ELSEWHERE, order=FIRST)):
            assert offered(conn, offer) == FIRST
        (waiting,) = waiting_loads(conn, CARD)
        assert [one.terminal for one in waiting.attempts] == [OFFER.terminal] * 2 + [ELSEWHERE.terminal]
        assert (
            balance(conn, "agent:AGENT-1").balance_fen == balance(conn, f"load:{CARD}").balance_fen == 5_000
        )


def test_a_later_counter_proves_what_an_earlier_one_was_authorised_for(books: Engine) -> None:
    with writing(books) as conn:
        offered(conn, OFFER)
        assert prove_by_counter(conn, ELSEWHERE, DAY, at=at(10)) == []
        proofs = prove_by_counter(conn, replace(ELSEWHERE, counter=6), DAY, at=at(10))
        assert isinstance(proofs, list)
        (proof,) = proofs
        assert (proof.reference, proof.counter, proof.later_counter, proof.new_balance_fen) == (
            FIRST,
            5,
            6,
            6_000,
        )
        assert (waiting_loads(conn, CARD), balance(conn, f"purse:{CARD}").balance_fen) == ([], 5_000)
        assert offered(conn, OFFER) is AttemptRefusal.PROVED
        assert offered(conn, ELSEWHERE) is AttemptRefusal.COUNTER_BEHIND
        assert given_back(conn, replace(ELSEWHERE, order=FIRST), 1) is AttemptRefusal.PROVED


def test_a_load_goes_back_once_and_the_next_one_at_that_counter_is_another(books: Engine) -> None:
    back = replace(ELSEWHERE, order=FIRST)
    with writing(books) as conn:
        offered(conn, OFFER)
        assert given_back(conn, replace(back, order="none"), 0) is AttemptRefusal.LOAD_UNKNOWN
        assert given_back(conn, back, 0) is AttemptRefusal.UNFINISHED
        assert given_back(conn, replace(back, counter=4), 1) is AttemptRefusal.COUNTER_BEHIND
        assert given_back(conn, back, 1) is None
        assert given_back(conn, back, 1) is AttemptRefusal.RETURNED
        assert offered(conn, OFFER) is AttemptRefusal.RETURNED
        assert offered(conn, ELSEWHERE) == f"{FIRST}:1"
        found = booked_load(conn, ELSEWHERE)
        assert found is not None and found.reference == f"{FIRST}:1"
        assert booked_load(conn, replace(OFFER, counter=7)) is None
        agents = [balance(conn, f"agent:AGENT-{number}").balance_fen for number in (1, 2)]
        assert agents == [10_000, -5_000]


def test_a_counter_that_begins_with_the_same_digit_is_another(books: Engine) -> None:
    with writing(books) as conn:
        assert offered(conn, OFFER) == FIRST
        assert offered(conn, replace(ELSEWHERE, counter=50)) == f"{CARD}:50"
        assert balance(conn, f"purse:{CARD}").balance_fen == 5_000

"""Loads from a wallet: on the chip when proved, back in the wallet when not taken, and nowhere twice."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from card.registry import CardRecord, register
from clearing.online.load import (
    LoadAnswer,
    LoadBooked,
    LoadOrder,
    LoadProof,
    LoadRefusal,
    LoadRefused,
    authorise_loads,
    confirm_loads,
    pending_loads,
)
from clearing.online.wallet_load import LoadReturn, WalletLoad, order_wallet_loads, return_loads
from ledger.balances import totals
from ledger.checks import check_books
from ledger.db import reading, writing
from settlement.books import pending_loads_are_all_known
from tests.support.clearing_day import DAY, ISSUER, at, card_no
from tests.support.online_books import ANNA, BO, CARD, furnish, lock, moved_fen

LOAD = WalletLoad("app:load-1", ANNA, CARD, 3_000, DAY, at(9))
PROOF = LoadProof("app:load-1", 3_000, 1, b"\1\2\3\4", DAY, at(9, 1))
BACK = LoadReturn("app:load-1", DAY, at(9, 2), "load counter unmoved")
WALLET, PENDING, PURSE = f"wallet:{ANNA}", f"load:{CARD}", f"purse:{CARD}"


@pytest.fixture
def books(engine: Engine) -> Engine:
    furnish(engine)
    return engine


def ordered(engine: Engine, *loads: WalletLoad) -> list[LoadAnswer]:
    with writing(engine) as conn:
        return order_wallet_loads(conn, loads, at=at(9))


def proved(engine: Engine, *proofs: LoadProof) -> list[LoadAnswer]:
    with writing(engine) as conn:
        return confirm_loads(conn, proofs, at=at(9, 1))


def returned(engine: Engine, *returns: LoadReturn) -> list[LoadAnswer]:
    with writing(engine) as conn:
        return return_loads(conn, returns, at=at(9, 2))


def reasons(answers: list[LoadAnswer]) -> list[LoadRefusal]:
    return [answer.reason for answer in answers if isinstance(answer, LoadRefused)]


def sound(engine: Engine) -> list[str]:
    """What is waiting, in books without a finding."""
    with reading(engine) as conn:
        assert check_books(conn) == []
        assert pending_loads_are_all_known(conn, totals(conn)) == []
        return [load.reference for load in pending_loads(conn)]


def test_a_load_goes_from_the_wallet_to_the_chip_by_way_of_pending(books: Engine) -> None:
    again = replace(LOAD, event_at=at(10))
    assert ordered(books, LOAD, LOAD, again) == [
        LoadBooked("app:load-1", True), LoadBooked("app:load-1", False), LoadBooked("app:load-1", False),
    ]  # fmt: skip
    assert moved_fen(books) == {PENDING: 3_000, WALLET: -3_000}
    assert sound(books) == ["app:load-1"]
    assert proved(books, PROOF) == [LoadBooked("app:load-1", True)]
    assert moved_fen(books) == {PURSE: 3_000, WALLET: -3_000}
    assert sound(books) == []
    assert reasons(returned(books, BACK)) == [LoadRefusal.PROVED_BEFORE]
    assert moved_fen(books) == {PURSE: 3_000, WALLET: -3_000}


REFUSED = [
    (replace(LOAD, reference="x" * 65), LoadRefusal.MALFORMED),
    (replace(LOAD, card_no="\0"), LoadRefusal.MALFORMED),
    (replace(LOAD, amount_fen=0), LoadRefusal.AMOUNT_NOT_POSITIVE),
    (replace(LOAD, card_no=card_no(9)), LoadRefusal.CARD_UNKNOWN),
    (replace(LOAD, holder="H0000000033"), LoadRefusal.HOLDER_UNKNOWN),
    (replace(LOAD, holder="\ud800"), LoadRefusal.HOLDER_UNKNOWN),
    (replace(LOAD, holder=BO), LoadRefusal.HOLDER_LOCKED),
    (replace(LOAD, amount_fen=1), LoadRefusal.REFERENCE_TAKEN),
    (replace(LOAD, reference="new", amount_fen=10_001), LoadRefusal.INSUFFICIENT),
    (replace(LOAD, reference="new", business_date=at(0).date()), LoadRefusal.LEDGER_REFUSES),
]


def test_a_load_is_refused_for_the_first_reason_that_applies(books: Engine) -> None:
    with writing(books) as conn:
        lock(conn, BO)
    expected = [reason for _, reason in REFUSED]
    assert reasons(ordered(books, LOAD, *(load for load, _ in REFUSED))) == expected
    assert [reasons(ordered(books, load)) for load, _ in REFUSED] == [[reason] for reason in expected]
    assert moved_fen(books) == {PENDING: 3_000, WALLET: -3_000}
    assert sound(books) == ["app:load-1"]


def test_a_load_that_the_card_never_took_is_returned_once(books: Engine) -> None:
    ordered(books, LOAD)
    assert returned(books, BACK, BACK) == [LoadBooked("app:load-1", True), LoadBooked("app:load-1", False)]
    assert moved_fen(books) == {}
    assert sound(books) == []
    assert ordered(books, LOAD) == [LoadBooked("app:load-1", False)]
    assert moved_fen(books) == {}


def test_an_agents_load_is_returned_to_the_agent(books: Engine) -> None:
    with writing(books) as conn:
        authorise_loads(conn, [LoadOrder(CARD, 500, "AGENT-1", "A1-1", DAY, at(9))], at=at(9))
    assert moved_fen(books) == {"agent:AGENT-1": 500, PENDING: 500}
    assert returned(books, replace(BACK, reference="A1-1")) == [LoadBooked("A1-1", True)]
    assert moved_fen(books) == {}


def test_a_card_that_took_a_returned_load_after_all_holds_it_and_suspense_says_so(books: Engine) -> None:
    ordered(books, LOAD)
    returned(books, BACK)
    assert proved(books, PROOF, PROOF) == [LoadBooked("app:load-1", True), LoadBooked("app:load-1", False)]
    assert moved_fen(books) == {PURSE: 3_000, "suspense:load_returned": 3_000}
    assert returned(books, BACK) == [LoadBooked("app:load-1", False)]
    assert sound(books) == []


def test_nothing_comes_back_of_a_load_that_is_unknown_or_on_a_closed_day(books: Engine) -> None:
    ordered(books, LOAD)
    unknown, closed = replace(BACK, reference="\0"), replace(BACK, business_date=at(0).date())
    assert reasons(returned(books, unknown, closed)) == [LoadRefusal.LOAD_UNKNOWN, LoadRefusal.LEDGER_REFUSES]
    assert moved_fen(books) == {PENDING: 3_000, WALLET: -3_000}


def test_a_load_may_be_for_somebody_elses_card(books: Engine) -> None:
    with writing(books) as conn:
        register(conn, [CardRecord(card_no(2), ISSUER, 1, 1, 0, at(0))], at=at(0))
    assert ordered(books, replace(LOAD, holder=BO, card_no=card_no(2))) == [LoadBooked("app:load-1", True)]
    assert moved_fen(books) == {f"load:{card_no(2)}": 3_000, f"wallet:{BO}": -3_000}

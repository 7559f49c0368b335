"""The register of cards: what is entered once stays, and every card has its accounts."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from card.registry import CardRecord, find, register
from ledger.accounts import Conflict
from ledger.balances import balances
from ledger.db import reading, writing

NOW = datetime(2018, 9, 1, tzinfo=UTC)
CARD = CardRecord("03104870000000001234", "01011000", 1, 1, 0, NOW)


def test_a_registered_card_is_found_with_its_content_and_has_accounts(engine: Engine) -> None:
    other = replace(CARD, card_no="03104870000000001235", holder_class=3)
    with writing(engine) as conn:
        assert register(conn, [CARD, other, CARD], at=NOW) == 2
        assert register(conn, [CARD], at=NOW) == 0
        assert register(conn, [], at=NOW) == 0
    with reading(engine) as conn:
        assert find(conn, CARD.card_no) == CARD
        assert find(conn, other.card_no) == other
        assert find(conn, "0" * 20) is None
        assert [balance.code for balance in balances(conn)] == [
            f"{kind}:{card_no}" for kind in ("load", "purse") for card_no in (CARD.card_no, other.card_no)
        ]


@pytest.mark.parametrize("change", [{"holder_class": 2}, {"issuer": "02011000"}, {"key_version": 2}])
def test_the_same_number_with_other_content_is_a_conflict(engine: Engine, change: dict[str, object]) -> None:
    twin = replace(CARD, **change)  # type: ignore[arg-type]
    new = replace(CARD, card_no="03104870000000001239")
    with writing(engine) as conn:
        register(conn, [CARD], at=NOW)
        with pytest.raises(Conflict, match=CARD.card_no):
            register(conn, [new, twin], at=NOW)
        with pytest.raises(Conflict, match=new.card_no):
            register(conn, [new, replace(new, holder_class=3)], at=NOW)
        assert find(conn, new.card_no) is None


@pytest.mark.parametrize("card_no", ["", "123", "0310487000000000123X", "031048700000000012345"])
def test_a_number_that_is_none_is_refused_with_its_value(engine: Engine, card_no: str) -> None:
    with writing(engine) as conn, pytest.raises(ValueError, match=f"'{card_no}' is not 20 digits"):
        register(conn, [replace(CARD, card_no=card_no)], at=NOW)


def test_many_cards_are_registered_in_one_call(engine: Engine) -> None:
    cards = [replace(CARD, card_no=f"{n:020d}") for n in range(5_000)]
    with writing(engine) as conn:
        assert register(conn, cards, at=NOW) == 5_000
        assert register(conn, cards, at=NOW) == 0

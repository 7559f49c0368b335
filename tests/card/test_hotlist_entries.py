"""The hotlist: a card is listed once, with its deadline."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from card.hotlist import HotlistEntry, hotlist_card, hotlist_cards, hotlisted
from ledger.accounts import Conflict
from ledger.db import writing

NOW = datetime(2018, 9, 1, 4, tzinfo=UTC)
ENTRY = HotlistEntry("03104870000000001234", NOW, NOW + timedelta(days=1), "lost")


def test_a_card_listed_twice_alike_is_listed_once(engine: Engine) -> None:
    other = replace(ENTRY, card_no="03104870000000000001")
    with writing(engine) as conn:
        for entry in (ENTRY, other, ENTRY):
            hotlist_card(conn, entry)
        assert hotlisted(conn) == [other, ENTRY]


def test_a_listed_card_keeps_its_first_entry(engine: Engine) -> None:
    with writing(engine) as conn:
        hotlist_card(conn, ENTRY)
        with pytest.raises(Conflict, match=ENTRY.card_no):
            hotlist_card(conn, replace(ENTRY, reason="stolen"))
        assert hotlisted(conn) == [ENTRY]


def test_a_deadline_before_the_listing_is_refused(engine: Engine) -> None:
    with writing(engine) as conn, pytest.raises(ValueError, match="lies before listed_at"):
        hotlist_card(conn, replace(ENTRY, effective_at=NOW - timedelta(seconds=1)))


def test_cards_listed_together_keep_the_listings_that_were_there(engine: Engine) -> None:
    other = replace(ENTRY, card_no="03104870000000000001", reason="clone")
    with writing(engine) as conn:
        hotlist_card(conn, ENTRY)
        for _again in range(2):
            cards = [other.card_no, ENTRY.card_no]
            hotlist_cards(conn, cards, other.listed_at, other.effective_at, "clone")
        hotlist_cards(conn, [], other.listed_at, other.effective_at, "clone")
        assert hotlisted(conn) == [other, ENTRY]

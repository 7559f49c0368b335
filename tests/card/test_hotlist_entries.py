"""The hotlist: a card is listed once, with its deadline."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from card.hotlist import HotlistEntry, hotlist_card, hotlisted
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

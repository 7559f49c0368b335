"""What earlier returns left in suspense: listed with whose it is, ordered again once, and the rest explained."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from card.closing import Replaced, replace_card
from card.issue import block_card
from card.life import Act, LifeRefusal, LifeRefused, Moved
from clearing.online.load import MIGRATION
from clearing.online.migration import Migrated, move_balance
from clearing.online.migration_left import LeftBehind, left_behind, move_again
from clearing.online.wallet_load import LoadReturn, return_loads
from clearing.tables import chip_load
from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.clearing.test_card_ends import ACT, HELD_FEN, NEW, SPARE, loaded_card, open_till, town
from tests.support.clearing_day import at as moment
from tests.support.load_counters import DAY, B, Town

__all__ = ["town"]


def moved_card(town: Town, old: str, new: str) -> Act:
    """Replace a card and move its balance once that is due; the act of that day."""
    with writing(town.engine) as conn:
        made = replace_card(conn, old, new, replace(ACT, at=town.now), business_date=DAY)
        assert isinstance(made, Replaced)
    open_till(town, made.due_on)
    town.now = moment(9, day=made.due_on)
    act = replace(ACT, at=town.now)
    with writing(town.engine) as conn:
        assert isinstance(move_balance(conn, old, act, business_date=made.due_on), Migrated)
    return act


def given_back_as_earlier(town: Town, reference: str, act: Act) -> None:
    """The return as it was booked once: to where the money had come from."""
    with writing(town.engine) as conn:
        return_loads(conn, [LoadReturn(reference, act.at.date(), act.at, "as it was")], at=act.at)


def test_what_a_return_left_is_listed_and_waits_for_the_card_again_once(town: Town) -> None:
    old = loaded_card(town)
    act = moved_card(town, old, NEW)
    reference = f"{MIGRATION}:{old}"
    given_back_as_earlier(town, reference, act)
    assert abs(town.fen("suspense:migration")) == HELD_FEN
    with writing(town.engine) as conn:
        (left,) = left_behind(conn)
        assert left == LeftBehind(reference, old, NEW, "active", "", HELD_FEN, act.at)
        assert f"move-again {reference}" in left.remedy
        made = move_again(conn, reference, act, business_date=act.at.date())
        assert made == Migrated(old, NEW, HELD_FEN, f"{reference}:again")
        assert left_behind(conn) == []
        twice = move_again(conn, reference, act, business_date=act.at.date())
        assert isinstance(twice, LifeRefused) and twice.reason is LifeRefusal.CARD_UNKNOWN
        assert check_books(conn) == []
    card = town.factory_card(NEW)
    assert town.do(B, card, "complete") == "done"
    assert (card.state.purse.balance_fen, town.fen("suspense:migration")) == (HELD_FEN, 0)


def test_a_return_that_a_counter_paid_out_left_nothing(town: Town) -> None:
    moved_card(town, loaded_card(town), NEW)
    assert town.do(B, town.factory_card(NEW), "give_back") == "done"
    with reading(town.engine) as conn:
        assert left_behind(conn) == []


def test_what_went_on_to_the_card_after_next_left_nothing_and_what_stayed_is_that_cards(town: Town) -> None:
    old = loaded_card(town)
    act = moved_card(town, old, NEW)
    with writing(town.engine) as conn:
        made = replace_card(conn, NEW, SPARE, act, business_date=act.at.date())
        assert isinstance(made, Replaced)
    with reading(town.engine) as conn:
        assert left_behind(conn) == []
    given_back_as_earlier(town, f"{MIGRATION}:{old}", act)
    with reading(town.engine) as conn:
        (left,) = left_behind(conn)
    assert (left.old_card, left.card_no, left.state) == (old, SPARE, "active")


def test_a_load_taken_over_for_the_next_card_left_nothing(town: Town) -> None:
    old = loaded_card(town)
    act = moved_card(town, old, NEW)
    with writing(town.engine) as conn:
        made = replace_card(conn, NEW, SPARE, act, business_date=act.at.date())
        assert isinstance(made, Replaced)
    open_till(town, made.due_on, act.at.date())
    with writing(town.engine) as conn:
        later = replace(act, at=moment(10, day=made.due_on))
        move_balance(conn, NEW, later, business_date=made.due_on)
        returned = conn.scalars(select(chip_load.c.returned_at).where(chip_load.c.returned_at.is_not(None)))
        assert list(returned) == [later.at]
        assert left_behind(conn) == []
        assert balance(conn, "suspense:migration").balance_fen == 0


def test_a_card_that_cannot_take_it_now_is_said_with_the_remedy(town: Town) -> None:
    old = loaded_card(town)
    act = moved_card(town, old, NEW)
    given_back_as_earlier(town, f"{MIGRATION}:{old}", act)
    with writing(town.engine) as conn:
        assert isinstance(block_card(conn, NEW, act), Moved)
        refused = move_again(conn, f"{MIGRATION}:{old}", act, business_date=act.at.date())
    assert isinstance(refused, LifeRefused)
    assert refused.reason is LifeRefusal.NOT_IN_THIS_STATE
    assert f"unblock or replace card {NEW}" in refused.message


@pytest.mark.parametrize(
    ("state", "remedy"),
    [("issued", "activate card"), ("lost", "find or replace"), ("closed", "takes no load any more")],
)
def test_every_state_of_the_card_has_its_remedy(state: str, remedy: str) -> None:
    left = LeftBehind("migration:1", "1", "2", state, "", 5, moment(9))
    assert remedy in left.remedy

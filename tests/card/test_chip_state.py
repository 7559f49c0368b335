"""A card put away as a document and taken out again."""

import json
import pickle
from datetime import date
from typing import Any

import pytest

from card.chip.files import PublicData, Region
from card.chip.purse import Done, Purse
from card.chip.state import CardState, StateError, new_state, state_from_json, state_to_json

PUBLIC = PublicData("01011000", "03104870000000001234", 2, date(2026, 1, 1), date(2036, 12, 31))
USED = CardState(
    public=PUBLIC.pack(),
    region=Region().pack(),
    purse=Purse(9_800, 800, 0x37, 6, 14, Done(9, 0x37, b"MAC2", b"TAC."), bytes(range(46))),
    trips=bytes(96),
    paid_area=bytes(128),
    key_version=2,
    algorithm=1,
)


@pytest.mark.parametrize("state", [new_state(PUBLIC, key_version=1), USED])
def test_a_card_comes_back_from_json_and_pickle_as_it_was(state: CardState) -> None:
    assert state_from_json(json.loads(json.dumps(state_to_json(state)))) == state
    assert pickle.loads(pickle.dumps(state)) == state  # noqa: S301 - our own bytes, in a test


def test_no_pin_is_in_a_cards_repr() -> None:
    assert "739152" not in repr(new_state(PUBLIC, key_version=1, pin=b"739152"))


def test_a_new_card_is_empty_and_carries_its_holder_class() -> None:
    state = new_state(PUBLIC, key_version=1)
    assert state.purse == Purse(balance_fen=0, purchase_sequence=0, load_sequence=0)
    assert state.public[28] == 2
    assert state.region.hex() == "0000015658005840000001"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balance_fen", -1),
        ("balance_fen", 1 << 31),
        ("balance_fen", True),
        ("balance_fen", "100"),
        ("balance_fen", 1.0),
        ("purchase_sequence", 1 << 16),
        ("load_sequence", None),
        ("mac_tries_left", 16),
        ("algorithm", 2),
        ("public", "00"),
        ("public", "xyz"),
        ("log", "00"),
        ("log", "00" * 23 * 11),
        ("trips", 5),
        ("done", [9, 55, "00000000"]),
        ("done", [9, 55, "00", "00000000"]),
        ("done", "yes"),
    ],
)
def test_a_document_that_holds_no_card_names_the_field(name: str, value: Any) -> None:
    with pytest.raises(StateError) as refused:
        state_from_json({**state_to_json(USED), name: value})
    assert refused.value.field == name


LATER = {"lock", "authentication_tries_left", "pin", "pin_tries_left"}
"""Fields that cards put away earlier have not."""


def test_a_card_put_away_before_there_were_locks_is_open_and_has_no_pin() -> None:
    document = {name: value for name, value in state_to_json(USED).items() if name not in LATER}
    assert state_from_json(document) == USED


@pytest.mark.parametrize("name", sorted(set(state_to_json(USED)) - {"done"} - LATER))
def test_a_document_without_a_field_names_it(name: str) -> None:
    document = state_to_json(USED)
    del document[name]
    with pytest.raises(StateError, match=name):
        state_from_json(document)

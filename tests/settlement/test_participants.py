"""Participants: registered once, with particulars a bank accepts."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from ledger.accounts import Conflict
from ledger.db import reading, writing
from settlement.participants import participants_of, register_participants
from tests.settlement.small_day import MORNING, PARTICIPANTS

METRO = PARTICIPANTS[1]


def test_registering_again_changes_nothing(engine: Engine) -> None:
    with writing(engine) as conn:
        assert register_participants(conn, PARTICIPANTS, at=MORNING) == 3
        assert register_participants(conn, PARTICIPANTS[::-1], at=MORNING) == 0
    with reading(engine) as conn:
        assert participants_of(conn) == {one.id: one for one in sorted(PARTICIPANTS, key=lambda one: one.id)}
        assert list(participants_of(conn, ["METRO-1", "NOBODY"]).values()) == [METRO]


def test_another_account_under_a_known_id_is_a_conflict(engine: Engine) -> None:
    other = replace(METRO, account_no="1")
    with writing(engine) as conn:
        register_participants(conn, [METRO], at=MORNING)
        with pytest.raises(Conflict, match="METRO-1"):
            register_participants(conn, [other], at=MORNING)
        with pytest.raises(Conflict, match="METRO-1"):
            register_participants(conn, [METRO, other], at=MORNING)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "metro"),
        ("id", "A" * 17),
        ("account_no", ""),
        ("account_no", "1" * 35),
        ("bank_code", "10258400291"),
        ("bank_code", "10258400291X"),
        ("name", " "),
        ("name", "Metro\x00"),
        ("name_zh", "深" * 141),
        ("bank_name", "B" * 141),
    ],
)
def test_impossible_particulars_are_refused_by_field_and_value(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=field) as refused:
        replace(METRO, **{field: value})
    assert repr(value) in str(refused.value)

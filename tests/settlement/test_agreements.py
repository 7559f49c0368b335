"""Agreements: the fee, its bounds, and one agreement a day."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from ledger.accounts import Conflict
from ledger.db import reading, writing
from settlement.agreements import Agreement, Cycle, agreements_on, register_agreements
from settlement.participants import register_participants
from tests.settlement.small_day import MORNING, PARTICIPANTS

OLD = Agreement("METRO-1", 60, date(2018, 1, 1), date(2018, 8, 31), fee_min_fen=100)
NEW = Agreement("METRO-1", 50, date(2018, 9, 1), cycle=Cycle.SAME_DAY, fee_max_fen=10_000)


@given(gross_fen=st.integers(0, 10**13), fee_bp=st.integers(0, 10_000))
def test_operator_and_fee_share_exactly_the_gross(gross_fen: int, fee_bp: int) -> None:
    net_fen, fee_fen = Agreement("METRO-1", fee_bp, date(2018, 1, 1)).share(gross_fen)
    assert net_fen + fee_fen == gross_fen
    assert abs(fee_fen * 10_000 - gross_fen * fee_bp) < 10_000


@pytest.mark.parametrize(
    ("gross_fen", "least_fen", "most_fen", "fee_fen"),
    [
        (0, 500, None, 0),
        (300, 500, None, 300),  # a minimum never takes more than there is
        (10_000, 500, None, 500),
        (1_000_000, 500, None, 6_000),
        (1_000_000, 0, 5_000, 5_000),
        (833, 0, None, 5),  # 4.998 fen
    ],
)
def test_the_fee_stays_within_its_bounds(
    gross_fen: int, least_fen: int, most_fen: int | None, fee_fen: int
) -> None:
    terms = Agreement("METRO-1", 60, date(2018, 1, 1), fee_min_fen=least_fen, fee_max_fen=most_fen)
    assert terms.share(gross_fen) == (gross_fen - fee_fen, fee_fen)


def test_the_agreement_in_force_is_found_by_date(engine: Engine) -> None:
    with writing(engine) as conn:
        register_participants(conn, PARTICIPANTS, at=MORNING)
        assert register_agreements(conn, [OLD, NEW], at=MORNING) == 2
        assert register_agreements(conn, [NEW, OLD], at=MORNING) == 0
    with reading(engine) as conn:
        assert agreements_on(conn, date(2018, 8, 31)) == {"METRO-1": OLD}
        assert agreements_on(conn, date(2018, 9, 1)) == {"METRO-1": NEW}
        assert agreements_on(conn, date(2017, 12, 31)) == {}


@pytest.mark.parametrize(
    "rival",
    [
        Agreement("METRO-1", 61, date(2018, 1, 1), date(2018, 8, 31)),
        Agreement("METRO-1", 60, date(2018, 8, 31)),
        Agreement("METRO-1", 60, date(2017, 1, 1)),
    ],
)
def test_two_agreements_never_hold_on_one_day(engine: Engine, rival: Agreement) -> None:
    with writing(engine) as conn:
        register_participants(conn, PARTICIPANTS, at=MORNING)
        register_agreements(conn, [OLD], at=MORNING)
        with pytest.raises(Conflict, match="agreement of METRO-1"):
            register_agreements(conn, [rival], at=MORNING)


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ({"fee_bp": 10_001}, "fee_bp 10001"),
        ({"fee_bp": -1}, "fee_bp -1"),
        ({"fee_bp": 1, "fee_min_fen": -1}, "fee_min_fen -1"),
        ({"fee_bp": 1, "fee_min_fen": 5, "fee_max_fen": 4}, "fee_max_fen 4"),
        ({"fee_bp": 1, "valid_to": date(2017, 12, 31)}, "valid_to 2017-12-31"),
    ],
)
def test_impossible_terms_are_refused_by_name(terms: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Agreement(participant="METRO-1", valid_from=date(2018, 1, 1), **terms)

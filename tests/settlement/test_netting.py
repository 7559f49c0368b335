"""Netting: nothing is lost between what was taken and what is paid."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import Entry
from settlement.agreements import Agreement
from settlement.netting import (
    NettingRefusal,
    Position,
    Refused,
    Role,
    Standing,
    net_entries,
    net_positions,
)
from tests.settlement.small_day import AT, DAY

SINCE = date(2018, 1, 1)
PARTIES = st.sampled_from(["METRO-1", "METRO-2", "BUS-1", "HOSPITAL-9", "BUS-22"])
AMOUNTS = st.integers(-(10**9), 10**12)


@st.composite
def agreements(draw: st.DrawFn, party: str) -> Agreement:
    least_fen = draw(st.integers(0, 500))
    most_fen = draw(st.none() | st.integers(least_fen, 10**6))
    return Agreement(party, draw(st.integers(0, 10_000)), SINCE, fee_min_fen=least_fen, fee_max_fen=most_fen)


@st.composite
def nights(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int], dict[str, Agreement]]:
    """What participants are owed, from whom it was taken, and the agreements."""
    gross_fen = draw(st.dictionaries(PARTIES, AMOUNTS))
    total = sum(gross_fen.values())
    from_wallets = draw(st.integers(-(10**9), 10**9))
    payers_fen = {"purse": total - from_wallets, "wallet": from_wallets}
    return gross_fen, payers_fen, {party: draw(agreements(party)) for party in gross_fen}


def netted(
    gross_fen: dict[str, int], payers_fen: dict[str, int], terms: dict[str, Agreement]
) -> tuple[Position, ...]:
    positions = net_positions(gross_fen, payers_fen, terms, gross_fen)
    assert not isinstance(positions, Refused)
    return positions


@given(nights())
def test_positions_sum_to_zero_and_fee_and_net_make_the_gross(
    night: tuple[dict[str, int], dict[str, int], dict[str, Agreement]],
) -> None:
    gross_fen, _, terms = night
    positions = netted(*night)
    participants = {row.party: row for row in positions if row.role is Role.PARTICIPANT}
    assert sum(row.position_fen for row in positions) == 0
    assert {party: row.gross_fen for party, row in participants.items()} == {
        party: amount for party, amount in gross_fen.items() if amount
    }
    for row in participants.values():
        assert row.fee_fen + row.position_fen == row.gross_fen
        assert 0 <= row.fee_fen <= max(row.gross_fen, 0)
        assert (row.standing is Standing.CARRIED) == (row.gross_fen < 0)
    assert sum(row.fee_fen for row in participants.values()) == next(
        row.position_fen for row in positions if row.role is Role.SCHEME
    )
    assert set(terms) >= set(participants)


@given(nights())
def test_the_order_in_which_parties_come_does_not_matter(
    night: tuple[dict[str, int], dict[str, int], dict[str, Agreement]],
) -> None:
    gross_fen, payers_fen, terms = night
    turned = netted(
        dict(reversed(gross_fen.items())),
        dict(reversed(payers_fen.items())),
        dict(reversed(terms.items())),
    )
    assert turned == netted(*night)


@given(nights())
def test_entries_empty_the_clearing_accounts_of_those_netted(
    night: tuple[dict[str, int], dict[str, int], dict[str, Agreement]],
) -> None:
    positions = netted(*night)
    entries: list[Entry] = net_entries(positions, DAY, event_at=AT)
    due = {row.party: row for row in positions if row.standing is Standing.NETTED}
    assert [entry.reference for entry in entries] == [f"net:2018-09-01:{party}" for party in due]
    for entry in entries:
        row = due[entry.reference.rpartition(":")[2]]
        assert {line.debit for line in entry.lines} == {f"clearing:{row.party}"}
        assert sum(line.amount_fen for line in entry.lines) == row.gross_fen
        moved = {line.credit: line.amount_fen for line in entry.lines}
        assert moved.get("income:fee", 0) == row.fee_fen
        assert moved.get(f"payable:{row.party}", 0) == row.position_fen


@given(nights(), st.integers(-100, 100).filter(bool))
def test_a_single_fen_without_a_source_stops_the_netting(
    night: tuple[dict[str, int], dict[str, int], dict[str, Agreement]], extra_fen: int
) -> None:
    gross_fen, payers_fen, terms = night
    payers_fen = payers_fen | {"purse": payers_fen["purse"] + extra_fen}
    refused = net_positions(gross_fen, payers_fen, terms, gross_fen)
    assert isinstance(refused, Refused)
    assert refused.refusal is NettingRefusal.POSITIONS_DIFFER
    assert f"{-extra_fen} fen and not to zero" in refused.message


TERMS = {"METRO-1": Agreement("METRO-1", 60, SINCE)}


@pytest.mark.parametrize(
    ("gross_fen", "payers_fen", "known", "refusal", "named"),
    [
        ({"GHOST": 5}, {}, ["METRO-1"], NettingRefusal.PARTICIPANT_UNKNOWN, "GHOST"),
        ({"GHOST": -5}, {}, ["METRO-1"], NettingRefusal.PARTICIPANT_UNKNOWN, "GHOST"),
        ({"BUS-1": 5}, {}, ["BUS-1"], NettingRefusal.AGREEMENT_MISSING, "BUS-1"),
        ({"METRO-1": 5}, {"purse": 4}, ["METRO-1"], NettingRefusal.POSITIONS_DIFFER, "1 fen"),
    ],
)
def test_the_first_refusal_that_applies_is_given_with_a_name(
    gross_fen: dict[str, int],
    payers_fen: dict[str, int],
    known: list[str],
    refusal: NettingRefusal,
    named: str,
) -> None:
    refused = net_positions(gross_fen, payers_fen, TERMS, known)
    assert isinstance(refused, Refused)
    assert refused.refusal is refusal
    assert named in refused.message
    assert refused.remedy


def test_a_participant_that_did_not_move_needs_no_agreement() -> None:
    assert netted({"BUS-1": 0}, {}, {}) == (Position(Role.SCHEME, "SCHEME", 0, 0, 0, Standing.COUNTERPART),)

"""What a terminal obeys: taken when it is signed and newer, kept through a restart, never rolled back."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearing.wire.batch import Ride
from clearing.wire.bcd import pack_moment
from clearing.wire.hotlist import numbers_of, write_hotlist
from clearing.wire.signed import Kind
from terminals.holdings import Holdings, Receipt
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Refusal
from terminals.sam import HsmSam
from terminals.settings import SettingsError, parse_settings
from terminals.standing import facts_of
from terminals.trip import Identity
from terminals.validator import Validator
from tests.terminals.depot import AT, BUS, EXIT, GATE, PUBLIC, TARIFF, Depot
from tests.terminals.signed_files import (
    KEYS,
    MADE,
    SETTINGS,
    change_of,
    document,
    settings_text,
    signer_by,
    tariff_text,
    whole_list,
)

A, B, C = (f"0310487{card:013d}" for card in (1, 2, 3))


@pytest.fixture
def holdings(tmp_path: Path) -> Holdings:
    return Holdings(tmp_path / "held", KEYS, GATE)


def reopened(tmp_path: Path) -> Holdings:
    return Holdings(tmp_path / "held", KEYS, GATE)


def test_whole_lists_and_changes_follow_each_other_and_a_gap_asks_for_the_whole(
    holdings: Holdings, tmp_path: Path
) -> None:
    first = whole_list(3, [A, B])
    second = change_of(first, 4, [B, C])
    assert holdings.take(second) is Receipt.GAP
    assert holdings.hotlist == Hotlist(0)
    assert holdings.take(first) is Receipt.TAKEN
    assert holdings.take(second) is Receipt.TAKEN
    assert [card in holdings.hotlist.cards for card in (A, B, C)] == [False, True, True]

    gap = change_of(whole_list(5, [A]), 6, [A, C])
    assert holdings.take(gap) is Receipt.GAP
    assert holdings.hotlist.version == 4
    assert holdings.take(whole_list(6, [A, C])) is Receipt.TAKEN
    again = reopened(tmp_path)
    assert again.hotlist.version == 6
    assert [card in again.hotlist.cards for card in (A, B, C)] == [True, False, True]


def test_no_file_goes_back_and_no_number_means_two_contents(holdings: Holdings) -> None:
    assert holdings.take(whole_list(3, [A])) is Receipt.TAKEN
    assert holdings.take(whole_list(3, [A])) is Receipt.HELD
    assert holdings.take(whole_list(3, [B])) is Receipt.CHANGED
    assert holdings.take(whole_list(2, [])) is Receipt.OLDER
    assert holdings.take(document(Kind.TARIFF, tariff_text(version=5))) is Receipt.TAKEN
    assert holdings.take(document(Kind.TARIFF, tariff_text(version=5))) is Receipt.HELD
    assert holdings.take(document(Kind.TARIFF, tariff_text(version=5, name="other"))) is Receipt.CHANGED
    assert holdings.take(document(Kind.TARIFF, tariff_text(version=4))) is Receipt.OLDER
    assert holdings.take(document(Kind.SETTINGS, settings_text(version=2))) is Receipt.TAKEN
    assert holdings.take(document(Kind.SETTINGS, settings_text(version=1))) is Receipt.OLDER
    assert holdings.versions == {"hotlist": 3, "tariff": 5, "settings": 2}
    assert A in holdings.hotlist.cards


def test_what_is_forged_or_cannot_be_obeyed_changes_nothing(holdings: Holdings, tmp_path: Path) -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = write_hotlist(9, pack_moment(MADE), numbers_of([A]), signer_by(stranger))
    assert holdings.take(forged) is Receipt.FORGED
    bad: list[bytes] = [
        b"", b"OHL2", document(Kind.TARIFF, "{}", version=1), document(Kind.SETTINGS, "[]", version=1),
        document(Kind.SETTINGS, settings_text(version=2), version=3),
        document(Kind.TARIFF, settings_text(), version=1),
    ]  # fmt: skip
    assert {holdings.take(data) for data in bad} == {Receipt.UNREADABLE}
    other = document(Kind.SETTINGS, settings_text(terminal="518000000077"))
    assert holdings.take(other) is Receipt.NOT_OURS
    assert list((tmp_path / "held").iterdir()) == []
    assert holdings.versions == {"hotlist": 0, "tariff": 0, "settings": 0}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.sets(st.sampled_from([A, B, C])))))
def test_in_whatever_order_files_come_the_version_only_rises(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[tuple[int, bool, set[str]]]
) -> None:
    folder = tmp_path_factory.mktemp("held")
    holdings, version, cards, whole = Holdings(folder, KEYS, GATE), 0, set[str](), b""
    for number, incremental, listed in arrivals:
        if incremental and whole and number > version:
            data = change_of(whole, number, listed)
        else:
            data = whole_list(number, listed)
        receipt = holdings.take(data)
        assert (receipt is Receipt.TAKEN) == (number > version)
        if number > version:
            version, cards, whole = number, listed, whole_list(number, listed)
        for held in (holdings, Holdings(folder, KEYS, GATE)):
            assert held.hotlist.version == version
            assert {card for card in (A, B, C) if card in held.hotlist.cards} == cards


def test_yesterdays_taps_are_priced_by_yesterdays_tariff_and_old_ones_are_dropped(
    holdings: Holdings, tmp_path: Path
) -> None:
    for version in range(1, 13):
        first_day = date(2026, 1, 1) + timedelta(days=10 * version)
        text = tariff_text(version=version, valid_from=first_day.isoformat())
        assert holdings.take(document(Kind.TARIFF, text)) is Receipt.TAKEN
    for held in (holdings, reopened(tmp_path)):
        chosen = [held.tariff(date(2026, 1, 1) + timedelta(days=10 * version)) for version in (12, 11, 5, 4)]
        assert [None if tariff is None else tariff.version for tariff in chosen] == [12, 11, 5, None]
        assert held.versions["tariff"] == 12
    assert len(list((tmp_path / "held").iterdir())) == 8


@pytest.mark.parametrize(
    "spoil", [lambda data: b"", lambda data: data[:-1], lambda data: data[:20] + b"?" + data[21:]]
)
def test_a_file_damaged_on_the_terminals_disk_is_as_good_as_none_and_comes_again(
    holdings: Holdings, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    files = [
        whole_list(3, [A]), document(Kind.TARIFF, tariff_text(version=5)),
        document(Kind.SETTINGS, settings_text(version=2)),
    ]  # fmt: skip
    assert [holdings.take(data) for data in files] == [Receipt.TAKEN] * 3
    names = sorted(path.name for path in (tmp_path / "held").iterdir())
    for path in (tmp_path / "held").iterdir():
        path.write_bytes(spoil(path.read_bytes()))
    again = reopened(tmp_path)
    assert sorted(again.damaged) == names
    assert again.versions == {"hotlist": 0, "tariff": 0, "settings": 0}
    assert [again.take(data) for data in files] == [Receipt.TAKEN] * 3
    assert reopened(tmp_path).damaged == []


def test_a_list_on_the_disk_that_was_made_to_look_like_a_change_is_not_believed(
    holdings: Holdings, tmp_path: Path
) -> None:
    assert holdings.take(whole_list(3, [A, B])) is Receipt.TAKEN
    path = tmp_path / "held" / "hotlist.ohl"
    shortened = bytearray(path.read_bytes())
    shortened[114:124] = bytes.fromhex("0001 00000001 00000001")
    path.write_bytes(shortened)
    again = reopened(tmp_path)
    assert (again.damaged, again.hotlist.version) == (["hotlist.ohl"], 0)


def equipped(depot: Depot, outbox: Outbox, holdings: Holdings) -> Validator:
    sam = HsmSam(GATE, depot.hsm, outbox)
    return Validator(Identity(GATE), sam, outbox, TARIFF, Hotlist(7), holdings=holdings)


def test_the_versions_in_force_go_into_every_record(depot: Depot, outbox: Outbox, holdings: Holdings) -> None:
    validator = equipped(depot, outbox, holdings)
    versions: list[tuple[int, int]] = []
    for data in (
        b"", whole_list(30, [A]), document(Kind.TARIFF, tariff_text(version=8)),
        document(Kind.TARIFF, tariff_text(version=9, valid_from="2026-02-01")),
    ):  # fmt: skip
        holdings.take(data)
        card = depot.card(purchase_sequence=len(versions))
        record = validator.tap(card, BUS, at=AT + timedelta(seconds=1)).record
        assert record is not None
        versions.append((record.tariff_version, record.hotlist_version))
    assert versions == [(1, 7), (1, 30), (8, 30), (8, 30)]
    february = validator.tap(depot.card(), BUS, at=AT + timedelta(days=2)).record
    assert february is not None
    assert february.tariff_version == 9


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({}, None),
        ({"issuers": None}, None),
        ({"issuers": ["02021000"]}, Refusal.ISSUER_UNKNOWN),
        ({"holder_classes": ["half", "free"]}, Refusal.CLASS_UNKNOWN),
        ({"clock_behind_s": 0}, None),
        ({"offline_hours": 1}, None),
        ({"capacity": 1}, None),
    ],
)
def test_settings_from_afar_hold_at_the_next_tap(
    depot: Depot, outbox: Outbox, holdings: Holdings, changed: dict[str, Any], refusal: Refusal | None
) -> None:
    holdings.take(document(Kind.SETTINGS, settings_text(**changed)))
    assert holdings.settings is not None
    facts = facts_of(holdings.settings)
    assert (facts.ride, facts.list_fare_fen, facts.line) == (Ride.BUS, 200, 1)
    outcome = equipped(depot, outbox, holdings).tap(depot.card(), facts, at=AT)
    assert outcome.refusal is refusal


@pytest.mark.parametrize(
    ("after", "refusal"),
    [
        (timedelta(seconds=-301), Refusal.CLOCK_WRONG),
        (timedelta(seconds=-300), None),
        (timedelta(hours=168), None),
        (timedelta(hours=168, seconds=1), Refusal.CLOCK_WRONG),
    ],
)
def test_a_clock_before_the_newest_file_or_too_long_after_it_is_not_believed(
    depot: Depot, outbox: Outbox, holdings: Holdings, after: timedelta, refusal: Refusal | None
) -> None:
    holdings.take(document(Kind.SETTINGS, settings_text()))
    assert equipped(depot, outbox, holdings).tap(depot.card(), BUS, at=MADE + after).refusal is refusal


def test_a_clock_set_back_behind_the_last_ride_is_not_believed(
    depot: Depot, outbox: Outbox, holdings: Holdings
) -> None:
    holdings.take(document(Kind.SETTINGS, settings_text(issuers=None)))
    validator = equipped(depot, outbox, holdings)
    assert validator.tap(depot.card(), BUS, at=AT).opened
    other = depot.card(PUBLIC)
    assert validator.tap(other, EXIT, at=AT - timedelta(seconds=301)).refusal is Refusal.CLOCK_WRONG
    assert outbox.newest_moment() == AT


def test_a_terminals_own_bound_fills_before_the_depots(
    depot: Depot, outbox: Outbox, holdings: Holdings
) -> None:
    holdings.take(document(Kind.SETTINGS, settings_text(capacity=1)))
    validator = equipped(depot, outbox, holdings)
    assert validator.tap(depot.card(), BUS, at=AT).opened
    assert validator.tap(depot.card(), EXIT, at=AT).refusal is Refusal.OUTBOX_FULL


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"version": 0}, "version"),
        ({"terminal": "5180"}, "terminal"),
        ({"ride": "tram"}, "ride"),
        ({"line": -1}, "line"),
        ({"fares": {}}, "fares"),
        ({"fares": {"flat_fen": 1, "by_entry_fen": {}}}, "fares"),
        ({"fares": {"flat_fen": "2"}}, "fares.flat_fen"),
        ({"fares": {"by_entry_fen": {}}}, "fares.by_entry_fen"),
        ({"fares": {"by_entry_fen": {"3-12": 1}}}, "fares.by_entry_fen.3-12"),
        ({"fares": {"by_entry_fen": {"3/70000": 1}}}, "fares.by_entry_fen.3/70000"),
        ({"holder_classes": []}, "holder_classes"),
        ({"holder_classes": ["child"]}, "holder_classes[0]"),
        ({"issuers": ["0101100g"]}, "issuers[0]"),
        ({"clock_behind_s": True}, "clock_behind_s"),
        ({"offline_hours": 0}, "offline_hours"),
        ({"capacity": 0}, "capacity"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_settings_that_cannot_be_obeyed_name_the_member(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(settings_text(**changed))
    assert refused.value.field == field
    assert str(refused.value).startswith(f"settings field {field} is ")


def test_settings_say_what_their_gate_stands_for() -> None:
    gate = parse_settings(
        settings_text(ride="metro_exit", line=3, station=12, fares={"by_entry_fen": {"3/4": 500, "1/2": 700}})
    )
    assert gate.fares_fen == {(3, 4): 500, (1, 2): 700}
    assert facts_of(gate).fares_fen == gate.fares_fen
    missing = {name: value for name, value in SETTINGS.items() if name != "capacity"}
    with pytest.raises(SettingsError, match="capacity"):
        parse_settings(json.dumps(missing))

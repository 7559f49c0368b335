"""The validator's decision: the worked dialogue byte by byte, every refusal, and cards that mean ill."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from card.chip.records import TripRecord
from clearing.wire.batch import Ride, TapRecord
from clearing.wire.bcd import CITY_ZONE, pack_moment
from terminals.display import REFUSED, Tone, shown
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Outcome, Refusal
from terminals.reader import Transmits
from terminals.sam import HsmSam
from terminals.validator import RideFacts, Validator
from tests.terminals.depot import (
    AT,
    BUS,
    CARD_NO,
    EXIT,
    GATE,
    NEXT_GATE,
    PUBLIC,
    TARIFF,
    Depot,
    ListeningSam,
    TearingCard,
)


def dialogue_of(text: str, title: str) -> list[str]:
    """Commands and answers of one section of the worked example, in order, without spaces and remarks."""
    section = text.split(f"## {title}", 1)[1].split("##", 1)[0]
    said = re.findall(r"[<>](?: PSAM)? ([0-9A-F ]+)", section)
    return [words.replace(" ", "") for words in said]


def test_the_worked_capp_purchase_runs_byte_by_byte(depot: Depot, shared_data: Path) -> None:
    depot.outbox.advance_sequence(GATE, 0x56)
    sam = ListeningSam(HsmSam(GATE, depot.hsm, depot.outbox))
    card = TearingCard(depot.card(rnd=bytes.fromhex("11223344")))
    outcome = depot.validator(sam=sam).tap(card, replace(BUS, full_fare=True), at=AT)

    text = (shared_data / "chip" / "worked_example.txt").read_text()
    (init, debit), (sam_init, sam_credit) = (
        [pair for pair in card.heard if pair[0][1] in (0x50, 0x54)],
        sam.heard,
    )
    said = [part.hex().upper() for pair in (init, sam_init, debit, sam_credit) for part in pair]
    assert said == dialogue_of(text, "CAPP PURCHASE (09)")[: len(said)]
    # The trip on the card is that of the trace over real PC/SC.
    (cached,) = (command for command, _ in card.heard if command[1] == 0xDC)
    assert f"U > {cached.hex().upper()}" in text
    assert outcome.opened
    assert outcome.balance_fen == card.card.state.purse.balance_fen == 9800
    assert outcome.record == TapRecord(
        ride=Ride.BUS, issuer="01011000", card_no=CARD_NO, counter=0x36, balance_before_fen=10000, amount_fen=200,
        kind=9, terminal=GATE, terminal_sequence=0x57, moment=pack_moment(AT), key_version=1, algorithm=0,
        tac=bytes.fromhex("800122FC"), list_fare_fen=200, holder_class=1, linked=False, full_fare=True, line=1,
        station=0, tariff_version=1, hotlist_version=7,
    )  # fmt: skip
    assert depot.outbox.records() == [outcome.record]
    assert [command[1] for command, _ in card.heard] == [0xA4, 0x5C, 0x50, 0xDC, 0x54]


@pytest.mark.parametrize(
    ("holder_class", "ride", "paid_fen", "trip_kind"),
    [
        (1, RideFacts(Ride.METRO_ENTRY, 0, line=5, station=3), 0, 3),
        (1, EXIT, 475, 4),
        (1, replace(EXIT, linked=True), 435, 4),
        (2, EXIT, 250, 4),
        (3, BUS, 0, 6),
        (2, replace(BUS, full_fare=True), 200, 6),
    ],
)
def test_the_fare_is_the_tariffs_and_the_trip_is_on_the_card(
    depot: Depot, holder_class: int, ride: RideFacts, paid_fen: int, trip_kind: int
) -> None:
    card = depot.card(replace(PUBLIC, holder_class=holder_class), balance_fen=500)
    outcome = depot.validator().tap(card, ride, at=AT)
    assert outcome.record is not None
    assert outcome.record.amount_fen == paid_fen
    assert depot.tac_holds(outcome.record)
    trip = TripRecord.unpack(card.state.trips[:48])
    assert (trip.kind, trip.amount_fen, trip.balance_fen) == (trip_kind, paid_fen, 500 - paid_fen)
    assert shown(outcome).tone is (Tone.ONE if holder_class == 1 else Tone.TWO)


Spoiler = Callable[[dict[str, Any]], None]


def make_full(facts: dict[str, Any]) -> None:
    facts["capacity"] = 0


SPOILERS: list[tuple[Refusal, Spoiler]] = [
    (Refusal.OUTBOX_FULL, make_full),
    (
        Refusal.TARIFF_NOT_IN_FORCE,
        lambda facts: facts.update(tariff=replace(TARIFF, valid_to=date(2026, 1, 30))),
    ),
    (Refusal.HOTLISTED, lambda facts: facts.update(hotlist=Hotlist(8, frozenset({CARD_NO})))),
    (Refusal.NOT_VALID, lambda facts: facts.update(expires=date(2026, 1, 30))),
    (Refusal.CLASS_UNKNOWN, lambda facts: facts.update(holder_class=0)),
    (Refusal.FARE_OUT_OF_BOUNDS, lambda facts: facts.update(list_fare_fen=2001)),
    (Refusal.INSUFFICIENT, lambda facts: facts.update(balance_fen=159)),
    (Refusal.SAM_UNAVAILABLE, lambda facts: facts.update(gone_at=0x70)),
]


def local(*parts: int) -> datetime:
    year, month, day, hour, minute, second = parts
    return datetime(year, month, day, hour, minute, second, tzinfo=CITY_ZONE)


def tapped(depot: Depot, tmp_path: Path, *spoilers: Spoiler) -> tuple[Outcome, int, int]:
    """Outcome, fen taken from the card, records kept."""
    facts: dict[str, Any] = {
        "capacity": 1, "tariff": TARIFF, "hotlist": Hotlist(7), "expires": PUBLIC.expires, "holder_class": 1,
        "list_fare_fen": 200, "balance_fen": 160, "gone_at": None,
    }  # fmt: skip
    for spoil in spoilers:
        spoil(facts)
    with Outbox(tmp_path / "spoilt.db", "off", capacity=facts["capacity"]) as outbox:
        spoilt = depot.with_outbox(outbox)
        public = replace(PUBLIC, expires=facts["expires"], holder_class=facts["holder_class"])
        card = spoilt.card(public, balance_fen=facts["balance_fen"])
        sam = ListeningSam(HsmSam(GATE, depot.hsm, outbox), gone_at=facts["gone_at"])
        validator = spoilt.validator(sam=sam, hotlist=facts["hotlist"])
        validator.tariff = facts["tariff"]
        outcome = validator.tap(card, replace(BUS, list_fare_fen=facts["list_fare_fen"]), at=AT)
        assert outbox.pendings() == []
        return outcome, facts["balance_fen"] - card.state.purse.balance_fen, len(outbox.records())


def test_cards_of_both_suites_ride_through_one_gate(depot: Depot) -> None:
    gate = depot.validator()
    numbers = {0: CARD_NO, 1: "03104870000000009999"}
    for algorithm, card_no in numbers.items():
        card = depot.card(replace(PUBLIC, card_no=card_no), algorithm=algorithm)
        assert gate.tap(card, BUS, at=AT).refusal is None
    records = depot.outbox.records()
    assert [record.algorithm for record in records] == [0, 1]
    assert all(depot.tac_holds(record) for record in records)
    assert not any(depot.tac_holds(replace(record, algorithm=1 - record.algorithm)) for record in records)


def test_a_card_that_names_another_suite_than_its_own_is_not_debited(depot: Depot) -> None:
    liar = depot.card(keys=depot.keys_of(algorithm=1), algorithm=0)
    assert depot.validator().tap(liar, BUS, at=AT).refusal is Refusal.CARD_REFUSED
    assert liar.state.purse.balance_fen == 10_000


def test_a_sound_card_just_rides(depot: Depot, tmp_path: Path) -> None:
    outcome, taken_fen, records = tapped(depot, tmp_path)
    assert (outcome.refusal, taken_fen, records) == (None, 160, 1)


@pytest.mark.parametrize(("refusal", "spoil"), SPOILERS, ids=[refusal.value for refusal, _ in SPOILERS])
def test_a_refused_card_keeps_its_money(
    depot: Depot, tmp_path: Path, refusal: Refusal, spoil: Spoiler
) -> None:
    outcome, taken_fen, records = tapped(depot, tmp_path, spoil)
    assert (outcome.refusal, taken_fen, records, outcome.record) == (refusal, 0, 0, None)
    assert not outcome.opened
    assert shown(outcome) == REFUSED[refusal]


def test_the_first_refusal_that_applies_is_the_outcome(depot: Depot, tmp_path: Path) -> None:
    order = list(Refusal)
    for (first, spoil), (second, spoil_too) in itertools.combinations(SPOILERS, 2):
        outcome, *_ = tapped(depot, tmp_path, spoil, spoil_too)
        assert outcome.refusal is min(first, second, key=order.index), (first, second)


@pytest.mark.parametrize(
    ("at", "opened"),
    [
        (local(2025, 12, 31, 23, 59, 59), False),
        (local(2026, 1, 1, 0, 0, 0), True),
        (local(2036, 12, 31, 23, 59, 59), True),
        (local(2037, 1, 1, 0, 0, 0), False),
    ],
)
def test_a_card_is_valid_from_its_first_day_in_the_city_through_its_last(
    depot: Depot, at: datetime, opened: bool
) -> None:
    outcome = depot.validator().tap(depot.card(), BUS, at=at)
    assert outcome.refusal is (None if opened else Refusal.NOT_VALID)


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        ({"key_version": 9}, Refusal.KEY_UNKNOWN),
        ({"key_version": 0}, Refusal.KEY_UNKNOWN),
        ({"purchase_sequence": 0xFFFF}, Refusal.CARD_REFUSED),
    ],
)
def test_a_card_whose_keys_or_counter_will_not_do_is_refused(
    depot: Depot, state: dict[str, Any], refusal: Refusal
) -> None:
    assert depot.validator().tap(depot.card(**state), BUS, at=AT).refusal is refusal
    assert depot.outbox.pendings() == []


def test_a_card_with_another_cards_keys_is_not_debited(depot: Depot) -> None:
    forged = depot.card(replace(PUBLIC, card_no="03104870000000009999"), keys=depot.keys_of(CARD_NO))
    assert depot.validator().tap(forged, BUS, at=AT).refusal is Refusal.CARD_REFUSED
    assert (depot.outbox.pendings(), depot.outbox.records()) == ([], [])


def overwritten(answer: bytes, *, part: slice, lie: bytes) -> bytes:
    changed = bytearray(answer)
    changed[part] = lie
    return bytes(changed)


class Replies:
    """A card that answers anything, in turn, then is gone."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = iter(answers)

    def transmit(self, apdu: bytes) -> bytes:
        return next(self._answers, b"\x6f\x00")


@pytest.mark.parametrize("answer", [b"", b"\x90", b"\x90\x00", b"\x6a\x82", b"\x6f\x02\x84\x00\x90\x00"])
def test_what_is_no_transit_card_is_unreadable(depot: Depot, answer: bytes) -> None:
    assert depot.validator().tap(Replies(answer), BUS, at=AT).refusal is Refusal.UNREADABLE


FORGED_OFFER = "00002710 0036 000000 01 00 00000001"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\x90\x00", b"\x94\x01\x90\x00"]), max_size=5))
def test_no_card_makes_the_validator_raise_or_open(depot: Depot, answers: list[bytes]) -> None:
    fci = depot.card().transmit(bytes.fromhex("00A4040008A00000063201010500"))
    lies: list[Transmits] = [
        Replies(*answers),
        Replies(fci, *answers),
        Replies(fci, bytes.fromhex("000027109000"), bytes.fromhex(FORGED_OFFER + "9000"), *answers),
    ]
    for card in lies:
        outcome = depot.validator().tap(card, BUS, at=AT)
        assert not outcome.opened
        assert depot.outbox.records() == []
        for pending in depot.outbox.pendings():
            depot.outbox.forget(pending)


def test_a_card_that_lies_about_its_debit_does_not_ride_and_stays_remembered(depot: Depot) -> None:
    validator = depot.validator()
    lying = TearingCard(depot.card(), at=4, spoil=lambda answer: answer[:4] + bytes(4) + answer[8:])
    assert validator.tap(lying, BUS, at=AT).refusal is Refusal.MAC_WRONG
    assert depot.outbox.records() == []
    assert [pending.record.card_no for pending in depot.outbox.pendings()] == [CARD_NO]


def test_a_card_that_claims_an_exhausted_counter_or_too_little_money_is_not_asked_for_the_debit(
    depot: Depot,
) -> None:
    for part, lie in ((slice(4, 6), b"\xff\xff"), (slice(0, 4), bytes(4))):
        card = TearingCard(depot.card(), at=2, spoil=partial(overwritten, part=part, lie=lie))
        assert depot.validator().tap(card, BUS, at=AT).refusal is Refusal.CARD_REFUSED
        assert len(card.heard) == 3
        assert depot.outbox.pendings() == []


def test_a_card_whose_counter_goes_back_is_not_debited(depot: Depot) -> None:
    validator = depot.validator()
    assert validator.tap(depot.card(), BUS, at=AT).opened
    for counter in (0x36, 0x35):
        copy = depot.card(purchase_sequence=counter)
        assert validator.tap(copy, BUS, at=AT).refusal is Refusal.COUNTER_REUSED
        assert copy.state.purse.balance_fen == 10000
    assert depot.validator(NEXT_GATE).tap(depot.card(), BUS, at=AT).opened  # that gate cannot know
    assert validator.tap(depot.card(purchase_sequence=0x37), BUS, at=AT).opened


def test_a_sam_that_goes_away_after_the_debit_does_not_lose_the_ride(depot: Depot) -> None:
    sam = ListeningSam(HsmSam(GATE, depot.hsm, depot.outbox), gone_at=0x72)
    outcome = depot.validator(sam=sam).tap(depot.card(), BUS, at=AT)
    assert outcome.opened
    assert depot.outbox.records() == [outcome.record]
    assert depot.tac_holds(depot.outbox.records()[0])


def test_every_refusal_has_a_text_in_both_languages_and_a_tone() -> None:
    assert set(REFUSED) == set(Refusal)
    for display in REFUSED.values():
        assert display.chinese
        assert display.english.isascii()
        assert display.tone in (Tone.NO, Tone.AGAIN)


def test_the_rider_reads_what_was_paid_and_what_is_left(depot: Depot) -> None:
    display = shown(depot.validator().tap(depot.card(), BUS, at=AT))
    assert (display.chinese, display.english) == ("扣款1.60元 余额98.40元", "Paid ¥1.60. Balance ¥98.40")
    later = depot.card(purchase_sequence=0x37)
    entry = shown(depot.validator().tap(later, RideFacts(Ride.METRO_ENTRY, 0), at=AT))
    assert entry.english == "Welcome. Balance ¥100.00"


def test_the_versions_in_force_are_in_the_record(depot: Depot) -> None:
    validator: Validator = depot.validator()
    validator.tariff, validator.hotlist = replace(TARIFF, version=12), Hotlist(34)
    record = validator.tap(depot.card(), BUS, at=AT).record
    assert record is not None
    assert (record.tariff_version, record.hotlist_version) == (12, 34)

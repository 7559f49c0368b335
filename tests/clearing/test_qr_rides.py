"""Rides on codes: the verdicts by a table, and the night that books them on both kinds of database."""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from card.holders import Enrolled, Person, enrol
from card.hsm.client import Hsm
from card.loss import lift_loss, report_loss
from card.vault import open_vault
from clearing.context import StepRefused
from clearing.devices import Device, register_devices
from clearing.qr_booking import clear_qr
from clearing.qr_intake import qr_inbox
from clearing.qr_owed import owed_fen
from clearing.qr_register import rides_of_holder
from clearing.qr_rides import JudgedRide, PresentedRide, QrFacts, decide_qr
from clearing.qr_verdict import QR_MONEY, QrVerdict
from clearing.tables import rejected_file
from clearing.tap_accounts import SHORTFALL
from clearing.verdict import Money
from clearing.wire.qr_record import QrRide
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, at, shenzhen, terminal_no
from tests.support.qr_street import (
    ISSUER_KEYS,
    LONG_AGO,
    QrCity,
    holder_no,
    phone_of,
    ride_of,
)

EIGHT = at(8)
DEVICES = [
    Device(terminal_no(1), "BUS-1", LONG_AGO),
    Device(terminal_no(2), "BUS-1", LONG_AGO, valid_to=EIGHT),
    Device(terminal_no(3), "BUS-2", LONG_AGO),
]
FACTS = QrFacts(DEVICES, ISSUER_KEYS, {holder_no(1), holder_no(2)}, {}, set(), set(), (shenzhen(),))
PHONE = phone_of(1)
CODE = PHONE.show(at=EIGHT)
RIDE = ride_of(CODE, EIGHT)


def presented(ride: QrRide | bytes, *, operator: str = "BUS-1", sequence: int = 1, position: int = 0,
              retried: bool = False) -> PresentedRide:  # fmt: skip
    record = ride if isinstance(ride, bytes) else ride.pack()
    return PresentedRide(operator, sequence, position, DAY, retried, record)


def judge(ride: QrRide | bytes, facts: QrFacts = FACTS) -> JudgedRide:
    (judged,) = decide_qr([presented(ride)], facts, business_date=DAY)
    return judged


def test_every_verdict_says_where_the_money_goes() -> None:
    assert set(QR_MONEY) == set(QrVerdict)
    assert [verdict for verdict in QrVerdict if verdict.money is Money.PAID] == [
        QrVerdict.PRICE_DIFFERS, QrVerdict.ACCEPTED,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ride", "facts", "expected"),
    [
        (RIDE, FACTS, QrVerdict.ACCEPTED),
        (RIDE.pack()[:-1] + b"\1", FACTS, QrVerdict.MALFORMED),
        (replace(RIDE, code=b"nothing"), FACTS, QrVerdict.MALFORMED),
        (RIDE, replace(FACTS, known={("BUS-1", presented(RIDE).digest)}), QrVerdict.DUPLICATE),
        (RIDE, replace(FACTS, known={("BUS-2", presented(RIDE).digest)}), QrVerdict.ACCEPTED),
        (replace(RIDE, terminal=terminal_no(3)), FACTS, QrVerdict.DEVICE_UNKNOWN),
        (replace(RIDE, terminal=terminal_no(2)), FACTS, QrVerdict.DEVICE_UNKNOWN),
        (RIDE, replace(FACTS, keys={}), QrVerdict.SIGNATURE_WRONG),
        (RIDE, replace(FACTS, keys={1: bytes(32)}, holders=()), QrVerdict.SIGNATURE_WRONG),
        (ride_of(CODE, at(8, 1, 1)), FACTS, QrVerdict.EXPIRED),
        (ride_of(CODE, at(7, 59, 29)), FACTS, QrVerdict.EXPIRED),
        (ride_of(phone_of(1, life=timedelta(hours=8)).show(at=EIGHT), EIGHT), FACTS, QrVerdict.EXPIRED),
        (ride_of(phone_of(3).show(at=EIGHT), EIGHT), FACTS, QrVerdict.HOLDER_UNKNOWN),
        (RIDE, replace(FACTS, locked={holder_no(1): at(8)}), QrVerdict.HOLDER_LOCKED),
        (RIDE, replace(FACTS, locked={holder_no(1): at(8, 0, 1)}), QrVerdict.ACCEPTED),
        (RIDE, replace(FACTS, paid={((1).to_bytes(8, "big"), (1).to_bytes(8, "big"))}), QrVerdict.REPLAYED),
        (replace(RIDE, amount_fen=3_001, list_fare_fen=3_001), FACTS, QrVerdict.AMOUNT_OUT_OF_BOUNDS),
        (ride_of(phone_of(1, limit_fen=159).show(at=EIGHT), EIGHT), FACTS, QrVerdict.AMOUNT_OUT_OF_BOUNDS),
        (RIDE, replace(FACTS, tariffs=()), QrVerdict.AMOUNT_OUT_OF_BOUNDS),
        (RIDE, replace(FACTS, devices=[replace(DEVICES[0], max_amount_fen=100)]),
         QrVerdict.AMOUNT_OUT_OF_BOUNDS),
        (replace(RIDE, amount_fen=0), FACTS, QrVerdict.AMOUNT_OUT_OF_BOUNDS),
        (replace(RIDE, amount_fen=161), FACTS, QrVerdict.PRICE_DIFFERS),
        (replace(RIDE, amount_fen=159), FACTS, QrVerdict.PRICE_DIFFERS),
        (ride_of(phone_of(1, holder_class=2).show(at=EIGHT), EIGHT, amount_fen=100), FACTS, QrVerdict.ACCEPTED),
    ],
)  # fmt: skip
def test_the_first_verdict_that_applies_is_the_one_recorded(
    ride: QrRide | bytes, facts: QrFacts, expected: QrVerdict
) -> None:
    judged = judge(ride, facts)
    assert judged.verdict is expected
    assert (judged.flaw != "") == (expected is QrVerdict.MALFORMED)


@pytest.mark.parametrize(("amount_fen", "paid_fen"), [(159, 159), (160, 160), (300, 160)])
def test_the_operator_gets_its_own_price_or_the_tariffs_whichever_is_lower(
    amount_fen: int, paid_fen: int
) -> None:
    assert judge(replace(RIDE, amount_fen=amount_fen)).paid_fen == paid_fen


def test_a_ride_presented_after_the_window_is_not_paid() -> None:
    long_ago = at(8, day=DAY - timedelta(days=31))
    phone = phone_of(1, issued_at=long_ago)
    judged = judge(ride_of(phone.show(at=long_ago), long_ago))
    assert (judged.verdict, judged.money, judged.paid_fen) == (QrVerdict.TOO_LATE, Money.REJECTED, 0)


def test_what_stays_in_suspense_beyond_the_window_ends_rejected_with_its_reason() -> None:
    facts = replace(FACTS, devices=[])
    for days, money in ((30, Money.SUSPENDED), (31, Money.REJECTED)):
        one = presented(RIDE, retried=True)
        (judged,) = decide_qr([one], facts, business_date=DAY + timedelta(days=days))
        assert (judged.verdict, judged.money) == (QrVerdict.DEVICE_UNKNOWN, money)


def test_a_ride_that_comes_late_is_looked_at_once_before_the_window_rejects_it() -> None:
    facts = replace(FACTS, devices=[])
    for retried, money in ((False, Money.SUSPENDED), (True, Money.REJECTED)):
        one = presented(RIDE, retried=retried)
        (judged,) = decide_qr([one], facts, business_date=DAY + timedelta(days=40))
        assert judged.money is money


def test_of_two_rides_on_one_code_the_earlier_counts_wherever_it_stands() -> None:
    later = presented(ride_of(CODE, at(8, 0, 20)), sequence=1)
    earlier = presented(ride_of(CODE, at(8, 0, 10), terminal=3), operator="BUS-2", sequence=9)
    for rides in ([later, earlier], [earlier, later]):
        judged = {one.presented: one.verdict for one in decide_qr(rides, FACTS, business_date=DAY)}
        assert judged == {earlier: QrVerdict.ACCEPTED, later: QrVerdict.REPLAYED}


def test_a_ride_that_is_not_believed_uses_no_code_up() -> None:
    forged = presented(ride_of(CODE, at(8, 0, 5), terminal=9), position=1)
    judged = decide_qr([forged, presented(RIDE)], FACTS, business_date=DAY)
    assert [one.verdict for one in judged] == [QrVerdict.DEVICE_UNKNOWN, QrVerdict.ACCEPTED]


RIDES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 70), st.integers(1, 4), st.integers(1, 3)),
    min_size=1, max_size=7,
)  # fmt: skip
CODES = {(n, c): [phone.show(at=EIGHT) for _ in range(3)][c]
         for n in (1, 2, 3) for phone in [phone_of(n)] for c in range(3)}  # fmt: skip


@given(drawn=RIDES, mixer=st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_verdicts_do_not_depend_on_the_order_and_agree_with_a_slow_reference(
    drawn: list[tuple[int, int, int, int, int]], mixer: Random
) -> None:
    rides = [
        presented(ride_of(CODES[number, code], EIGHT + timedelta(seconds=seconds), terminal=terminal,
                          sequence=copy), operator="BUS-1" if terminal < 3 else "BUS-2", position=place)
        for place, (number, code, seconds, terminal, copy) in enumerate(drawn)
    ]  # fmt: skip
    mixed = list(rides)
    mixer.shuffle(mixed)
    judged = {one.presented: one.verdict for one in decide_qr(mixed, FACTS, business_date=DAY)}
    assert judged == {one: _slow(one, rides) for one in rides}
    paid = [one for one, verdict in judged.items() if verdict is QrVerdict.ACCEPTED]
    assert len({QrRide.unpack(one.record).code for one in paid}) == len(paid)


def _slow(one: PresentedRide, rides: Sequence[PresentedRide]) -> QrVerdict:
    """What the table says, ride by ride, without any memory."""

    def alone(other: PresentedRide) -> QrVerdict:
        return decide_qr([other], FACTS, business_date=DAY)[0].verdict

    def copied(other: PresentedRide) -> bool:
        return any(
            (first.operator, first.record) == (other.operator, other.record) and first.place < other.place
            for first in rides
        )

    if copied(one):
        return QrVerdict.DUPLICATE
    if alone(one) is not QrVerdict.ACCEPTED:
        return alone(one)
    ride = QrRide.unpack(one.record)
    for other in rides:
        before = QrRide.unpack(other.record)
        good = alone(other) is QrVerdict.ACCEPTED and not copied(other)
        if good and before.code == ride.code and (before.moment, other.place) < (ride.moment, one.place):
            return QrVerdict.REPLAYED
    return QrVerdict.ACCEPTED


@pytest.fixture
def city(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> QrCity:
    made = QrCity(engine, city_hsm, tmp_path)
    made.furnish()
    return made


def rides(city: QrCity, number: int, *hours: int, terminal: int = 1) -> list[QrRide]:
    return [
        ride_of(city.phones[number].show(at=at(hour)), at(hour), terminal=terminal, sequence=hour)
        for hour in hours
    ]


def test_a_night_pays_the_operators_from_the_wallets(city: QrCity) -> None:
    city.present("BUS-1", 1, [*rides(city, 1, 8, 9), *rides(city, 2, 10)])
    city.present("BUS-2", 1, rides(city, 1, 11, terminal=3))
    result = city.clear()
    assert (result.counts["qr_accepted"], result.counts["qr_paid_fen"]) == (2, 640)
    assert [city.held_fen(f"wallet:{holder_no(n)}") for n in (1, 2, 3)] == [9_520, 9_840, 10_000]
    assert [city.held_fen(f"clearing:BUS-{n}") for n in (1, 2)] == [480, 160]
    assert not any(path.is_file() for path in qr_inbox(city.inbox).iterdir())
    with reading(city.engine) as conn:
        assert check_books(conn) == []
        newest, *older = rides_of_holder(conn, holder_no(1))
        # A page goes on after the last ride seen.
        assert rides_of_holder(conn, holder_no(1), before=(newest.event_at, newest.place)) == older
        assert (newest.operator, newest.event_at, newest.paid_fen) == ("BUS-2", at(11), 160)


def test_what_a_wallet_does_not_hold_the_operator_gets_and_the_next_night_takes_back(city: QrCity) -> None:
    city.present("BUS-1", 1, rides(city, 1, *range(1, 20)))
    city.spend(f"wallet:{holder_no(1)}", 9_700)
    city.clear()
    assert city.held_fen("clearing:BUS-1") == 19 * 160
    assert (city.held_fen(f"wallet:{holder_no(1)}"), city.held_fen(SHORTFALL)) == (0, 19 * 160 - 300)
    city.fund(f"wallet:{holder_no(1)}", 1_000, reference="topped up")
    city.clear(1)
    assert (city.held_fen(f"wallet:{holder_no(1)}"), city.held_fen(SHORTFALL)) == (0, 19 * 160 - 1_300)
    city.fund(f"wallet:{holder_no(1)}", 5_000, reference="topped up again")
    city.clear(2)
    assert (city.held_fen(f"wallet:{holder_no(1)}"), city.held_fen(SHORTFALL)) == (5_000 - 1_740, 0)
    with reading(city.engine) as conn:
        assert owed_fen(conn, holder_no(1)) == 0
        assert check_books(conn) == []


def test_old_rides_are_taken_out_of_a_wallet_before_new_ones(city: QrCity) -> None:
    city.spend(f"wallet:{holder_no(1)}", 10_000)
    city.present("BUS-1", 1, rides(city, 1, 8))
    city.clear()
    city.fund(f"wallet:{holder_no(1)}", 200, reference="topped up")
    city.present("BUS-1", 2, rides(city, 1, 9))
    city.clear(1)
    assert (city.held_fen(f"wallet:{holder_no(1)}"), city.held_fen(SHORTFALL)) == (0, 120)
    with reading(city.engine) as conn:
        assert [one.short_fen for one in rides_of_holder(conn, holder_no(1))] == [120, 0]


def test_a_night_written_twice_is_written_once(city: QrCity) -> None:
    city.present("BUS-1", 1, rides(city, 1, 8))
    first = clear_qr(city.engine, city.night())
    again = clear_qr(city.engine, city.night())
    assert (first.counts, [path.read_bytes() for path in first.files]) == (
        again.counts, [path.read_bytes() for path in again.files],
    )  # fmt: skip
    city.clear()
    with again.transaction(city.engine) as conn:
        again.write(conn)
    assert city.held_fen("clearing:BUS-1") == 160
    assert len(city.verdicts()) == 1


def test_a_batch_sent_again_is_a_repetition_and_a_ride_in_another_batch_a_duplicate(city: QrCity) -> None:
    one = rides(city, 1, 8)
    city.present("BUS-1", 1, one)
    city.clear()
    city.present("BUS-1", 1, one)
    city.present("BUS-1", 2, one)
    result = city.clear(1)
    assert (result.counts["qr_repeated"], result.counts["qr_accepted"]) == (1, 1)
    assert city.verdicts() == {("BUS-1", 1, 0): "accepted", ("BUS-1", 2, 0): "duplicate"}
    assert city.held_fen("clearing:BUS-1") == 160


def test_a_code_paid_on_one_night_is_a_replay_on_every_later_one(city: QrCity) -> None:
    code = city.phones[1].show(at=at(8))
    city.present("BUS-1", 1, [ride_of(code, at(8, 0, 30))])
    city.clear()
    city.present("BUS-2", 1, [ride_of(code, at(8), terminal=3)])
    city.clear(1)
    city.clear(2)
    assert city.verdicts() == {("BUS-1", 1, 0): "accepted", ("BUS-2", 1, 0): "replayed"}


def test_a_ride_in_suspense_is_paid_when_its_device_is_registered(city: QrCity) -> None:
    city.present("BUS-1", 1, rides(city, 1, 8, terminal=7))
    city.clear()
    assert city.verdicts() == {("BUS-1", 1, 0): "device_unknown"}
    with writing(city.engine) as conn:
        register_devices(conn, [Device(terminal_no(7), "BUS-1", LONG_AGO)])
    city.clear(1)
    assert city.verdicts() == {("BUS-1", 1, 0): "accepted"}
    assert city.held_fen("clearing:BUS-1") == 160
    city.clear(2)
    assert city.held_fen("clearing:BUS-1") == 160


def test_a_ride_after_a_reported_loss_waits_and_is_paid_when_it_is_lifted(city: QrCity) -> None:
    vault = open_vault(city.engine, city.hsm, random=secrets.token_bytes, at=at(0))
    with writing(city.engine) as conn:
        enrolled = enrol(conn, vault, Person("11010519491231002X", "张三", "13800001234"), at=at(0))
        assert isinstance(enrolled, Enrolled)
    city.fund(f"wallet:{enrolled.holder}", 1_000, reference="first money")
    city.phones[9] = phone_of(int(enrolled.holder[1:]), sign=city.hsm.sign_message)
    city.present("BUS-1", 1, rides(city, 9, 8, 10))
    with writing(city.engine) as conn:
        report_loss(conn, enrolled.holder, at=at(9))
    city.clear()
    assert city.verdicts() == {("BUS-1", 1, 0): "accepted", ("BUS-1", 1, 1): "holder_locked"}
    with writing(city.engine) as conn:
        lift_loss(conn, enrolled.holder, at=at(20))
    city.clear(1)
    assert set(city.verdicts().values()) == {"accepted"}
    assert city.held_fen(f"wallet:{enrolled.holder}") == 1_000 - 320


@pytest.mark.parametrize(
    ("spoil", "flaw"),
    [
        (lambda body: b"", "empty"),
        (lambda body: b"OCB1" + body[4:], "not_a_batch"),
        (lambda body: body[:-1], "truncated"),
        (lambda body: body[:100] + b"\0" + body[101:], "checksum"),
    ],
)
def test_a_bad_file_is_turned_away_and_the_night_goes_on(
    city: QrCity, spoil: Callable[[bytes], bytes], flaw: str
) -> None:
    bad = city.present("BUS-2", 1, rides(city, 2, 8, terminal=3))
    bad.write_bytes(spoil(bad.read_bytes()))
    city.present("BUS-1", 1, rides(city, 1, 8))
    result = city.clear()
    assert (result.counts["qr_rejected"], result.counts["qr_accepted"]) == (1, 1)
    with reading(city.engine) as conn:
        assert conn.scalars(select(rejected_file.c.flaw)).all() == [flaw]
    answer = json.loads((qr_inbox(city.inbox) / "acks" / f"{bad.name}.ack").read_text())
    assert (answer["status"], answer["reason"]) == ("rejected", flaw)


@pytest.mark.parametrize("case", ["operator_unknown", "mac_wrong", "name_differs", "number_taken"])
def test_a_well_formed_file_that_may_not_be_taken_is_turned_away(city: QrCity, case: str) -> None:
    path = city.present("BUS-9" if case == "operator_unknown" else "BUS-1", 1, rides(city, 1, 8))
    if case == "mac_wrong":
        body = bytearray(path.read_bytes())
        body[-20] ^= 1
        path.write_bytes(bytes(body))
    if case == "name_differs":
        path.rename(path.with_name("BUS-1-00000002.oqb"))
    if case == "number_taken":
        city.clear()
        city.present("BUS-1", 1, rides(city, 1, 9))
    city.clear(1)
    with reading(city.engine) as conn:
        assert conn.scalars(select(rejected_file.c.flaw)).all() == [case]


def test_a_number_that_never_came_is_asked_for(city: QrCity) -> None:
    city.present("BUS-1", 3, rides(city, 1, 8))
    result = city.clear()
    assert json.loads(result.files[0].read_text()) == [
        {"operator": "BUS-1", "sequence": 1}, {"operator": "BUS-1", "sequence": 2},
    ]  # fmt: skip


def test_the_night_stops_where_the_hsm_is_not_there_and_nobody_is_told_anything(city: QrCity) -> None:
    path = city.present("BUS-1", 1, rides(city, 1, 8))
    with Hsm("127.0.0.1", 1, timeout_s=0.2) as gone, pytest.raises(StepRefused):
        clear_qr(city.engine, replace(city.night(), hsm=gone))
    assert path.exists() and not (path.parent / "acks").exists()


def test_an_empty_inbox_makes_an_empty_night(city: QrCity) -> None:
    result = city.clear()
    assert (result.counts["qr_files"], city.verdicts()) == (0, {})

"""Every verdict by an example, and for every two that meet, that the first in the table is recorded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from card.hotlist import HotlistEntry, hotlist_card, hotlisted
from card.hsm.client import Hsm
from card.tables import card
from city.processes import RunningHsm
from clearing.devices import Device, register_devices
from clearing.interop.centres import Answers, Centre, answer_for, register_centre
from clearing.suspense import suspended_taps
from clearing.verdict import MONEY, Verdict
from clearing.wire.bcd import pack_moment
from clearing.wire.record import TapRecord
from clearing.wire.ride import Ride
from ledger.balances import balance
from ledger.db import writing
from tests.support.clearing_day import DAY, TAP, SmallCity, at, card_no, signed, terminal_no

OPERATOR = "BUS-1"
UNKNOWN, WITHDRAWN, CHEAP = terminal_no(9), terminal_no(7), terminal_no(8)
YESTERDAY, TOMORROW = DAY - timedelta(days=1), DAY + timedelta(days=1)
LONG_AGO = at(8, day=DAY - timedelta(days=31))
GUEST, FORMER = "02021000", "03031000"
"""Issuers whose cards the centre of another city answers for: still, and until eight."""
Fault = Callable[[TapRecord], TapRecord]


def forged(record: TapRecord) -> TapRecord:
    return replace(record, tac=bytes(byte ^ 1 for byte in record.tac))


@dataclass(frozen=True)
class Case:
    """Records of one card, the last of which must get the verdict."""

    name: str
    verdict: Verdict
    records: Callable[[TapRecord], list[TapRecord | bytes]]
    hotlisted_at: int | None = None
    effective_at: int | None = None
    valid: tuple[date, date] = (date(2017, 1, 1), date(2037, 12, 31))


def one(**changes: object) -> Callable[[TapRecord], list[TapRecord | bytes]]:
    return lambda tap: [signed(replace(tap, **changes))]  # type: ignore[arg-type]


def then(**changes: object) -> Callable[[TapRecord], list[TapRecord | bytes]]:
    """A good tap, then one that follows it with changes."""
    return lambda tap: [
        signed(tap),
        signed(replace(tap, **({"counter": 2, "balance_before_fen": 9_840} | changes))),  # type: ignore[arg-type]
    ]


V = Verdict
CASES = (
    Case("a good tap", V.ACCEPTED, one()),
    Case("a second good tap", V.ACCEPTED, then()),
    Case("a metro entry takes nothing", V.ACCEPTED, one(ride=Ride.METRO_ENTRY, amount_fen=0, list_fare_fen=0)),
    Case("a free ride takes nothing", V.ACCEPTED, one(holder_class=3, amount_fen=0)),
    Case("a half fare", V.ACCEPTED, one(holder_class=2, amount_fen=100)),
    Case("a linked trip", V.ACCEPTED, one(linked=True, amount_fen=120)),
    Case("a full fare", V.ACCEPTED, one(full_fare=True, amount_fen=200)),
    Case("a ride that is none", V.MALFORMED, lambda tap: [b"\x01\x09" + signed(tap).pack()[2:]]),
    Case("malformed before anything", V.MALFORMED, lambda tap: [b"\x02" + forged(tap).pack()[1:]] * 2),
    Case("the same again", V.DUPLICATE, lambda tap: [signed(tap), signed(tap)]),
    Case("a duplicate before its device", V.DUPLICATE, lambda tap: [signed(replace(tap, terminal=UNKNOWN))] * 2),
    Case("nobody's device", V.DEVICE_UNKNOWN, one(terminal=UNKNOWN)),
    Case("another operator's device", V.DEVICE_UNKNOWN, one(terminal=terminal_no(3))),
    Case("a device before its time", V.DEVICE_UNKNOWN, one(moment=pack_moment(at(8, day=date(2017, 12, 1))))),
    Case("a withdrawn device", V.DEVICE_WITHDRAWN, one(terminal=WITHDRAWN)),
    Case("a withdrawn device while it was valid", V.ACCEPTED,
         one(terminal=WITHDRAWN, moment=pack_moment(at(6, 59, 59)))),
    Case("device before card", V.DEVICE_WITHDRAWN, one(terminal=WITHDRAWN, issuer="01021000")),
    Case("another issuer's card", V.CARD_UNKNOWN, one(issuer="01021000")),
    Case("card before TAC", V.CARD_UNKNOWN, lambda tap: [forged(replace(signed(tap), issuer="01021000"))]),
    Case("a wrong TAC", V.TAC_WRONG, lambda tap: [forged(signed(tap))]),
    Case("an algorithm that the HSM has not", V.TAC_WRONG, one(algorithm=1)),
    Case("a wrong TAC beside a right one is no twin", V.TAC_WRONG,
         lambda tap: [signed(tap), forged(signed(replace(tap, amount_fen=170)))]),
    Case("grey is not proved on its first night", V.TAC_WRONG,
         lambda tap: [signed(replace(tap, counter=2, balance_before_fen=9_840)), forged(signed(tap))]),
    Case("two contents for one counter", V.COUNTER_CONFLICT, then(counter=1)),
    Case("conflict before hotlist", V.COUNTER_CONFLICT, then(counter=1), 7, 7),
    Case("conflict before window", V.COUNTER_CONFLICT, then(counter=1, moment=pack_moment(LONG_AGO))),
    Case("a listed card", V.HOTLISTED, one(), 7, 8),
    Case("an expired card", V.CARD_EXPIRED, one(), valid=(YESTERDAY, YESTERDAY)),
    Case("the last second of a card", V.ACCEPTED, one(moment=pack_moment(at(23, 59, 59))), valid=(DAY, DAY)),
    Case("the first second of a card", V.ACCEPTED, one(moment=pack_moment(at(0))), valid=(DAY, DAY)),
    Case("a card whose days have not begun", V.CARD_NOT_YET_VALID, one(), valid=(TOMORROW, TOMORROW)),
    Case("the second before a card begins", V.CARD_NOT_YET_VALID,
         one(moment=pack_moment(at(23, 59, 59))), valid=(TOMORROW, TOMORROW)),
    Case("hotlist before validity", V.HOTLISTED, one(), 7, 8, valid=(YESTERDAY, YESTERDAY)),
    Case("validity before grace", V.CARD_EXPIRED, one(), 8, 9, valid=(YESTERDAY, YESTERDAY)),
    Case("conflict before validity", V.COUNTER_CONFLICT, then(counter=1), valid=(YESTERDAY, YESTERDAY)),
    Case("validity before window", V.CARD_NOT_YET_VALID, one(moment=pack_moment(LONG_AGO)), valid=(DAY, DAY)),
    Case("a list not yet due", V.HOTLISTED_GRACE, one(), 8, 9),
    Case("a tap before the listing", V.ACCEPTED, one(), 9, 10),
    Case("grace before bounds", V.HOTLISTED_GRACE, one(amount_fen=5_000), 8, 9),
    Case("older than the window", V.TOO_LATE, one(moment=pack_moment(LONG_AGO))),
    Case("just within the window", V.ACCEPTED, one(moment=pack_moment(LONG_AGO + timedelta(days=1)))),
    Case("window before bounds", V.TOO_LATE, one(moment=pack_moment(LONG_AGO), amount_fen=5_000)),
    Case("more than the tariff's most", V.AMOUNT_OUT_OF_BOUNDS, one(amount_fen=2_001, list_fare_fen=2_001)),
    Case("more than the device's most", V.AMOUNT_OUT_OF_BOUNDS, one(terminal=CHEAP)),
    Case("nothing for a ride that costs", V.AMOUNT_OUT_OF_BOUNDS, one(amount_fen=0)),
    Case("something for a metro entry", V.AMOUNT_OUT_OF_BOUNDS, one(ride=Ride.METRO_ENTRY)),
    Case("bounds before continuity", V.AMOUNT_OUT_OF_BOUNDS, then(counter=3, amount_fen=5_000)),
    Case("a card that another city answers for", V.ROUTED, one(issuer=GUEST)),
    Case("its TAC is its issuer's affair", V.ROUTED, lambda tap: [forged(signed(replace(tap, issuer=GUEST)))]),
    Case("and so are its counters", V.ROUTED,
         lambda tap: [signed(replace(tap, issuer=GUEST, amount_fen=fen)) for fen in (160, 170)]),
    Case("a guest's tap that came twice", V.DUPLICATE, lambda tap: [signed(replace(tap, issuer=GUEST))] * 2),
    Case("device before the way to another city", V.DEVICE_UNKNOWN, one(issuer=GUEST, terminal=UNKNOWN)),
    Case("hotlist before that way", V.HOTLISTED, one(issuer=GUEST), 7, 8),
    Case("a list not yet due pays no guest", V.ROUTED, one(issuer=GUEST), 8, 9),
    Case("window before that way", V.TOO_LATE, one(issuer=GUEST, moment=pack_moment(LONG_AGO))),
    Case("bounds before that way", V.AMOUNT_OUT_OF_BOUNDS, one(issuer=GUEST, amount_fen=5_000)),
    Case("that way before the price", V.ROUTED, one(issuer=GUEST, amount_fen=170)),
    Case("the last second of a centre's answers", V.ROUTED, one(issuer=FORMER, moment=pack_moment(at(7, 59, 59)))),
    Case("the first second without them", V.CARD_UNKNOWN, one(issuer=FORMER)),
    Case("a counter left out", V.BALANCE_GAP, then(counter=3)),
    Case("a balance from nowhere", V.BALANCE_GAP, then(balance_before_fen=9_841)),
    Case("continuity before price", V.BALANCE_GAP, then(counter=3, amount_fen=170)),
    Case("dearer than the tariff", V.PRICE_DIFFERS, one(amount_fen=170)),
    Case("cheaper than the tariff", V.PRICE_DIFFERS, one(amount_fen=150)),
)  # fmt: skip


@pytest.fixture
def city(engine: Engine, hsm_process: RunningHsm, tmp_path: Path) -> Iterator[SmallCity]:
    with Hsm(hsm_process.host, hsm_process.port) as hsm:
        small = SmallCity(engine, hsm, tmp_path / "city")
        small.furnish(cards=len(CASES))
        with writing(engine) as conn:
            for number, case in enumerate(CASES, 1):
                first, last = case.valid
                days = {"valid_from": first, "valid_until": last}
                conn.execute(update(card).where(card.c.card_no == card_no(number)).values(days))
        yield small


def test_every_case_of_the_table_gets_its_verdict(city: SmallCity) -> None:
    expected = {}
    records: list[TapRecord | bytes] = []
    with writing(city.engine) as conn:
        long_ago = at(0, day=date(2018, 1, 1))
        register_devices(
            conn,
            [Device(WITHDRAWN, OPERATOR, long_ago, at(7)), Device(CHEAP, OPERATOR, long_ago, None, 159)],
        )
        assert register_centre(conn, Centre("KUNMING", "Kunming Clearing", long_ago), at=long_ago) is True
        for issuer, until in ((GUEST, None), (FORMER, at(8))):
            assert answer_for(conn, Answers("KUNMING", issuer, long_ago, until)) is True
        for number, case in enumerate(CASES, 1):
            records += case.records(replace(TAP, card_no=card_no(number)))
            expected[case.name] = case.verdict, len(records) - 1
            if case.hotlisted_at is not None and case.effective_at is not None:
                hotlist_card(
                    conn, HotlistEntry(card_no(number), at(case.hotlisted_at), at(case.effective_at), "lost")
                )
    city.present(OPERATOR, 1, records)
    results = city.clear()
    verdicts = city.verdicts()
    assert {name: verdicts[OPERATOR, 1, position] for name, (_, position) in expected.items()} == {
        name: verdict.value for name, (verdict, _) in expected.items()
    }
    assert sum(results["match"].counts.values()) == len(records) == len(verdicts)
    by_a_centre = {Verdict.ISSUER_REFUSED}
    assert {verdict for verdict, _ in expected.values()} == set(Verdict) - by_a_centre, (
        "a verdict has no case"
    )


def test_twins_are_both_suspended_and_their_card_is_hotlisted(city: SmallCity) -> None:
    city.present(OPERATOR, 1, [signed(TAP), signed(replace(TAP, amount_fen=170))])
    results = city.clear()
    assert set(city.verdicts().values()) == {"counter_conflict"}
    assert results["post"].counts["alarms"] == 1
    (entry,) = city.look(hotlisted)
    assert (entry.card_no, entry.listed_at, entry.reason) == (card_no(1), city.night().at, "counter_conflict")


def test_a_twin_of_a_tap_already_paid_is_suspended_alone(city: SmallCity) -> None:
    city.present(OPERATOR, 1, [signed(TAP)])
    city.clear()
    city.present(OPERATOR, 2, [signed(replace(TAP, amount_fen=170)), signed(TAP)])
    city.clear(DAY + timedelta(days=1))
    assert city.verdicts() == {
        (OPERATOR, 1, 0): "accepted",
        (OPERATOR, 2, 0): "counter_conflict",
        (OPERATOR, 2, 1): "duplicate",
    }
    assert city.look(balance, f"clearing:{OPERATOR}").balance_fen == 160


def test_a_suspended_tap_is_paid_once_its_device_is_registered(city: SmallCity) -> None:
    city.present(
        OPERATOR, 1, [signed(replace(TAP, terminal=UNKNOWN)), signed(replace(TAP, terminal=UNKNOWN))]
    )
    city.clear()
    later = DAY + timedelta(days=3)
    (waiting,) = city.look(suspended_taps, later)
    assert (waiting.verdict, waiting.age_days, waiting.amount_fen) == (Verdict.DEVICE_UNKNOWN, 3, 160)
    with writing(city.engine) as conn:
        register_devices(conn, [Device(UNKNOWN, OPERATOR, at(0))])
    city.clear(DAY + timedelta(days=1))
    assert city.verdicts() == {(OPERATOR, 1, 0): "accepted", (OPERATOR, 1, 1): "duplicate"}
    assert city.look(suspended_taps, later) == []
    assert city.look(balance, f"clearing:{OPERATOR}").balance_fen == 160


@pytest.mark.parametrize(("left_fen", "expected"), [(9_840, "accepted"), (9_841, "tac_wrong")])
def test_a_grey_tap_is_accepted_when_the_next_counter_proves_it(
    city: SmallCity, left_fen: int, expected: str
) -> None:
    city.present(OPERATOR, 1, [forged(signed(TAP))])
    city.clear()
    city.present(OPERATOR, 2, [signed(replace(TAP, counter=2, balance_before_fen=left_fen))])
    city.clear(DAY + timedelta(days=1))
    assert city.verdicts()[OPERATOR, 1, 0] == expected


def test_a_grey_tap_that_nothing_proves_is_rejected_after_the_window(city: SmallCity) -> None:
    city.present(OPERATOR, 1, [forged(signed(TAP))])
    city.clear()
    for days in (1, 30, 31):
        city.clear(DAY + timedelta(days=days))
        assert bool(city.look(suspended_taps, DAY)) == (days <= 30)
    assert city.verdicts() == {(OPERATOR, 1, 0): "tac_wrong"}
    assert city.look(balance, f"purse:{card_no(1)}").balance_fen == 1_000_000


def test_a_load_between_two_taps_is_no_gap(city: SmallCity) -> None:
    city.load(card_no(1), 5_000, when=at(8, 30), counter=1)
    after = replace(TAP, counter=2, balance_before_fen=14_840, moment=pack_moment(at(9)))
    city.present(OPERATOR, 1, [signed(TAP), signed(after)])
    city.clear()
    assert set(city.verdicts().values()) == {"accepted"}


def test_a_late_tap_that_fills_its_gap_is_accepted(city: SmallCity) -> None:
    first, second, third = (
        signed(replace(TAP, counter=n, balance_before_fen=10_000 - 160 * (n - 1))) for n in (1, 2, 3)
    )
    city.present(OPERATOR, 1, [first, third])
    city.clear()
    city.present(OPERATOR, 2, [second])
    city.clear(DAY + timedelta(days=1))
    assert list(city.verdicts().values()) == ["accepted", "balance_gap", "accepted"]


def test_every_verdict_says_where_the_money_goes() -> None:
    assert list(MONEY) == list(Verdict)
    assert [verdict for verdict in Verdict if verdict.money == "paid"] == [
        V.HOTLISTED_GRACE, V.BALANCE_GAP, V.PRICE_DIFFERS, V.ACCEPTED
    ]  # fmt: skip


@pytest.mark.parametrize("earlier", [False, True], ids=["the same night", "a night before"])
def test_an_operator_cannot_make_anothers_tap_a_copy_by_bringing_it_first(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, earlier: bool
) -> None:
    city = SmallCity(engine, city_hsm, tmp_path)
    city.furnish()
    theirs = [signed(replace(TAP, terminal=terminal_no(3)))]
    city.present("BUS-1", 1, theirs)
    if earlier:
        city.clear()
        assert city.verdicts() == {("BUS-1", 1, 0): V.DEVICE_UNKNOWN}
    city.present("METRO-1", 1, theirs)
    city.clear(TOMORROW if earlier else DAY)
    assert city.verdicts() == {("BUS-1", 1, 0): V.DUPLICATE, ("METRO-1", 1, 0): V.ACCEPTED}
    assert city.look(balance, "clearing:METRO-1").balance_fen == 160
    city.present("BUS-1", 2, theirs)
    city.clear(TOMORROW + timedelta(days=1))
    assert city.verdicts()["BUS-1", 2, 0] == V.DUPLICATE
    assert city.look(hotlisted) == []

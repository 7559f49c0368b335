"""Our cards' taps in another city: judged by the same rules as at home, but for devices and prices."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from card.hotlist import HotlistEntry, hotlist_card
from card.hsm.client import Hsm
from clearing.interop.centres import Answers, Centre, answer_for, end_centre, register_centre
from clearing.tables import tap
from clearing.wire.bcd import pack_moment
from clearing.wire.record import TapRecord
from clearing.wire.ride import Ride
from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, TAP, SmallCity, at, card_no, signed

THERE = replace(TAP, terminal="650000000001", amount_fen=333, list_fare_fen=9_999, ride=Ride.FERRY)
"""A ride that our tariff knows nothing of, at a terminal that is nobody's here."""
FROM = at(0, day=DAY - timedelta(days=90))


@pytest.fixture
def city(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Iterator[SmallCity]:
    small = SmallCity(engine, city_hsm, tmp_path / "city")
    small.furnish(cards=5)
    with writing(engine) as conn:
        assert (
            register_centre(conn, Centre("KUNMING", "Kunming Clearing", FROM, None, 2_000), at=FROM) is True
        )
        assert register_centre(conn, Centre("DALI", "Dali Clearing", FROM), at=FROM) is True
        assert answer_for(conn, Answers("DALI", "02021000", FROM)) is True
    yield small


def of_card(number: int, **changes: object) -> TapRecord:
    return signed(replace(THERE, card_no=card_no(number), **changes))  # type: ignore[arg-type]


def outcomes(city: SmallCity) -> list[tuple[str, str, int]]:
    """Verdict, money and what is paid, by batch and place."""
    columns = tap.c
    with reading(city.engine) as conn:
        query = select(columns.verdict, columns.money, columns.paid_fen)
        return [tuple(row) for row in conn.execute(query.order_by(columns.sequence, columns.position))]


def test_what_a_card_paid_in_another_city_is_owed_to_its_centre(city: SmallCity) -> None:
    city.present("KUNMING", 1, [of_card(1), of_card(1, counter=2, balance_before_fen=9_667, amount_fen=0)])
    city.clear()
    assert outcomes(city) == [("accepted", "paid", 333), ("accepted", "paid", 0)]
    assert city.look(balance, "city:KUNMING").balance_fen == -333
    assert city.look(balance, f"purse:{card_no(1)}").balance_fen == 1_000_000 - 333
    assert city.look(check_books) == []


def test_what_can_never_be_paid_is_refused_at_once_and_what_may_be_proved_waits(city: SmallCity) -> None:
    with writing(city.engine) as conn:
        hotlist_card(conn, HotlistEntry(card_no(3), at(6), at(7), "lost"))
    long_ago = pack_moment(at(8, day=DAY - timedelta(days=31)))
    city.present(
        "KUNMING",
        1,
        [
            of_card(1, amount_fen=2_001),
            of_card(9),
            signed(replace(THERE, issuer="02021000")),
            replace(of_card(2), tac=bytes(4)),
            of_card(3),
            of_card(4, moment=long_ago),
        ],
    )
    city.clear()
    assert outcomes(city) == [
        ("amount_out_of_bounds", "rejected", 0),
        ("card_unknown", "rejected", 0),
        ("card_unknown", "rejected", 0),
        ("tac_wrong", "suspended", 0),
        ("hotlisted", "rejected", 0),
        ("too_late", "rejected", 0),
    ]


def test_a_tap_abroad_and_a_tap_at_home_are_one_history_of_the_card(city: SmallCity) -> None:
    """A counter used at home and again abroad is a clone; what follows on from home is no gap."""
    home = signed(TAP)
    follows = of_card(1, counter=2, balance_before_fen=9_840, moment=pack_moment(at(9)))
    city.present("BUS-1", 1, [home])
    city.clear()
    twin = of_card(1, moment=pack_moment(at(8)))
    missing = of_card(1, counter=4, balance_before_fen=9_000, moment=pack_moment(at(10)))
    city.present("KUNMING", 2, [follows, twin, follows, missing])
    city.clear(DAY + timedelta(days=1))
    verdicts = city.verdicts()
    assert [verdicts["KUNMING", 2, place] for place in range(4)] == [
        "accepted", "counter_conflict", "duplicate", "balance_gap"
    ]  # fmt: skip


def test_what_a_centre_presents_after_its_end_waits_for_a_person(city: SmallCity) -> None:
    with writing(city.engine) as conn:
        end_centre(conn, "KUNMING", at=at(9))
    later = of_card(1, counter=2, balance_before_fen=9_667, moment=pack_moment(at(9)))
    city.present("KUNMING", 1, [of_card(1), later])
    city.clear()
    assert outcomes(city) == [("accepted", "paid", 333), ("device_unknown", "suspended", 0)]


def test_a_purse_that_holds_too_little_is_in_suspense_and_not_the_centres_loss(
    engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    poor = SmallCity(engine, city_hsm, tmp_path / "city")
    poor.furnish(purse_fen=100)
    with writing(engine) as conn:
        register_centre(conn, Centre("KUNMING", "Kunming Clearing", FROM), at=FROM)
    poor.present("KUNMING", 1, [of_card(1)])
    poor.clear()
    assert poor.look(balance, "city:KUNMING").balance_fen == -333
    assert poor.look(balance, "suspense:purse_shortfall").net_fen == 233


def test_terminals_of_another_city_are_asked_for_no_missing_numbers(city: SmallCity) -> None:
    rides = [
        of_card(1, counter=n, terminal_sequence=10 * n, balance_before_fen=10_000 - 333 * (n - 1))
        for n in (1, 2)
    ]
    city.present("KUNMING", 1, rides)
    results = city.clear()
    assert results["post"].counts["missing_taps"] == 0
    assert results["post"].counts["paid_taps"] == 2


def test_nobody_makes_a_tap_a_copy_by_bringing_it_first_from_another_city_or_to_it(city: SmallCity) -> None:
    """Of a tap there its centre's is the original, and of a tap here that of the operator with the terminal."""
    with writing(city.engine) as conn:
        register_centre(conn, Centre("ANNING", "Anning Clearing", FROM), at=FROM)
    here, there = signed(replace(TAP, card_no=card_no(2))), of_card(1)
    city.present("ANNING", 1, [here])
    city.present("BUS-1", 1, [there, here])
    city.present("KUNMING", 1, [there])
    city.clear()
    assert city.verdicts() == {
        ("ANNING", 1, 0): "duplicate",
        ("BUS-1", 1, 0): "duplicate",
        ("BUS-1", 1, 1): "accepted",
        ("KUNMING", 1, 0): "accepted",
    }

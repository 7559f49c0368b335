"""Sales at counters in the night: paid as typed whatever the tariff, and no part of any journey."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from clearing.tables import tap
from clearing.wire.batch import Ride, TapRecord
from ledger.balances import balance
from ledger.db import reading
from tests.clearing.test_fare_nights import (
    LAST,
    TABLES,
    Presented,
    city_of,
    in_the_cards_order,
    kept,
    presented,
)
from tests.support.clearing_day import TAP, SmallCity, signed

SALE = replace(
    TAP, ride=Ride.PURCHASE, kind=6, amount_fen=1_250, list_fare_fen=1_250, full_fare=True, tariff_version=0
)


@pytest.fixture
def city(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> SmallCity:
    made = SmallCity(engine, city_hsm, tmp_path)
    made.furnish()
    return made


def decided(city: SmallCity) -> list[tuple[str, int, str]]:
    columns = tap.c
    query = select(columns.verdict, columns.paid_fen, columns.money).order_by(columns.position)
    with reading(city.engine) as conn:
        return [tuple(row) for row in conn.execute(query)]


def of_a_card(*records: TapRecord) -> list[TapRecord]:
    """The records as one card made them, one after the other."""
    made, balance_fen = [], 50_000
    for counter, record in enumerate(records, 1):
        made.append(
            signed(
                replace(record, counter=counter, terminal_sequence=counter, balance_before_fen=balance_fen)
            )
        )
        balance_fen -= record.amount_fen
    return made


def test_a_sale_between_two_rides_is_paid_to_who_sold_it(city: SmallCity) -> None:
    city.present("BUS-1", 1, of_a_card(TAP, SALE, replace(SALE, holder_class=200), TAP))
    city.clear()
    assert decided(city) == [
        ("accepted", 160, "paid"), ("accepted", 1_250, "paid"), ("accepted", 1_250, "paid"),
        ("accepted", 160, "paid"),
    ]  # fmt: skip
    assert city.look(balance, "clearing:BUS-1").balance_fen == 2 * 160 + 2 * 1_250


@pytest.mark.parametrize(
    ("sold", "verdict", "paid_fen"),
    [
        (replace(SALE, amount_fen=100_000, list_fare_fen=100_000), "accepted", 100_000),
        (replace(SALE, amount_fen=100_001, list_fare_fen=100_001), "amount_out_of_bounds", 0),
        (replace(SALE, amount_fen=0), "amount_out_of_bounds", 0),
        (replace(SALE, amount_fen=1_300), "price_differs", 1_250),
        (replace(SALE, amount_fen=1_200), "price_differs", 1_200),
    ],
)
def test_what_is_sold_costs_what_was_typed_up_to_what_a_card_holds(
    city: SmallCity, sold: TapRecord, verdict: str, paid_fen: int
) -> None:
    city.present("BUS-1", 1, [signed(replace(sold, balance_before_fen=200_000))])
    city.clear()
    ((found, paid, _),) = decided(city)
    assert (found, paid) == (verdict, paid_fen)


def test_a_sale_changes_no_price_of_the_journeys_around_it(
    engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    """By fare tariffs, whose prices follow from a card's history: a worked example, a sale after every tap."""
    examples = TABLES[0]
    city = city_of(examples, engine, city_hsm, tmp_path, LAST)
    taps = presented(examples)
    sales = [
        Presented(
            replace(one.tap, id=f"{one.tap.id} sale"),
            replace(
                SALE, card_no=one.record.card_no, moment=one.record.moment, amount_fen=70, list_fare_fen=70,
                terminal_sequence=1_000 + number,
            ),
        )
        for number, one in enumerate(taps)
    ]  # fmt: skip
    records = in_the_cards_order([each for pair in zip(taps, sales, strict=True) for each in pair])
    city.present("BUS-1", 1, list(records.values()))
    city.clear(LAST)
    found = kept(city)
    for place, name in enumerate(records):
        pays = "70" if name.endswith(" sale") else examples.pays[name]
        assert found["BUS-1", 1, place][0] == (int(pays) if pays.isdecimal() else None), name

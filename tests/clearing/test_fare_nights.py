"""Cities whose nights price by fare tariffs: every worked example, late files, and what has been settled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from clearing.columns import texts
from clearing.sectors.transit.fare_products import Sale, SaleDiffers, keep_sales
from clearing.sectors.transit.fare_taps import Tap, TapKind
from clearing.sectors.transit.fare_tariff import FareTariff, Line
from clearing.tables import tap as tap_table
from clearing.wire.bcd import CITY_ZONE, pack_moment
from clearing.wire.record import TapRecord
from clearing.wire.ride import Ride
from clearing.workfiles import read_table
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.support.clearing_day import TAP, SmallCity, card_no, signed
from tests.support.fare_examples import Examples, shipped, worked_examples

LAST = date(2026, 12, 30)
LINES = {"M1": 1, "N1": 101, "R1": 201, "R2": 202, "S": 301, "F": 401, "T1": 501, "": 601}
CLASSES = {"standard": 1, "student": 2, "disabled": 3, "senior": 4, "staff": 5, "veteran": 6}
RIDES = {TapKind.ENTRY: Ride.METRO_ENTRY, TapKind.EXIT: Ride.METRO_EXIT}
TABLES = list(worked_examples())
NAMES = [one.tariffs[0].name for one in TABLES]
Key = tuple[str, int, int]


@dataclass(frozen=True)
class Presented:
    """A tap of the document as a record that is not yet its card's next one: no counter, no balance."""

    tap: Tap
    record: TapRecord


def with_trams(tariffs: tuple[FareTariff, ...]) -> tuple[FareTariff, ...]:
    """The tariffs, which know that line 501 has trams, and have no fare for them."""
    return tuple(replace(one, lines={**one.lines, "501": Line("T1", "tram")}) for one in tariffs)


def presented(examples: Examples) -> list[Presented]:
    """The document's taps as records of a small city's operator, each charged what stands in the document."""
    found: list[Presented] = []
    for tap in examples.taps:
        line = LINES.get(tap.line) or int(tap.line)
        codes = {
            name: int(alias.split("-")[1])
            for alias, name in examples.tariffs[0].aliases.items()
            if alias.startswith(f"{line}-")
        }
        pays = examples.pays[tap.id]
        # A gate takes nothing at the entry, also where nobody is to come out again.
        amount_fen = int(pays) if pays.isdecimal() and tap.kind is not TapKind.ENTRY else 0
        record = replace(
            TAP,
            card_no=card_no(ord(tap.card) - ord("A") + 1),
            ride=Ride.FERRY if tap.mode == "ferry" else RIDES.get(tap.kind, Ride.BUS),
            amount_fen=amount_fen,
            terminal_sequence=len(found) + 1,
            moment=pack_moment(tap.at),
            list_fare_fen=tap.list_fare_fen or 0,
            holder_class=CLASSES[tap.category],
            linked=tap.linked,
            full_fare=tap.full_fare,
            line=line,
            station=codes.get(tap.station, 9),
        )
        found.append(Presented(tap, record))
    return found


def in_the_cards_order(taps: Sequence[Presented]) -> dict[str, TapRecord]:
    """The records as their cards made them, one after the other, by the tap of the document."""
    found = {}
    last: dict[str, tuple[int, int]] = {}
    for one in sorted(taps, key=lambda one: one.tap.at):
        counter, balance_fen = last.get(one.tap.card, (0, 200_000))
        made = replace(one.record, counter=counter + 1, balance_before_fen=balance_fen)
        last[one.tap.card] = counter + 1, balance_fen - made.amount_fen
        found[one.tap.id] = signed(made)
    return found


def city_of(examples: Examples, engine: Engine, city_hsm: Hsm, home: Path, day: date) -> SmallCity:
    """A city with the document's tariffs, cards and products sold."""
    city = SmallCity(engine, city_hsm, home, with_trams(examples.tariffs))
    city.furnish(cards=16, day=day)
    own = [replace(one, card=card_no(ord(one.card) - ord("A") + 1)) for one in examples.holdings]
    with writing(engine) as conn:
        assert keep_sales(conn, [Sale(f"S{n}", one) for n, one in enumerate(own)]) == len(own)
    return city


def kept(city: SmallCity) -> dict[Key, tuple[int | None, int]]:
    """Price and payment of every tap, by its place."""
    columns = tap_table.c
    query = select(columns.operator, columns.sequence, columns.position, columns.price_fen, columns.paid_fen)
    with reading(city.engine) as conn:
        return {tuple(row[:3]): (row.price_fen, row.paid_fen) for row in conn.execute(query)}


def refusals(city: SmallCity, day: date) -> list[str]:
    rows = texts(read_table(city.night(day).work / "fares.parquet"), "refusal")
    return sorted(reason for reason in rows if reason)


@pytest.mark.parametrize("examples", TABLES, ids=NAMES)
def test_a_night_prices_every_worked_example_to_the_fen(
    examples: Examples, engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    city = city_of(examples, engine, city_hsm, tmp_path, LAST)
    records = in_the_cards_order(presented(examples))
    city.present("BUS-1", 1, list(records.values()))
    results = city.clear(LAST)
    found = kept(city)
    for place, name in enumerate(records):
        pays = examples.pays[name]
        assert found["BUS-1", 1, place][0] == (int(pays) if pays.isdecimal() else None), name
    unpriced = sorted(pays for pays in examples.pays.values() if not pays.isdecimal())
    assert refusals(city, LAST) == unpriced
    counted = {f"unpriced_{reason}": unpriced.count(reason) for reason in set(unpriced)}
    assert {name: n for name, n in results["price"].counts.items() if "unpriced" in name} == counted


@pytest.mark.parametrize("examples", TABLES, ids=NAMES)
def test_a_night_each_day_gives_the_same_over_what_earlier_nights_settled(
    examples: Examples, engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    taps = presented(examples)
    records = in_the_cards_order(taps)
    day_of = {one.tap.id: one.tap.at.astimezone(CITY_ZONE).date() for one in taps}
    days = sorted(set(day_of.values()))
    city = city_of(examples, engine, city_hsm, tmp_path, days[0])
    names: dict[Key, str] = {}
    for number, day in enumerate(days, 1):
        own = [name for name in records if day_of[name] == day]
        city.present("BUS-1", number, [records[name] for name in own])
        names |= {("BUS-1", number, place): name for place, name in enumerate(own)}
        city.clear(day)
    still_inside = {one.tap.id for one in taps if f"{one.tap.at:%H:%M} {one.tap.kind}" == "21:00 entry"}
    assert len(still_inside) == (1 if examples.holdings else 0)
    for key, (price_fen, paid_fen) in kept(city).items():
        pays = examples.pays[names[key]]
        # Whose exit may still come when the night ends has not left the paid area without one yet.
        wanted = 0 if names[key] in still_inside else int(pays) if pays.isdecimal() else None
        assert price_fen == wanted, names[key]
        assert paid_fen == records[names[key]].amount_fen
    assert city.look(check_books) == []


def rides(*plan: tuple[str, str, int]) -> list[TapRecord]:
    """Bus rides of the first card: day and time, line, and what was charged."""
    found = []
    for counter, (at, line, amount_fen) in enumerate(plan, 1):
        moment = date.fromisoformat(at[:10]), int(at[11:13]), int(at[14:16])
        stamp = f"{moment[0]:%Y%m%d}{moment[1]:02d}{moment[2]:02d}00"
        found.append(
            signed(
                replace(
                    TAP,
                    counter=counter,
                    balance_before_fen=100_000,
                    amount_fen=amount_fen,
                    moment=bytes.fromhex(stamp),
                    line=int(line),
                    terminal_sequence=counter,
                )
            )
        )
    return found


MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def settled_city(engine: Engine, city_hsm: Hsm, home: Path) -> SmallCity:
    city = SmallCity(engine, city_hsm, home, (shipped("example-city-1"),))
    city.furnish(day=MONDAY)
    return city


def test_a_ride_that_comes_late_never_takes_a_card_above_its_cap(
    engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    city = settled_city(engine, city_hsm, tmp_path)
    hours = [f"2026-03-02 {hour:02d}:00" for hour in (8, 10, 12, 14, 16, 18, 20)]
    taps = rides(*((at, "12", 200) for at in hours))
    late = taps.pop(0)
    city.present("BUS-1", 1, taps)
    city.clear(MONDAY)
    assert [price for price, _ in kept(city).values()] == [200] * 6, "which is all of the day's 1200"
    city.present("BUS-1", 2, [late])
    city.clear(TUESDAY)
    assert kept(city)["BUS-1", 2, 0] == (0, 0), "what is settled stands, and there is no room left"
    assert sum(paid for _, paid in kept(city).values()) == 1_200
    assert city.look(check_books) == []


def test_a_ride_that_comes_late_is_priced_by_the_tariff_and_the_transfers_of_its_own_day(
    engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    city = SmallCity(engine, city_hsm, tmp_path, (shipped("example-city-1"), shipped("example-city-2")))
    june, july = date(2026, 6, 30), date(2026, 7, 1)
    city.furnish(day=june)
    first, late, new = rides(
        ("2026-06-30 08:00", "12", 200), ("2026-06-30 08:30", "30", 200), ("2026-07-01 08:00", "12", 250)
    )
    city.present("BUS-1", 1, [first])
    city.clear(june)
    city.present("BUS-1", 2, [late, new])
    city.clear(july)
    assert kept(city) == {
        ("BUS-1", 1, 0): (200, 200),
        ("BUS-1", 2, 0): (160, 160),
        ("BUS-1", 2, 1): (250, 250),
    }


def forged(record: TapRecord) -> TapRecord:
    return replace(record, tac=bytes(byte ^ 1 for byte in record.tac))


@pytest.mark.parametrize("order", [lambda files: files, lambda files: list(reversed(files))])
def test_neither_the_order_of_files_nor_copies_nor_forgeries_change_a_price(
    order: Callable[[list[tuple[int, list[TapRecord]]]], list[tuple[int, list[TapRecord]]]],
    engine: Engine, city_hsm: Hsm, tmp_path: Path,
) -> None:  # fmt: skip
    city = settled_city(engine, city_hsm, tmp_path)
    one, two, three = rides(
        ("2026-03-02 08:00", "12", 200), ("2026-03-02 08:30", "30", 160), ("2026-03-02 09:00", "12", 160)
    )
    false = forged(replace(one, moment=bytes.fromhex("20260302071500"), line=30, counter=9))
    for sequence, records in order([(1, [three, one]), (2, [one, two, false])]):
        city.present("BUS-1", sequence, records)
    city.clear(MONDAY)
    found = kept(city)
    copy = next(key for key, (price, _) in found.items() if price is None)
    assert copy == ("BUS-1", 2, 0)
    assert {key: price for key, (price, _) in found.items() if key != copy} == {
        ("BUS-1", 1, 0): 160,
        ("BUS-1", 1, 1): 200,
        ("BUS-1", 2, 1): 160,
        ("BUS-1", 2, 2): 200,
    }


def test_a_night_cut_off_and_run_again_prices_the_same(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> None:
    city = settled_city(engine, city_hsm, tmp_path)
    city.present("BUS-1", 1, rides(("2026-03-02 08:00", "12", 200), ("2026-03-02 08:30", "30", 160)))
    for name in ("collect", "verify", "match", "price"):
        city.step(name, MONDAY)
    before = (city.night(MONDAY).work / "fares.parquet").read_bytes()
    for name in ("match", "price"):
        city.step(name, MONDAY)
    assert (city.night(MONDAY).work / "fares.parquet").read_bytes() == before


def test_a_sale_told_again_changes_nothing_and_another_one_under_its_reference_is_refused(
    engine: Engine,
) -> None:
    [bought] = TABLES[0].holdings
    sale = Sale("S1", replace(bought, card=card_no(1)))
    with writing(engine) as conn:
        assert [keep_sales(conn, [sale, sale]), keep_sales(conn, [sale])] == [1, 0]
        other = Sale("S1", replace(sale.holding, bought_at=bought.bought_at + timedelta(days=1)))
        with pytest.raises(SaleDiffers, match="give it a reference of its own"):
            keep_sales(conn, [other])

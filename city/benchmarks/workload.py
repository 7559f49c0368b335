"""A generated day for benchmarks: batch files with real TACs, and a founded city that can clear them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from random import Random

from card.chip.keys import SUITES, CardKeys, Order, purchase_tac, unwrap_card_keys
from card.hsm.codec import CardKeyRef
from card.registry import CardRecord, register
from city.day import ISSUER, STATIONS, terminal_of
from city.home import CITY_ZONE
from city.plan import CityPlan
from city.world import AGENT, City, found, install
from clearing.devices import Device
from clearing.wire.batch import Ride, TapRecord, batch_name, write_batch
from clearing.wire.bcd import pack_moment
from clearing.wire.tariff import fare_fen, parse_tariff
from ledger.db import writing
from ledger.entry import Entry, Line, Refused
from ledger.post import post

DAY = date(2026, 3, 2)
TAPS_A_CARD = 5
PURSE_FEN = 50_000
ANOMALIES_PERCENT = 2
FARES_FEN = (100, 200, 250, 300, 500)


def prepare(city: City, plan: CityPlan, *, taps: int, seed: int = 1) -> dict[str, bytes]:
    """Found a city with cards enough for `taps`, their purses full, and drop the day's batches into its inbox.

    One tap in a hundred comes twice and one has a TAC with a turned bit. Returns every operator's records.
    """
    dawn = datetime.combine(DAY, time(4), CITY_ZONE)
    found(city, plan, business_date=DAY, at=dawn)
    numbers = [f"0310487{index + 1:013d}" for index in range(max(1, taps // TAPS_A_CARD))]
    with writing(city.engine) as conn:
        register(conn, [CardRecord(n, ISSUER, 1, 1, 0, dawn - timedelta(days=30)) for n in numbers], at=dawn)
        lines = tuple(Line(f"agent:{AGENT}", f"purse:{number}", PURSE_FEN, number) for number in numbers)
        refused = [
            r
            for r in post(conn, [Entry("opening", "opening", DAY, dawn, lines)], at=dawn)
            if isinstance(r, Refused)
        ]
    if refused:
        raise RuntimeError(refused[0].message)
    places = [
        (terminal_of(index, stop), one.id)
        for index, one in enumerate(plan.operators)
        for stop in range(STATIONS)
    ]
    install(city, [Device(terminal, operator, dawn - timedelta(days=365)) for terminal, operator in places])
    records = list(_spoilt(_records(city, plan, numbers, places, taps, Random(seed)), Random(seed + 1)))
    owner = dict(places)
    presented: dict[str, list[bytes]] = {one.id: [] for one in plan.operators}
    for record in records:
        presented[owner[record.terminal]].append(record.pack())
    for operator, packed in presented.items():
        _drop(city, operator, packed, at=dawn + timedelta(hours=18))
    return {operator: b"".join(packed) for operator, packed in presented.items()}


def _drop(city: City, operator: str, records: list[bytes], *, at: datetime) -> None:
    """Put the operator's first batch into the inbox."""
    data = write_batch(
        operator=operator,
        sequence=1,
        business_date=DAY,
        made_at=pack_moment(at),
        mac_key_version=1,
        records=records,
        mac=lambda digest: city.hsm.batch_mac(operator, digest, 1),
    )
    (city.home.inbox / batch_name(operator, 1)).write_bytes(data)


def card_keys(city: City, numbers: list[str]) -> dict[str, CardKeys]:
    """The keys of generated cards, as their chips would hold them."""
    transport_key = bytes.fromhex(city.transport_key_file.read_text())
    references = {number: CardKeyRef.of(ISSUER, number, 1) for number in numbers}
    return {
        number: unwrap_card_keys(city.hsm.card_keys(keys).wrapped, transport_key)
        for number, keys in references.items()
    }


def _records(
    city: City, plan: CityPlan, numbers: list[str], places: list[tuple[str, str]], taps: int, rng: Random
) -> Iterator[TapRecord]:
    """Rides card by card, each card's in order, with their TACs."""
    tariff, suite = parse_tariff(plan.tariff_text), SUITES[0]
    sequences = dict.fromkeys((terminal for terminal, _ in places), 0)
    start = datetime.combine(DAY, time(6), CITY_ZONE)
    keys = card_keys(city, numbers)
    left = taps
    for number in numbers:
        balance_fen, at = PURSE_FEN, start + timedelta(seconds=rng.randrange(3_600))
        for counter in range(min(left, TAPS_A_CARD)):
            at += timedelta(seconds=600 + rng.randrange(3_600))
            terminal, _ = rng.choice(places)
            sequences[terminal] += 1
            list_fen = rng.choice(FARES_FEN)
            amount_fen = fare_fen(
                tariff, ride=Ride.BUS, list_fare_fen=list_fen, holder_class=1, linked=False, full_fare=False
            )
            moment = pack_moment(at)
            tac = purchase_tac(
                suite, keys[number], Order(9, amount_fen, bytes.fromhex(terminal)),
                terminal_sequence=sequences[terminal], moment=moment,
            )  # fmt: skip
            yield TapRecord(
                ride=Ride.BUS, issuer=ISSUER, card_no=number, counter=counter, balance_before_fen=balance_fen,
                amount_fen=amount_fen, kind=9, terminal=terminal, terminal_sequence=sequences[terminal],
                moment=moment, key_version=1, algorithm=0, tac=tac, list_fare_fen=list_fen, holder_class=1,
                linked=False, full_fare=False, line=1, station=1, tariff_version=tariff.version, hotlist_version=0,
            )  # fmt: skip
            balance_fen -= amount_fen
        left -= TAPS_A_CARD


def _spoilt(records: Iterator[TapRecord], rng: Random) -> Iterator[TapRecord]:
    for record in records:
        draw = rng.randrange(100)
        if draw < ANOMALIES_PERCENT // 2:
            yield record
        elif draw < ANOMALIES_PERCENT:
            record = replace(record, tac=bytes([record.tac[0] ^ 1]) + record.tac[1:])
        yield record

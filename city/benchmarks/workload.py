"""A generated day for benchmarks: batch files with real TACs, and a founded city that can clear them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np

from card.registry import CardRecord, register
from card.tables import card, hotlist
from city.agent import AGENT
from city.benchmarks.day_columns import OPENING_FEN, DayColumns, card_digits
from city.benchmarks.tac_maker import tac_maker
from city.day import ISSUER, terminal_of
from city.home import CITY_ZONE
from city.plan import CityPlan
from city.world import City, found, install, night_of
from clearing.devices import Device
from clearing.engine.duck import IN_PROCESS
from clearing.landing import Landing, Sent, TurnedAway, receive
from clearing.wire.batch import RECORD_BYTES, write_batch
from clearing.wire.bcd import pack_moment
from clearing.wire.names import batch_name
from clearing.wire.tariff import parse_tariff
from ledger.bulk import insert_rows
from ledger.db import writing
from ledger.entry import Entry, Line, Refused
from ledger.post import post
from ledger.sharing import Alone
from settlement.night import run_night

DAY = date(2026, 3, 2)
EVE = DAY - timedelta(days=1)
"""When cards are issued and their purses filled; its night is over."""
MOST_CARDS = 2_000_000
TAPS_A_CARD = 5
PLACES = 500
"""Terminals of every operator; the last of each was withdrawn at seven."""
HOTLISTED_EVERY = 10_000
LISTED = (time(9), time(10))
"""When those cards were put on the list, and from when every device had to hold it."""


@dataclass(frozen=True, slots=True)
class Registries:
    """What the city knows beforehand: how many cards, which are listed since and from when, whose the terminals are."""

    cards: int
    listed: frozenset[str]
    listed_at: datetime
    effective_at: datetime
    devices: tuple[Device, ...]


def prepare(
    city: City, plan: CityPlan, *, taps: int, seed: int = 1, purses: bool = True, registry: int | None = None
) -> Registries:
    """Found a city with cards enough for about `taps`, and have its operators send the day's batches.

    Two taps in a hundred are wrong in some way, all ways alike. Only with `purses` is there money to book; without,
    two million cards are registered in seconds. `registry` says how many are, where more than the day needs.
    """
    dawn, dawn_before = (datetime.combine(day, time(4), CITY_ZONE) for day in (DAY, EVE))
    found(city, plan, business_date=EVE, at=dawn_before)
    cards = min(MOST_CARDS, max(20, taps // TAPS_A_CARD))
    numbers = card_digits(max(cards, registry or 0))
    registries = Registries(
        len(numbers),
        frozenset(_text(number) for number in numbers[::HOTLISTED_EVERY]),
        datetime.combine(DAY, LISTED[0], CITY_ZONE),
        datetime.combine(DAY, LISTED[1], CITY_ZONE),
        tuple(_devices(plan, dawn)),
    )
    _register(city, [_text(number) for number in numbers], dawn_before, purses=purses)
    install(city, registries.devices)
    run_night(city.engine, night_of(city, EVE, at=dawn, progress=lambda *_: None, rules=IN_PROCESS))
    listed = ((number, *_listing(registries), "lost") for number in sorted(registries.listed))
    with writing(city.engine) as conn:
        insert_rows(conn, hotlist, listed)
    operators = [one.id for one in plan.operators]
    sequences = dict.fromkeys(operators, 0)
    day = DayColumns(parse_tariff(plan.tariff_text), DAY, cards, len(operators), PLACES, seed)
    with tac_maker() as sign:
        for records, of_operator in day.pieces(taps, sign):
            for index, operator in enumerate(operators):
                own = records[of_operator == index]
                if len(own):
                    sequences[operator] += 1
                    _send(city, operator, sequences[operator], own.tobytes(), at=dawn + timedelta(hours=18))
    return registries


def bodies(city: City, operators: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Every operator's records in the order of its batches, as they lie in the inbox."""
    for operator in sorted(operators):
        paths = sorted(city.home.inbox.glob(f"{operator}-*.ocb"))
        yield operator, b"".join(path.read_bytes()[RECORD_BYTES:-RECORD_BYTES] for path in paths)


def _text(digits: bytes | np.bytes_) -> str:
    return bytes(digits).decode("ascii")


def _listing(registries: Registries) -> tuple[datetime, datetime]:
    return registries.listed_at, registries.effective_at


def _devices(plan: CityPlan, dawn: datetime) -> Iterator[Device]:
    since, seven = dawn - timedelta(days=365), dawn.replace(hour=7)
    for index, operator in enumerate(plan.operators):
        for place in range(PLACES):
            until = seven if place == PLACES - 1 else None
            yield Device(terminal_of(index, place), operator.id, since, until)


def _register(city: City, numbers: list[str], dawn: datetime, *, purses: bool) -> None:
    """Enter the cards in the register; with purses, there is money in each."""
    issued = dawn - timedelta(days=30)
    with writing(city.engine) as conn:
        if not purses:
            insert_rows(
                conn, card, ((n, ISSUER, 1, 1, 0, issued, "active", None, None, dawn) for n in numbers)
            )
            return
        register(conn, [CardRecord(n, ISSUER, 1, 1, 0, issued) for n in numbers], at=dawn)
        lines = tuple(Line(f"agent:{AGENT}", f"purse:{number}", OPENING_FEN, number) for number in numbers)
        answers = post(conn, [Entry("opening", "opening", EVE, dawn, lines)], at=dawn)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    if refused:
        raise RuntimeError(refused[0].message)


def _send(city: City, operator: str, sequence: int, records: bytes, *, at: datetime) -> None:
    """Have a batch of the operator come in through the door, as over HTTP: the archive has it before the night."""
    data = write_batch(
        operator=operator,
        sequence=sequence,
        business_date=DAY,
        made_at=pack_moment(at),
        mac_key_version=1,
        records=[records[start : start + RECORD_BYTES] for start in range(0, len(records), RECORD_BYTES)],
        mac=lambda digest: city.hsm.batch_mac(operator, digest, 1),
    )
    land(
        city,
        Landing(city.home.inbox, city.home.archive),
        Sent(operator, batch_name(operator, sequence), data),
    )


def land(city: City, landing: Landing, file: Sent) -> None:
    """Have a file of the day received. Raises RuntimeError where it is turned away."""
    answer = receive(city.engine, Alone(city.engine), landing, file, DAY)
    if isinstance(answer, TurnedAway):
        raise RuntimeError(answer.receipt.message)

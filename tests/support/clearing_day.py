"""A small city to clear: cards whose TACs are real, operators who present taps, and the night's five steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from card.registry import CardRecord, register
from clearing import steps
from clearing.context import Night, Step, StepResult
from clearing.devices import Device, register_devices
from clearing.engine.duck import IN_PROCESS
from clearing.engine.rules import RuleEngine
from clearing.online.load import LoadOrder, LoadProof, authorise_loads, confirm_loads
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.tables import tap
from clearing.wire.batch import write_batch
from clearing.wire.bcd import CITY_ZONE, pack_moment
from clearing.wire.names import batch_name
from clearing.wire.record import TapRecord
from clearing.wire.ride import Ride
from clearing.wire.tariff import Tariff, parse_tariff
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import DayState, begin_close, current_day, day_state, finish_close, open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post

Answer = TypeVar("Answer")
TAC_ROOT = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
"""The demo HSM's root of TAC keys (docs/formats/hsm.md)."""
ISSUER = "01011000"
DAY = date(2018, 9, 1)
MADE_AT = bytes.fromhex("20180901233000")
TARIFF_FILE = Path(__file__).parents[2] / "clearing/sectors/transit/tariffs/shenzhen-2018.json"
STEPS: tuple[tuple[str, Step], ...] = (
    ("collect", steps.collect),
    ("verify", steps.verify),
    ("match", steps.match),
    ("price", steps.price),
    ("post", steps.post),
)


def shenzhen() -> Tariff:
    """The real tariff of 2018."""
    return parse_tariff(TARIFF_FILE.read_text(encoding="utf-8"))


def card_no(number: int) -> str:
    """The number of the test city's card `number`."""
    return f"0310487{number:013d}"


def terminal_no(number: int) -> str:
    """The number of the test city's terminal `number`."""
    return f"5180{number:08d}"


def at(hour: int, minute: int = 0, second: int = 0, *, day: date = DAY) -> datetime:
    """An instant of a day in the city."""
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=CITY_ZONE).astimezone(UTC)


def _des(key: bytes, block: bytes) -> bytes:
    # Three-key form: of two keys the first comes again, of one key all three are alike.
    encryptor = Cipher(TripleDES((key * 3)[:24]), modes.ECB()).encryptor()
    return encryptor.update(block)


def _diversified(key: bytes, factor: bytes) -> bytes:
    return _des(key, factor) + _des(key, bytes(byte ^ 0xFF for byte in factor))


@lru_cache
def _tac_key(issuer: str, card: str) -> bytes:
    key = _diversified(TAC_ROOT, bytes.fromhex(issuer) + b"\xff" * 4)
    key = _diversified(key, bytes.fromhex(card[4:]))
    return bytes(a ^ b for a, b in zip(key[:8], key[8:], strict=True))


def signed(record: TapRecord) -> TapRecord:
    """The record with the TAC that its card would give."""
    data = record.amount_fen.to_bytes(4, "big") + bytes([record.kind]) + bytes.fromhex(record.terminal)
    data += record.terminal_sequence.to_bytes(4, "big") + record.moment + b"\x80"
    data += bytes(-len(data) % 8)
    mac, key = bytes(8), _tac_key(record.issuer, record.card_no)
    for start in range(0, len(data), 8):
        mac = _des(key, bytes(a ^ b for a, b in zip(mac, data[start : start + 8], strict=True)))
    return replace(record, tac=mac[:4])


TAP = TapRecord(
    ride=Ride.BUS,
    issuer=ISSUER,
    card_no=card_no(1),
    counter=1,
    balance_before_fen=10_000,
    amount_fen=160,
    kind=9,
    terminal=terminal_no(1),
    terminal_sequence=1,
    moment=pack_moment(at(8)),
    key_version=1,
    algorithm=0,
    tac=bytes(4),
    list_fare_fen=200,
    holder_class=1,
    linked=False,
    full_fare=False,
    line=1,
    station=1,
    tariff_version=1,
    hotlist_version=1,
)
"""A bus ride for 200 fen list fare, 160 fen paid, at eight in the morning; not signed yet."""


@dataclass
class SmallCity:
    """A migrated database, an HSM, an inbox, and what has been presented."""

    engine: Engine
    hsm: Hsm
    home: Path
    tariffs: tuple[Tariff | FareTariff, ...] = field(default_factory=lambda: (shenzhen(),))
    rules: RuleEngine = IN_PROCESS

    def __post_init__(self) -> None:
        self.inbox.mkdir(parents=True)

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    def furnish(self, *, cards: int = 3, purse_fen: int = 1_000_000, day: date = DAY) -> None:
        """Open a day, register cards with money in their purses, and two operators with two devices each."""
        records = [
            CardRecord(card_no(n), ISSUER, 1, 1, 0, at(0, day=date(2018, 1, 1))) for n in range(1, cards + 1)
        ]
        long_ago = at(0, day=date(2018, 1, 1))
        with writing(self.engine) as conn:
            open_day(conn, day, at=at(0))
            register(conn, records, at=at(0))
            register_devices(
                conn,
                [Device(terminal_no(1), "BUS-1", long_ago), Device(terminal_no(2), "BUS-1", long_ago),
                 Device(terminal_no(3), "METRO-1", long_ago), Device(terminal_no(4), "METRO-1", long_ago)],
            )  # fmt: skip
            open_accounts(conn, [account("equity:capital")], at=at(0))
            if purse_fen:
                lines = tuple(Line("equity:capital", f"purse:{r.card_no}", purse_fen) for r in records)
                answers = post(conn, [Entry("opening", "opening", day, at(0), lines)], at=at(0))
                assert isinstance(answers[0], Posted)

    def batch(
        self, operator: str, sequence: int, records: Sequence[TapRecord | bytes], *, version: int = 1
    ) -> bytes:
        """The bytes of a batch file, with the HSM's MAC."""
        return write_batch(
            operator=operator,
            sequence=sequence,
            business_date=DAY,
            made_at=MADE_AT,
            mac_key_version=version,
            records=[record if isinstance(record, bytes) else record.pack() for record in records],
            mac=lambda digest: self.hsm.batch_mac(operator, digest, version),
        )

    def present(self, operator: str, sequence: int, records: Sequence[TapRecord | bytes]) -> Path:
        """Put a batch of these records into the inbox."""
        path = self.inbox / batch_name(operator, sequence)
        path.write_bytes(self.batch(operator, sequence, records))
        return path

    def night(self, day: date = DAY) -> Night:
        """The night of a day, booked at one in the morning after it."""
        folder = self.home / "nights" / day.isoformat()
        return Night(
            day, at(1, day=day + timedelta(days=1)), folder, self.inbox, self.home / "archive", self.hsm,
            self.tariffs, lambda _what, _done, _total: None, rules=self.rules,
        )  # fmt: skip

    def step(self, name: str, day: date = DAY) -> StepResult:
        """Run one step of a night and write its result."""
        result = dict(STEPS)[name](self.engine, self.night(day))
        with result.transaction(self.engine) as conn:
            return result.written(conn)

    def clear(self, day: date = DAY) -> dict[str, StepResult]:
        """Close the days up to this one and run the five steps of its night."""
        with writing(self.engine) as conn:
            while (closing := current_day(conn)) <= day:
                if day_state(conn, closing - timedelta(days=1)) is DayState.CLOSING:
                    finish_close(conn, closing - timedelta(days=1), at=at(1, day=closing + timedelta(days=1)))
                begin_close(conn, closing, at=at(1, day=closing + timedelta(days=1)))
        return {name: self.step(name, day) for name, _ in STEPS}

    def load(
        self, card: str, amount_fen: int, *, when: datetime, counter: int, new_balance_fen: int = 0
    ) -> None:
        """Put money on a card's chip, order and proof."""
        reference = f"{card}-{counter}"
        with writing(self.engine) as conn:
            order = LoadOrder(card, amount_fen, "AGENT-1", reference, DAY, when)
            proof = LoadProof(reference, new_balance_fen, counter, b"\0\0\0\1", DAY, when)
            authorise_loads(conn, [order], at=when)
            confirm_loads(conn, [proof], at=when)

    def verdicts(self) -> dict[tuple[str, int, int], str]:
        """The verdict of every tap kept, by (operator, sequence, position)."""
        columns = tap.c
        with reading(self.engine) as conn:
            rows = conn.execute(select(columns.operator, columns.sequence, columns.position, columns.verdict))
            return {(operator, sequence, position): verdict for operator, sequence, position, verdict in rows}

    def look(self, read: Callable[..., Answer], *arguments: object) -> Answer:
        """What a function of a connection reads."""
        with reading(self.engine) as conn:
            return read(conn, *arguments)

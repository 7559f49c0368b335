"""Riders with phones, an issuer, buses: what the tests of rides on codes are put together from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from card.hsm.client import Hsm
from city.phone import Phone
from clearing.context import Night, StepResult
from clearing.devices import Device, register_devices
from clearing.engine.duck import IN_PROCESS
from clearing.online.qr_tables import qr_ride
from clearing.qr_booking import clear_qr, empty_qr_inbox
from clearing.qr_intake import qr_inbox
from clearing.wire.bcd import pack_moment
from clearing.wire.names import qr_batch_name
from clearing.wire.qr import Certificate, certificate_to_sign, raw_of, write_certificate
from clearing.wire.qr_batch import write_qr_batch
from clearing.wire.qr_record import QrRide
from clearing.wire.ride import Ride
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.day import DayState, begin_close, current_day, day_state, finish_close, open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from tests.support.clearing_day import DAY, MADE_AT, at, shenzhen, terminal_no

ISSUER = Ed25519PrivateKey.from_private_bytes(b"\x11" * 32)
ISSUER_KEYS = {1: ISSUER.public_key().public_bytes_raw()}
LONG_AGO = at(0, day=DAY - timedelta(days=200))

Sign = Callable[[bytes], tuple[int, bytes]]


def sign_here(message: bytes) -> tuple[int, bytes]:
    """An issuer in the test itself, where no HSM is asked."""
    return 1, ISSUER.sign(message)


def holder_no(number: int) -> str:
    """The id of the test city's holder `number`."""
    return f"H{number:010d}"


def phone_of(
    number: int,
    *,
    sign: Sign = sign_here,
    serial: int | None = None,
    limit_fen: int = 3_000,
    holder_class: int = 1,
    issued_at: datetime | None = None,
    life: timedelta = timedelta(hours=24),
) -> Phone:
    """The phone of holder `number` with a certificate; a serial of its own where one is given."""
    phone = Phone(number.to_bytes(32, "big"))
    since = issued_at or at(0)
    certificate = Certificate(
        "ONECARD", holder_no(number), (serial or number).to_bytes(8, "big"), phone.device_key, limit_fen,
        holder_class, since, since + life,
    )  # fmt: skip
    version, signature = sign(certificate_to_sign(certificate))
    phone.certificate = write_certificate(certificate, version, signature)
    return phone


def ride_of(
    text: str,
    when: datetime,
    *,
    terminal: int = 1,
    sequence: int = 1,
    amount_fen: int = 160,
    list_fare_fen: int = 200,
) -> QrRide:
    """A bus ride for 200 fen list fare, 160 fen paid, on a shown code."""
    return QrRide(
        Ride.BUS, terminal_no(terminal), sequence, pack_moment(when), amount_fen, list_fare_fen, False, False,
        1, 1, 1, raw_of(text),
    )  # fmt: skip


@dataclass
class QrCity:
    """A migrated database, an HSM, an inbox, holders with wallets, two bus operators with two buses each."""

    engine: Engine
    hsm: Hsm
    home: Path
    phones: dict[int, Phone] = field(default_factory=dict)

    def furnish(self, *, holders: int = 3, wallet_fen: int = 10_000) -> None:
        """Open the day, wallets with money in them, and the buses."""
        codes = [f"wallet:{holder_no(n)}" for n in range(1, holders + 1)]
        with writing(self.engine) as conn:
            open_day(conn, DAY, at=at(0))
            open_accounts(conn, [account(code) for code in ("equity:capital", *codes)], at=at(0))
            register_devices(
                conn,
                [Device(terminal_no(1), "BUS-1", LONG_AGO), Device(terminal_no(2), "BUS-1", LONG_AGO),
                 Device(terminal_no(3), "BUS-2", LONG_AGO), Device(terminal_no(4), "BUS-2", LONG_AGO)],
            )  # fmt: skip
        for code in codes:
            self.fund(code, wallet_fen, reference=f"opening:{code}")
        self.phones = {n: phone_of(n, sign=self.hsm.sign_message) for n in range(1, holders + 1)}

    def fund(self, code: str, amount_fen: int, *, reference: str) -> None:
        """Put money into an account."""
        with writing(self.engine) as conn:
            line = Line("equity:capital", code, amount_fen)
            entry = Entry(reference, "opening", current_day(conn), at(0), (line,))
            assert isinstance(post(conn, [entry], at=at(0))[0], Posted)

    def spend(self, code: str, amount_fen: int) -> None:
        """Let somebody pay a shop, so that the account holds less."""
        with writing(self.engine) as conn:
            open_accounts(conn, [account("clearing:SHOP")], at=at(0))
            line = Line(code, "clearing:SHOP", amount_fen)
            entry = Entry(f"spent:{code}", "purchase", current_day(conn), at(0), (line,))
            assert isinstance(post(conn, [entry], at=at(0))[0], Posted)

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    def batch(self, operator: str, sequence: int, records: Sequence[QrRide | bytes]) -> bytes:
        """The bytes of a QR batch, with the HSM's MAC."""
        return write_qr_batch(
            operator=operator, sequence=sequence, business_date=DAY, made_at=MADE_AT, mac_key_version=1,
            records=[one if isinstance(one, bytes) else one.pack() for one in records],
            mac=lambda digest: self.hsm.batch_mac(operator, digest, 1),
        )  # fmt: skip

    def present(self, operator: str, sequence: int, records: Sequence[QrRide | bytes]) -> Path:
        """Put a batch of these records into the inbox."""
        path = qr_inbox(self.inbox) / qr_batch_name(operator, sequence)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.batch(operator, sequence, records))
        return path

    def night(self, day_no: int = 0) -> Night:
        """The night of the city's day `day_no`, from 0."""
        day = DAY + timedelta(days=day_no)
        folder = self.home / "nights" / day.isoformat()
        return Night(
            day, at(1, day=day + timedelta(days=1)), folder, self.inbox, self.home / "archive", self.hsm,
            (shenzhen(),), lambda _what, _done, _total: None, IN_PROCESS,
        )  # fmt: skip

    def clear(self, day_no: int = 0) -> StepResult:
        """Close the day and run its step for rides on codes."""
        night = self.night(day_no)
        with writing(self.engine) as conn:
            while (closing := current_day(conn)) <= night.business_date:
                if day_state(conn, closing - timedelta(days=1)) is DayState.CLOSING:
                    finish_close(conn, closing - timedelta(days=1), at=at(1, day=closing + timedelta(days=1)))
                begin_close(conn, closing, at=at(1, day=closing + timedelta(days=1)))
        result = clear_qr(self.engine, night)
        with result.transaction(self.engine) as conn:
            result = result.written(conn)
        empty_qr_inbox(self.engine, night)
        return result

    def held_fen(self, code: str) -> int:
        """The balance of an account."""
        with reading(self.engine) as conn:
            return balance(conn, code).balance_fen

    def verdicts(self) -> dict[tuple[str, int, int], str]:
        """The verdict of every ride kept, by (operator, sequence, position)."""
        columns = qr_ride.c
        with reading(self.engine) as conn:
            query = qr_ride.select().with_only_columns(
                columns.operator, columns.sequence, columns.position, columns.verdict
            )
            return {(row[0], row[1], row[2]): row[3] for row in conn.execute(query)}

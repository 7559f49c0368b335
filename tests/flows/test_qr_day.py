"""A day on codes, from the certificate to the bank: phones online once, buses offline all day, the night after."""

import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from card.holders import Enrolled, Person, enrol
from card.loss import report_loss
from card.vault import open_vault
from city.demo import DEMO_DATE, moment
from city.phone import Phone
from city.plan import read_plan
from city.world import City, found, install, night_of
from clearing.devices import Device
from clearing.engine.duck import IN_PROCESS
from clearing.online.qr import CertificateIssued, CertificateRefused, issue_certificate
from clearing.online.qr_tables import qr_ride
from clearing.qr_intake import qr_inbox
from clearing.qr_owed import owed_fen
from clearing.wire.batch import Ride
from clearing.wire.tariff import parse_tariff
from ledger.accounts import open_accounts
from ledger.balances import balance, balances
from ledger.chart import account
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from settlement.night import run_night, unobserved
from settlement.reports import night_summary
from terminals.qr_outbox import QrOutbox
from terminals.qr_upload import QrUploader
from terminals.qr_validator import QrRefusal, QrValidator
from terminals.shelf import BatchState
from terminals.trip import Identity
from terminals.validator import RideFacts
from tests.support.night_books import csv_table, statement_fen

PLAN = read_plan("demo")
BUS = RideFacts(Ride.BUS, 200, line=7)
IDENTITIES = ("11010519491231002X", "440524188001010014")


def quiet(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


class QrDay:
    """One operator with two buses that never meet, two riders with phones."""

    def __init__(self, city: City, folder: Path) -> None:
        self.city = city
        self.operator = next(one.id for one in PLAN.operators if one.id.startswith("BUS"))
        found(city, PLAN, business_date=DEMO_DATE, at=moment(DEMO_DATE, 4))
        terminals = ("518000900001", "518000900002")
        since = moment(DEMO_DATE, 0) - timedelta(days=30)
        install(city, [Device(terminal, self.operator, since) for terminal in terminals])
        keys = dict([city.hsm.qr_public_key()])
        self.outbox = QrOutbox(folder / "depot.db", "off")
        self.buses = [
            QrValidator(Identity(terminal), self.outbox, keys, parse_tariff(PLAN.tariff_text))
            for terminal in terminals
        ]
        self.uploader = QrUploader(self.operator, self.outbox, city.hsm, qr_inbox(city.home.inbox))
        self.holders = self._enrol()

    def _enrol(self) -> list[str]:
        at = moment(DEMO_DATE, 5)
        vault = open_vault(self.city.engine, self.city.hsm, random=secrets.token_bytes, at=at)
        with writing(self.city.engine) as conn:
            answers = [enrol(conn, vault, Person(one, "王五", "13800001234"), at=at) for one in IDENTITIES]
            return [one.holder for one in answers if isinstance(one, Enrolled)]

    def fund(self, holder: str, amount_fen: int, *, reference: str) -> None:
        with writing(self.city.engine) as conn:
            open_accounts(conn, [account("bank:reserve")], at=moment(DEMO_DATE, 5))
            line = Line("bank:reserve", f"wallet:{holder}", amount_fen)
            entry = Entry(reference, "topup", DEMO_DATE, moment(DEMO_DATE, 5), (line,))
            assert isinstance(post(conn, [entry], at=moment(DEMO_DATE, 5))[0], Posted)

    def phone(self, place: int) -> Phone:
        phone = Phone(bytes([place + 1]) * 32)
        at = moment(DEMO_DATE, 6)
        issued = issue_certificate(
            self.city.engine, self.city.hsm, self.holders[place], phone.device_key, at=at
        )
        assert isinstance(issued, CertificateIssued)
        phone.certificate = issued.raw
        return phone

    def deliver(self) -> None:
        self.uploader.make(DEMO_DATE, at=moment(DEMO_DATE, 22))
        self.uploader.send()

    def night(self) -> None:
        """The whole night."""
        night = night_of(self.city, DEMO_DATE, at=moment(DEMO_DATE, 23, 30), progress=quiet, rules=IN_PROCESS)
        run_night(self.city.engine, night, observe=unobserved)


@pytest.fixture
def day(city: City, tmp_path: Path) -> QrDay:
    return QrDay(city, tmp_path)


def test_a_day_on_codes_ends_in_what_the_bank_is_told_to_pay(day: QrDay) -> None:
    rider, friend = day.holders
    day.fund(rider, 3_000, reference="t1")
    day.fund(friend, 200, reference="t2")
    phones = [day.phone(0), day.phone(1)]
    first, second = day.buses
    at = moment(DEMO_DATE, 8)
    shown = phones[0].show(at=at)
    assert first.scan(shown, BUS, at=at).opened
    assert first.scan(shown, BUS, at=at).refusal is QrRefusal.REPLAYED
    # A photograph of the same code rides on another bus at the same time: nobody there can know.
    assert second.scan(shown, BUS, at=at + timedelta(seconds=10)).opened
    for hour in (9, 10):
        later = moment(DEMO_DATE, hour)
        assert second.scan(phones[1].show(at=later), BUS, at=later).opened
    day.deliver()
    day.night()
    with reading(day.city.engine) as conn:
        columns = qr_ride.c
        query = select(columns.verdict, columns.holder, columns.paid_fen, columns.short_fen)
        assert conn.execute(query.order_by(columns.event_at)).all() == [
            ("accepted", rider, 160, 0), ("replayed", rider, 0, 0),
            ("accepted", friend, 160, 0), ("accepted", friend, 160, 120),
        ]  # fmt: skip
        assert balance(conn, f"wallet:{rider}").balance_fen == 2_840
        assert balance(conn, f"wallet:{friend}").balance_fen == 0
        assert balance(conn, "suspense:purse_shortfall").balance_fen == owed_fen(conn, friend) == 120
        summary = night_summary(conn, DEMO_DATE)
        assert {row.verdict: (row.taps, row.new, row.paid_fen) for row in summary.code_verdicts} == {
            "accepted": (3, 3, 480), "replayed": (1, 1, 0),
        }  # fmt: skip
        owed = {row.party: row.gross_fen for row in summary.positions if row.party == day.operator}
        assert owed == {day.operator: 480}
        assert sum(one.net_fen for one in balances(conn)) == 0
        assert check_books(conn) == []
    statements = day.city.home.night(DEMO_DATE) / "out" / "statements"
    assert statement_fen(statements, day.operator, f"{DEMO_DATE:%Y%m%d}") == (480, 480)
    lines = csv_table(statements / f"{day.operator}-{DEMO_DATE:%Y%m%d}-codes.csv")
    assert [(line["verdict"], line["paid yuan"]) for line in lines] == [
        ("accepted", "1.60"), ("replayed", "0.00"), ("accepted", "1.60"), ("accepted", "1.60"),
    ]  # fmt: skip
    assert rider not in "".join(line["code"] for line in lines)
    assert day.uploader.take_acknowledgements() == [1]
    assert [batch.state for batch in day.outbox.batches()] == [BatchState.ACKNOWLEDGED]


def test_who_owes_for_rides_gets_no_new_certificate_until_the_night_has_taken_it(day: QrDay) -> None:
    rider = day.holders[0]
    day.fund(rider, 200, reference="t1")
    phone, bus = day.phone(0), day.buses[0]
    for minute in range(2):
        at = moment(DEMO_DATE, 8, minute)
        assert bus.scan(phone.show(at=at), BUS, at=at).opened
    day.deliver()
    day.night()
    refused = issue_certificate(
        day.city.engine, day.city.hsm, rider, phone.device_key, at=moment(DEMO_DATE, 23, 59)
    )
    assert isinstance(refused, CertificateRefused) and refused.reason.value == "rides_owed"


def test_a_lost_phone_stops_at_once_online_and_at_night_for_what_it_did_offline(day: QrDay) -> None:
    rider = day.holders[0]
    day.fund(rider, 3_000, reference="t1")
    phone, bus = day.phone(0), day.buses[0]
    before, after = moment(DEMO_DATE, 8), moment(DEMO_DATE, 10)
    assert bus.scan(phone.show(at=before), BUS, at=before).opened
    with writing(day.city.engine) as conn:
        report_loss(conn, rider, at=moment(DEMO_DATE, 9))
    assert bus.scan(phone.show(at=after), BUS, at=after).opened
    bus.locked = frozenset({rider})
    told = moment(DEMO_DATE, 11)
    assert bus.scan(phone.show(at=told), BUS, at=told).refusal is QrRefusal.HOLDER_LOCKED
    day.deliver()
    day.night()
    with reading(day.city.engine) as conn:
        verdicts = conn.scalars(select(qr_ride.c.verdict).order_by(qr_ride.c.event_at)).all()
        assert verdicts == ["accepted", "holder_locked"]
        assert balance(conn, f"wallet:{rider}").balance_fen == 2_840
    rows = csv_table(day.city.home.night(DEMO_DATE) / "out" / "reports" / "exceptions.csv")
    (row,) = [row for row in rows if row["exception"] == "holder_locked"]
    assert (row["operator"], row["money"], row["what"]) == (
        day.operator,
        "suspended",
        "the holder had reported a loss",
    )
    assert row["file"].startswith(f"{day.operator}-") and rider not in str(row)

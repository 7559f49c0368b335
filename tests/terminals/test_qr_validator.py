"""Riders' codes at a bus door with no line to anybody: who passes, and what is on the disk before the gate opens."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from city.phone import Phone
from clearing.wire.batch import Ride
from clearing.wire.qr import Certificate, certificate_to_sign, raw_of, write_certificate
from clearing.wire.signed import Kind
from terminals.display import CODE_REFUSED, Tone, shown_for_code
from terminals.holdings import Holdings
from terminals.qr_outbox import QrOutbox
from terminals.qr_validator import QrRefusal, QrValidator
from terminals.shelf import OutboxError
from terminals.trip import Identity
from terminals.validator import RideFacts
from tests.terminals.depot import AT, GATE, NEXT_GATE, TARIFF
from tests.terminals.signed_files import KEYS as FILE_KEYS
from tests.terminals.signed_files import MADE, document, settings_text, tariff_text

ISSUER = Ed25519PrivateKey.from_private_bytes(b"\x21" * 32)
KEYS = {1: ISSUER.public_key().public_bytes_raw()}
BUS = RideFacts(Ride.BUS, 200, line=1)


def phone(
    *, holder_class: int = 1, limit_fen: int = 3_000, by: Ed25519PrivateKey = ISSUER, version: int = 1,
    since: datetime = AT, life: timedelta = timedelta(hours=24),
) -> Phone:  # fmt: skip
    made = Phone(b"\x31" * 32)
    certificate = Certificate(
        "ONECARD", "H0000000001", b"serial-1", made.device_key, limit_fen, holder_class, since, since + life
    )
    made.certificate = write_certificate(certificate, version, by.sign(certificate_to_sign(certificate)))
    return made


@pytest.fixture
def qr_outbox(tmp_path: Path) -> QrOutbox:
    return QrOutbox(tmp_path / "qr.db", "off")


def validator(outbox: QrOutbox, terminal: str = GATE, *, locked: frozenset[str] = frozenset()) -> QrValidator:
    return QrValidator(Identity(terminal), outbox, KEYS, TARIFF, locked)


def test_a_good_code_opens_the_gate_and_the_ride_is_on_the_disk(qr_outbox: QrOutbox, tmp_path: Path) -> None:
    text = phone().show(at=AT)
    outcome = validator(qr_outbox).scan(text, BUS, at=AT)
    assert outcome.opened and outcome.record is not None
    assert (outcome.record.amount_fen, outcome.record.code) == (160, raw_of(text))
    qr_outbox.close()
    with QrOutbox(tmp_path / "qr.db") as again:
        assert again.records() == [outcome.record]


def test_a_telephone_without_a_certificate_shows_nothing() -> None:
    with pytest.raises(RuntimeError):
        Phone(bytes(32)).show(at=AT)


@pytest.mark.parametrize(("holder_class", "amount_fen"), [(1, 160), (2, 100), (3, 0)])
def test_the_fare_follows_the_class_in_the_certificate(
    qr_outbox: QrOutbox, holder_class: int, amount_fen: int
) -> None:
    outcome = validator(qr_outbox).scan(phone(holder_class=holder_class).show(at=AT), BUS, at=AT)
    assert outcome.record is not None and outcome.record.amount_fen == amount_fen


@pytest.mark.parametrize(
    ("text", "ride", "at", "refusal"),
    [
        (lambda: "88123", BUS, AT, QrRefusal.UNREADABLE),
        (lambda: phone().show(at=AT)[:-2], BUS, AT, QrRefusal.UNREADABLE),
        (lambda: phone().show(at=AT), BUS, datetime(1999, 1, 1, tzinfo=AT.tzinfo), QrRefusal.TARIFF_NOT_IN_FORCE),
        (lambda: phone(version=2).show(at=AT), BUS, AT, QrRefusal.ISSUER_KEY_UNKNOWN),
        (lambda: phone(by=Ed25519PrivateKey.generate()).show(at=AT), BUS, AT, QrRefusal.CERTIFICATE_FORGED),
        (lambda: phone().show(at=AT), BUS, AT - timedelta(minutes=2), QrRefusal.NOT_YET_VALID),
        (lambda: phone(life=timedelta(seconds=5)).show(at=AT), BUS, AT + timedelta(seconds=5),
         QrRefusal.CERTIFICATE_EXPIRED),
        (lambda: phone().show(at=AT), BUS, AT + timedelta(seconds=61), QrRefusal.CODE_STALE),
        (lambda: phone().show(at=AT), RideFacts(Ride.BUS, 10**7), AT, QrRefusal.FARE_OUT_OF_BOUNDS),
        (lambda: phone(limit_fen=159).show(at=AT), BUS, AT, QrRefusal.OVER_LIMIT),
    ],
)  # fmt: skip
def test_the_gate_stays_shut_for_the_first_reason_that_applies(
    qr_outbox: QrOutbox, text: Callable[[], str], ride: RideFacts, at: datetime, refusal: QrRefusal
) -> None:
    outcome = validator(qr_outbox).scan(text(), ride, at=at)
    assert (outcome.refusal, outcome.record, qr_outbox.records()) == (refusal, None, [])


def test_a_locked_holder_does_not_pass_where_the_list_names_him(qr_outbox: QrOutbox) -> None:
    door = validator(qr_outbox, locked=frozenset({"H0000000001"}))
    assert door.scan(phone().show(at=AT), BUS, at=AT).refusal is QrRefusal.HOLDER_LOCKED


def test_a_code_opens_one_validator_once_also_after_a_restart(qr_outbox: QrOutbox, tmp_path: Path) -> None:
    """A photograph of the code is worth nothing at the same door; another door cannot know of it."""
    text = phone().show(at=AT)
    assert validator(qr_outbox).scan(text, BUS, at=AT).opened
    qr_outbox.close()
    with QrOutbox(tmp_path / "qr.db", "off") as again:
        assert validator(again).scan(text, BUS, at=AT).refusal is QrRefusal.REPLAYED
        assert validator(again, NEXT_GATE).scan(text, BUS, at=AT).opened


def test_a_new_code_of_the_same_telephone_opens_again(qr_outbox: QrOutbox) -> None:
    one, door = phone(), validator(qr_outbox)
    outcomes = [door.scan(one.show(at=AT), BUS, at=AT) for _ in range(3)]
    assert [outcome.record and outcome.record.terminal_sequence for outcome in outcomes] == [1, 2, 3]


def test_a_full_outbox_shuts_the_gate_until_a_batch_is_acknowledged(tmp_path: Path) -> None:
    with QrOutbox(tmp_path / "small.db", "off", capacity=1) as outbox:
        one, door = phone(), validator(outbox)
        assert door.scan(one.show(at=AT), BUS, at=AT).opened
        assert door.scan(one.show(at=AT), BUS, at=AT).refusal is QrRefusal.OUTBOX_FULL
        (number, body), *_ = outbox.waiting(10)
        outbox.store_batch(sequence=1, operator="BUS-1", business_date=AT.date(), body=body, numbers=[number])
        assert outbox.is_full()
        outbox.acknowledge(1)
        outbox.acknowledge(1)
        assert door.scan(one.show(at=AT), BUS, at=AT).opened
        assert outbox.is_full()


def test_a_ride_is_in_one_batch_only_and_a_depot_has_one_name(qr_outbox: QrOutbox) -> None:
    validator(qr_outbox).scan(phone().show(at=AT), BUS, at=AT)
    ((number, body),) = qr_outbox.waiting(10)
    fresh = {"business_date": AT.date(), "body": body, "numbers": [number]}
    with pytest.raises(OutboxError):
        qr_outbox.store_batch(sequence=2, operator="BUS-1", **fresh)  # type: ignore[arg-type]
    qr_outbox.store_batch(sequence=1, operator="BUS-1", **fresh)  # type: ignore[arg-type]
    for operator in ("BUS-1", "BUS-2"):
        with pytest.raises(OutboxError):
            qr_outbox.store_batch(sequence=2, operator=operator, **fresh)  # type: ignore[arg-type]
    assert [(batch.sequence, batch.records) for batch in qr_outbox.batches()] == [(1, 1)]


@given(text=st.text(max_size=60) | st.from_regex(r"OC1:[0-9A-Z]{0,60}", fullmatch=True))
@settings(max_examples=80)
def test_no_text_makes_a_validator_raise(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with QrOutbox(tmp_path_factory.getbasetemp() / "fuzz.db", "off") as outbox:
        assert validator(outbox).scan(text, BUS, at=AT).refusal is QrRefusal.UNREADABLE


def test_a_door_obeys_the_signed_tariff_of_the_day_and_its_clock(qr_outbox: QrOutbox, tmp_path: Path) -> None:
    holdings = Holdings(tmp_path / "held", FILE_KEYS, GATE)
    door = QrValidator(Identity(GATE), qr_outbox, KEYS, TARIFF, holdings=holdings)
    holdings.take(document(Kind.TARIFF, tariff_text(version=4, linked_discount_fen=0)))
    holdings.take(document(Kind.SETTINGS, settings_text()))
    outcome = door.scan(phone().show(at=AT), BUS, at=AT)
    assert outcome.record is not None
    assert outcome.record.tariff_version == 4
    early = MADE - timedelta(seconds=301)
    assert door.scan(phone(since=early).show(at=early), BUS, at=early).refusal is QrRefusal.CLOCK_WRONG


def test_a_door_takes_the_holders_and_as_many_rides_as_its_settings_say(
    qr_outbox: QrOutbox, tmp_path: Path
) -> None:
    holdings = Holdings(tmp_path / "held", FILE_KEYS, GATE)
    door = QrValidator(Identity(GATE), qr_outbox, KEYS, TARIFF, holdings=holdings)
    holdings.take(document(Kind.SETTINGS, settings_text(holder_classes=["standard"], capacity=1)))
    assert door.scan(phone(holder_class=2).show(at=AT), BUS, at=AT).refusal is QrRefusal.CLASS_UNKNOWN
    one = phone()
    assert door.scan(one.show(at=AT), BUS, at=AT).opened
    assert door.scan(one.show(at=AT), BUS, at=AT).refusal is QrRefusal.OUTBOX_FULL


def test_a_tariff_that_is_over_leaves_a_door_with_the_one_it_was_installed_with(
    qr_outbox: QrOutbox, tmp_path: Path
) -> None:
    holdings = Holdings(tmp_path / "held", FILE_KEYS, GATE)
    door = QrValidator(Identity(GATE), qr_outbox, KEYS, TARIFF, holdings=holdings)
    today = AT.date().isoformat()
    holdings.take(document(Kind.TARIFF, tariff_text(version=4, valid_from=today, valid_to=today)))
    one = phone(life=timedelta(days=3))
    versions = []
    for at in (AT, AT + timedelta(days=2)):
        outcome = door.scan(one.show(at=at), BUS, at=at)
        assert outcome.record is not None, outcome.refusal
        versions.append(outcome.record.tariff_version)
    assert versions == [4, TARIFF.version]


def test_every_outcome_of_a_code_is_shown_in_both_languages_and_sounds(qr_outbox: QrOutbox) -> None:
    assert set(CODE_REFUSED) == set(QrRefusal)
    for display in CODE_REFUSED.values():
        assert display.chinese
        assert display.english.isascii()
        assert display.tone in (Tone.NO, Tone.AGAIN)
    door, one = validator(qr_outbox), phone()
    text = one.show(at=AT)
    paid = shown_for_code(door.scan(text, BUS, at=AT))
    assert (paid.chinese, paid.english, paid.tone) == ("扣款1.60元", "Paid ¥1.60", Tone.ONE)
    assert shown_for_code(door.scan(text, BUS, at=AT)).english == "Code already used: refresh it"
    entry = RideFacts(Ride.METRO_ENTRY, 0)
    assert shown_for_code(door.scan(one.show(at=AT), entry, at=AT), 2).tone is Tone.TWO

"""Certificates, pay codes and merchants' codes online: what is issued, charged once, and refused for what."""

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, inspect, select

from card.holders import Enrolled, Person, enrol, tie_card
from card.hsm.client import Hsm
from card.loss import report_loss
from card.registry import CardRecord, register
from card.vault import open_vault
from city.phone import Phone
from clearing.online import qr_tables
from clearing.online.merchant_codes import (
    MerchantCodeOrder,
    MerchantCodeRefusal,
    MerchantCodeRefused,
    Scan,
    codes_of_merchant,
    make_merchant_code,
    pay_merchant_code,
    withdraw_merchant_code,
)
from clearing.online.pay_codes import (
    LIMIT_FEN,
    Charge,
    PayCode,
    PayCodeRefusal,
    PayCodeRefused,
    charge_pay_code,
    check_digit,
    make_pay_code,
)
from clearing.online.payment import Approved, Decline, Declined
from clearing.online.qr import (
    CERTIFICATE_LIFE,
    CertificateIssued,
    CertificateRefusal,
    CertificateRefused,
    issue_certificate,
)
from clearing.wire.emvco import MerchantCode, write_merchant_code
from clearing.wire.qr import check_code, raw_of, read_certificate, read_code
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.checks import check_books
from ledger.day import open_day
from ledger.db import metadata, migrate, reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from tests.support.clearing_day import DAY, ISSUER, at, card_no

NOON = at(12)
ORDER = MerchantCodeOrder("SHOP-1", "Best Noodles", "Kunming", "5812", name_zh="最佳面馆")
OURS = {
    "qr_certificate", "qr_pay_code", "qr_merchant_code", "qr_batch_file", "qr_ride",
}  # fmt: skip


class Town:
    """Two holders, one with 100 yuan and one with 1, a shop and another."""

    def __init__(self, engine: Engine, hsm: Hsm) -> None:
        self.engine, self.hsm = engine, hsm
        vault = open_vault(engine, hsm, random=secrets.token_bytes, at=at(0))
        with writing(engine) as conn:
            open_day(conn, DAY, at=at(0))
            answers = [
                enrol(conn, vault, Person(number, "张三", "13800001234"), at=at(0))
                for number in ("11010519491231002X", "440524188001010014")
            ]
            self.rich, self.poor = (one.holder for one in answers if isinstance(one, Enrolled))
            codes = ("equity:capital", "clearing:SHOP-1", "clearing:SHOP-2")
            open_accounts(conn, [account(code) for code in codes], at=at(0))
            lines = (Line("equity:capital", f"wallet:{self.rich}", 10_000),
                     Line("equity:capital", f"wallet:{self.poor}", 100))  # fmt: skip
            (posted,) = post(conn, [Entry("opening", "opening", DAY, at(0), lines)], at=at(0))
            assert isinstance(posted, Posted)

    def held_fen(self, code: str) -> int:
        with reading(self.engine) as conn:
            return balance(conn, code).balance_fen

    def lose(self, owner: str) -> None:
        with writing(self.engine) as conn:
            report_loss(conn, owner, at=at(11))


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm) -> Town:
    return Town(engine, city_hsm)


def made(conn: Connection, owner: str, *, random: bytes = bytes(15) + b"\7") -> str:
    code = make_pay_code(conn, owner, random=random, at=NOON)
    assert isinstance(code, PayCode)
    return code.code


def test_the_migration_makes_the_tables_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
    assert set(inspect(engine).get_table_names()) >= OURS


def test_the_migration_goes_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "base")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS


def test_a_phone_gets_a_certificate_that_a_validator_believes(town: Town) -> None:
    phone = Phone(b"\5" * 32)
    issued = issue_certificate(town.engine, town.hsm, town.rich, phone.device_key, at=NOON)
    assert isinstance(issued, CertificateIssued)
    one = issued.certificate
    assert (one.holder, one.limit_fen, one.holder_class) == (town.rich, 3_000, 1)
    assert (one.issued_at, one.expires_at) == (NOON, NOON + CERTIFICATE_LIFE)
    assert read_certificate(issued.raw).certificate == one
    phone.certificate = issued.raw
    version, key = town.hsm.qr_public_key()
    assert check_code(read_code(raw_of(phone.show(at=NOON))), {version: key}, at=NOON) is None
    with reading(town.engine) as conn:
        columns = qr_tables.qr_certificate.c
        assert conn.execute(select(columns.serial, columns.holder)).all() == [(one.serial.hex(), town.rich)]


def test_the_certificate_carries_the_best_class_of_the_holders_cards(town: Town) -> None:
    with writing(town.engine) as conn:
        cards = [
            CardRecord(card_no(n), ISSUER, holder_class, 1, 0, at(0)) for n, holder_class in ((1, 2), (2, 1))
        ]
        register(conn, cards, at=at(0))
        for card in cards:
            tie_card(conn, town.rich, card.card_no, at=at(0))
    issued = issue_certificate(town.engine, town.hsm, town.rich, bytes(32), at=NOON)
    assert isinstance(issued, CertificateIssued) and issued.certificate.holder_class == 2


@pytest.mark.parametrize(
    ("who", "key", "reason"),
    [
        ("H9999999999", bytes(31), CertificateRefusal.DEVICE_KEY_MALFORMED),
        ("H9999999999", bytes(32), CertificateRefusal.HOLDER_UNKNOWN),
        ("lost", bytes(32), CertificateRefusal.HOLDER_LOCKED),
        ("poor", bytes(32), CertificateRefusal.WALLET_TOO_LOW),
    ],
)
def test_no_certificate_is_issued_for_the_first_reason_that_applies(
    town: Town, who: str, key: bytes, reason: CertificateRefusal
) -> None:
    if who == "lost":
        town.lose(town.poor)
    owner = town.poor if who in ("lost", "poor") else who
    refused = issue_certificate(town.engine, town.hsm, owner, key, at=NOON)
    assert isinstance(refused, CertificateRefused) and refused.reason is reason


def test_the_check_digit_is_luhns() -> None:
    """ISO/IEC 7812-1, annex B, and the example everybody quotes."""
    assert check_digit("7992739871") == "3"


@given(random=st.binary(min_size=16, max_size=16))
@settings(max_examples=30)
def test_a_pay_code_has_eighteen_digits_that_check(random: bytes) -> None:
    number = int.from_bytes(random, "big") % 10**15
    digits = f"88{number:015d}"
    total = sum(sum(divmod(int(d) * (1 + place % 2), 10)) for place, d in enumerate(digits[::-1] + "", 1))
    assert (total + int(check_digit(digits))) % 10 == 0


def test_a_shown_code_is_charged_once_and_the_charge_answered_again(town: Town) -> None:
    with writing(town.engine) as conn:
        charge = Charge("till-1", "SHOP-1", made(conn, town.rich), 1_250, DAY, NOON)
        assert charge_pay_code(conn, charge, at=NOON) == Approved("qr:SHOP-1:till-1", True)
        late = NOON + timedelta(hours=1)
        assert charge_pay_code(conn, charge, at=late) == Approved("qr:SHOP-1:till-1", False)
        again = charge_pay_code(conn, replace(charge, reference="till-2"), at=NOON)
        assert isinstance(again, PayCodeRefused) and again.reason is PayCodeRefusal.CODE_USED
        other = charge_pay_code(conn, replace(charge, amount_fen=1), at=NOON)
        assert isinstance(other, Declined) and other.reason is Decline.REFERENCE_TAKEN
        assert check_books(conn) == []
    assert (town.held_fen(f"wallet:{town.rich}"), town.held_fen("clearing:SHOP-1")) == (8_750, 1_250)


def test_a_declined_charge_leaves_the_code_good_for_a_smaller_one(town: Town) -> None:
    with writing(town.engine) as conn:
        charge = Charge("till-1", "SHOP-1", made(conn, town.poor), 101, DAY, NOON)
        declined = charge_pay_code(conn, charge, at=NOON)
        assert isinstance(declined, Declined) and declined.reason is Decline.INSUFFICIENT
        smaller = replace(charge, reference="till-2", amount_fen=100)
        assert isinstance(charge_pay_code(conn, smaller, at=NOON), Approved)
    assert town.held_fen(f"wallet:{town.poor}") == 0


@pytest.mark.parametrize(
    ("change", "at_s", "reason"),
    [
        ({"code": "88"}, 0, PayCodeRefusal.CODE_MALFORMED),
        ({"code": "880000000000000011"}, 0, PayCodeRefusal.CODE_MALFORMED),
        ({"code": "٨٨0000000000000000"}, 0, PayCodeRefusal.CODE_MALFORMED),
        ({"code": "88000000000000001" + check_digit("88000000000000001")}, 0, PayCodeRefusal.CODE_UNKNOWN),
        ({}, 60, PayCodeRefusal.CODE_EXPIRED),
        ({"amount_fen": LIMIT_FEN + 1}, 60, PayCodeRefusal.CODE_EXPIRED),
        ({"amount_fen": LIMIT_FEN + 1}, 59, PayCodeRefusal.OVER_LIMIT),
    ],
)
def test_a_charge_is_refused_for_the_first_reason_that_applies(
    town: Town, change: dict[str, object], at_s: int, reason: PayCodeRefusal
) -> None:
    with writing(town.engine) as conn:
        charge = Charge("till-1", "SHOP-1", made(conn, town.rich), 1_000, DAY, NOON)
        charge = replace(charge, **change)  # type: ignore[arg-type]
        refused = charge_pay_code(conn, charge, at=NOON + timedelta(seconds=at_s))
    assert isinstance(refused, PayCodeRefused) and refused.reason is reason
    assert town.held_fen("clearing:SHOP-1") == 0


def test_a_lost_phone_neither_makes_nor_pays_codes(town: Town) -> None:
    with writing(town.engine) as conn:
        code = made(conn, town.rich)
    town.lose(town.rich)
    with writing(town.engine) as conn:
        refused = make_pay_code(conn, town.rich, random=bytes(16), at=NOON)
        assert isinstance(refused, PayCodeRefused) and refused.reason is PayCodeRefusal.HOLDER_LOCKED
        unknown = make_pay_code(conn, "H9999999999", random=bytes(16), at=NOON)
        assert isinstance(unknown, PayCodeRefused) and unknown.reason is PayCodeRefusal.HOLDER_UNKNOWN
        declined = charge_pay_code(conn, Charge("t", "SHOP-1", code, 1, DAY, NOON), at=NOON)
        assert isinstance(declined, Declined) and declined.reason is Decline.HOLDER_LOCKED


def test_pay_codes_are_not_in_the_database_and_old_ones_leave_it(town: Town) -> None:
    with writing(town.engine) as conn:
        code = made(conn, town.rich)
        assert code not in str(conn.execute(select(qr_tables.qr_pay_code)).all())
        make_pay_code(conn, town.rich, random=b"\1" * 16, at=NOON + timedelta(days=2))
        assert len(conn.execute(select(qr_tables.qr_pay_code)).all()) == 1
    with pytest.raises(ValueError, match="16"), writing(town.engine) as conn:
        make_pay_code(conn, town.rich, random=b"\1", at=NOON)


def shop_code(conn: Connection, order: MerchantCodeOrder = ORDER) -> MerchantCode:
    code = make_merchant_code(conn, order, at=NOON)
    assert isinstance(code, MerchantCode)
    return code


def scan(town: Town, code: MerchantCode, *, amount_fen: int | None = None, reference: str = "p-1") -> Scan:
    return Scan(reference, town.rich, write_merchant_code(code), amount_fen, DAY, NOON)


def test_a_code_at_a_counter_is_paid_by_whoever_scans_it(town: Town) -> None:
    with writing(town.engine) as conn:
        first, second = shop_code(conn), shop_code(conn)
        assert (first.code, second.code) == ("000000000018", "000000000026")
        one = scan(town, first, amount_fen=700)
        assert pay_merchant_code(conn, one, at=NOON) == Approved(f"qr-scan:{town.rich}:p-1", True)
        assert pay_merchant_code(conn, one, at=NOON) == Approved(f"qr-scan:{town.rich}:p-1", False)
        two = scan(town, first, amount_fen=700, reference="p-2")
        assert pay_merchant_code(conn, two, at=NOON) == Approved(f"qr-scan:{town.rich}:p-2", True)
        assert codes_of_merchant(conn, "SHOP-1") == [first, second]
    assert (town.held_fen("clearing:SHOP-1"), town.held_fen(f"wallet:{town.rich}")) == (1_400, 8_600)


def test_a_code_for_one_bill_is_paid_once(town: Town) -> None:
    with writing(town.engine) as conn:
        code = shop_code(conn, replace(ORDER, amount_fen=880, one_time=True))
        assert isinstance(pay_merchant_code(conn, scan(town, code), at=NOON), Approved)
        assert pay_merchant_code(conn, scan(town, code), at=NOON) == Approved(
            f"qr-scan:{town.rich}:p-1", False
        )
        again = pay_merchant_code(conn, scan(town, code, reference="p-2"), at=NOON)
        assert isinstance(again, MerchantCodeRefused) and again.reason is MerchantCodeRefusal.CODE_USED
        assert codes_of_merchant(conn, "SHOP-1") == []
    assert town.held_fen("clearing:SHOP-1") == 880


@pytest.mark.parametrize(
    ("alter", "amount_fen", "reason"),
    [
        ({"code": "000000000026"}, 5, MerchantCodeRefusal.CODE_UNKNOWN),
        ({"merchant": "SHOP-2"}, 5, MerchantCodeRefusal.CODE_DIFFERS),
        ({"amount_fen": 1}, None, MerchantCodeRefusal.CODE_DIFFERS),
        ({"name": "Better Noodles"}, 880, MerchantCodeRefusal.CODE_DIFFERS),
        ({}, 881, MerchantCodeRefusal.AMOUNT_DIFFERS),
    ],
)
def test_a_payload_that_says_other_than_we_registered_is_not_paid(
    town: Town, alter: dict[str, object], amount_fen: int | None, reason: MerchantCodeRefusal
) -> None:
    with writing(town.engine) as conn:
        code = shop_code(conn, replace(ORDER, amount_fen=880))
        altered = replace(code, **alter)  # type: ignore[arg-type]
        refused = pay_merchant_code(conn, scan(town, altered, amount_fen=amount_fen), at=NOON)
    assert isinstance(refused, MerchantCodeRefused) and refused.reason is reason
    assert town.held_fen(f"wallet:{town.rich}") == 10_000


def test_a_withdrawn_code_and_one_without_an_amount_are_not_paid(town: Town) -> None:
    with writing(town.engine) as conn:
        code = shop_code(conn)
        missing = pay_merchant_code(conn, scan(town, code), at=NOON)
        assert (
            isinstance(missing, MerchantCodeRefused) and missing.reason is MerchantCodeRefusal.AMOUNT_MISSING
        )
        assert not withdraw_merchant_code(conn, "SHOP-2", code.code, at=NOON)
        assert withdraw_merchant_code(conn, "SHOP-1", code.code, at=NOON)
        assert withdraw_merchant_code(conn, "SHOP-1", code.code, at=NOON)
        gone = pay_merchant_code(conn, scan(town, code, amount_fen=5), at=NOON)
        assert isinstance(gone, MerchantCodeRefused) and gone.reason is MerchantCodeRefusal.CODE_WITHDRAWN
        garbled = pay_merchant_code(conn, replace(scan(town, code), payload="000201"), at=NOON)
        assert (
            isinstance(garbled, MerchantCodeRefused) and garbled.reason is MerchantCodeRefusal.CODE_UNREADABLE
        )


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (replace(ORDER, name="面馆"), MerchantCodeRefusal.CODE_UNREADABLE),
        (replace(ORDER, merchant="SHOP-9"), MerchantCodeRefusal.MERCHANT_UNKNOWN),
    ],
)
def test_a_merchant_code_is_not_made_for_the_first_reason_that_applies(
    town: Town, order: MerchantCodeOrder, reason: MerchantCodeRefusal
) -> None:
    with writing(town.engine) as conn:
        refused = make_merchant_code(conn, order, at=NOON)
    assert isinstance(refused, MerchantCodeRefused) and refused.reason is reason

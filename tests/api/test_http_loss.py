"""A loss reported once, by any face: from that instant nothing that is the holder's can be used."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from card.hotlist import hotlisted
from card.registry import find
from city.phone import Phone
from clearing.online.wallet_load import WalletLoad, order_wallet_loads
from clearing.sectors.utilities.catalogue import register_billers
from clearing.wire.batch import Ride
from clearing.wire.bcd import CITY_ZONE
from ledger.balances import balance
from ledger.db import reading, writing
from terminals.qr_outbox import QrOutbox
from terminals.qr_validator import QrValidator
from terminals.trip import Identity
from terminals.validator import RideFacts
from tests.api.http_doors import Doors
from tests.support.clearing_day import DAY, card_no, shenzhen
from tests.support.utility_day import WATER, near_biller

START_FEN = 50_000
UNTIL = "2018-10-01T00:00:00+08:00"
BUS = RideFacts(Ride.BUS, 200, line=1)
Ask = Callable[[], tuple[int, str]]


def keyed(headers: dict[str, str], key: str) -> dict[str, str]:
    return headers | {"Idempotency-Key": key}


def said(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "done") if answer.content else "done"


class Town:
    """A holder with two cards, money, a linked health card, and every code that a phone can have."""

    def __init__(self, doors: Doors, folder: Path) -> None:
        self.doors, self.holder = doors, doors.enrol(1)
        self.staff, self.shop = doors.institution("COUNTER"), doors.institution("SHOP-1")
        near: Any = doors.client.app
        near.state.deps = replace(doors.deps, peers={"billers": {WATER.id: near_biller(folder, WATER)}})
        with writing(doors.engine) as conn:
            register_billers(conn, [WATER], at=doors.clock())
        doors.fund(f"wallet:{self.holder}", START_FEN)
        for number in (1, 2):
            doors.client.put(f"/v1/holders/{self.holder}/cards/{card_no(number)}", headers=self.staff)
        self.phone_session, self.other_session = doors.session(self.holder), doors.session(self.holder)
        self.pay_code = self.post("/v1/me/qr/pay-codes", None, self.phone_session)["code"]
        code = {"name": "Noodles", "city": "Kunming", "category": "5812"}
        self.payload = self.post("/v1/qr/merchant-codes", code, self.shop)["payload"]
        self.handset = Phone(b"\6" * 32)
        key = {"device_key": self.handset.device_key.hex()}
        issued = self.post("/v1/me/qr/certificates", key, self.phone_session)
        self.handset.certificate = b64decode(issued["certificate"])
        for kind, purpose in (("health_card", "treatment"), ("social_security", "benefit")):
            consent = {
                "number": "530100A123456", "granted_to": "SHOP-1", "purpose": purpose, "expires_at": UNTIL
            }  # fmt: skip
            self.post(f"/v1/me/links/{kind}/consents", consent, self.phone_session)
        self.outbox = QrOutbox(folder / "qr.db", "off")

    def post(self, path: str, body: object, headers: dict[str, str], key: str = "") -> Any:
        answer = self.doors.client.post(path, json=body, headers=keyed(headers, key or path))
        assert answer.status_code < 300, answer.text
        return answer.json()

    def try_(self, path: str, body: object, headers: dict[str, str], key: str) -> tuple[int, str]:
        return said(self.doors.client.post(path, json=body, headers=keyed(headers, key)))

    def scan(self) -> str:
        """Show a code made on the certificate of before to a bus that has just fetched the list."""
        client, headers = self.doors.client, self.shop
        key = client.get("/v1/qr/issuer-key", headers=headers).json()
        listed = client.get("/v1/qr/locked-holders", headers=headers).json()["holders"]
        bus = QrValidator(
            Identity("518000010001"), self.outbox, {key["key_version"]: bytes.fromhex(key["public_key"])},
            shenzhen(), frozenset(listed),
        )  # fmt: skip
        at = self.doors.clock().astimezone(CITY_ZONE)
        outcome = bus.scan(self.handset.show(at=at), BUS, at=at)
        return "opened" if outcome.refusal is None else outcome.refusal.value

    def load(self, reference: str) -> str:
        now = self.doors.clock()
        wanted = WalletLoad(reference, self.holder, card_no(1), 500, DAY, now)
        with writing(self.doors.engine) as conn:
            (answer,) = order_wallet_loads(conn, [wanted], at=now)
        return getattr(answer, "reason", "done")

    def faces(self, turn: str) -> dict[str, object]:
        """What each face of the holder answers now."""
        water = {"biller": "WATER-1", "account_no": "A1", "bill_no": "B1", "amount_fen": 3000}
        reads = f"/v1/holders/{self.holder}"
        purchase = {"reference": f"p-{turn}", "holder": self.holder, "amount_fen": 700}
        scan = {"reference": f"s-{turn}", "payload": self.payload, "amount_fen": 600}
        charge = {"reference": f"c-{turn}", "code": self.pay_code, "amount_fen": 300}
        bill = water | {"reference": f"b-{turn}", "holder": self.holder}
        topup = {"reference": f"t-{turn}", "holder": self.holder, "amount_fen": 100}
        return {
            "online payment": self.try_("/v1/payments", purchase, self.shop, f"1{turn}"),
            "pay code shown before": self.try_("/v1/qr/charges", charge, self.shop, f"2{turn}"),
            "merchant's code": self.try_("/v1/me/qr/payments", scan, self.phone_session, f"3{turn}"),
            "utility bill": self.try_("/v1/bill-payments", bill, self.shop, f"4{turn}"),
            "top-up": self.try_("/v1/topups", topup, self.doors.institution("BANKAPP"), f"5{turn}"),
            "new certificate": self.try_(
                "/v1/me/qr/certificates", {"device_key": self.handset.device_key.hex()}, self.phone_session, ""
            ),
            "health card": self.try_(
                f"{reads}/links/health_card/reads", {"purpose": "treatment"}, self.shop, ""
            ),
            "social security": self.try_(
                f"{reads}/social-security/reads", {"purpose": "benefit"}, self.shop, ""
            ),
            "other phone": said(self.doors.client.get("/v1/me", headers=self.other_session)),
            "certificate issued before": self.scan(),
            "load of a chip": self.load(f"l-{turn}"),
        }  # fmt: skip


LOCKED: dict[str, object] = {
    "online payment": (409, "holder_locked"),
    "pay code shown before": (409, "holder_locked"),
    "merchant's code": (409, "holder_locked"),
    "utility bill": (409, "holder_locked"),
    "top-up": (409, "holder_locked"),
    "new certificate": (409, "holder_locked"),
    "health card": (409, "holder_locked"),
    "social security": (409, "holder_locked"),
    "other phone": (401, "credentials_invalid"),
    "certificate issued before": "holder_locked",
    "load of a chip": "holder_locked",
}


@pytest.fixture
def town(doors: Doors, tmp_path: Path) -> Town:
    return Town(doors, tmp_path)


def test_while_nothing_is_lost_every_face_is_good(town: Town) -> None:
    answers = town.faces("a")
    assert set(answers) == set(LOCKED)
    for face, answer in answers.items():
        good = answer in ("opened", "done") or (isinstance(answer, tuple) and answer[0] < 300)
        assert good, (face, answer)


@pytest.mark.parametrize("face", ["phone", "counter", "a card"])
def test_a_loss_reported_by_any_face_locks_them_all_at_once(town: Town, face: str) -> None:
    client = town.doors.client
    if face == "phone":
        answer = client.post("/v1/me/loss", headers=town.phone_session)
    else:
        path = f"/v1/holders/{town.holder}/loss" if face == "counter" else f"/v1/cards/{card_no(2)}/loss"
        answer = client.post(path, headers=town.staff)
    assert answer.json()["cards"] == [card_no(1), card_no(2)]
    expected = dict(LOCKED)
    if face != "phone":  # then the phone that is signed in is shut out as well
        expected |= dict.fromkeys(("merchant's code", "new certificate"), (401, "credentials_invalid"))
    assert town.faces("a") == expected
    with reading(town.doors.engine) as conn:
        assert [one.card_no for one in hotlisted(conn)] == [card_no(1), card_no(2)]
        records = [find(conn, card_no(number)) for number in (1, 2)]
        assert [one.status for one in records if one is not None] == ["lost", "lost"]
        assert balance(conn, f"wallet:{town.holder}").balance_fen == START_FEN


def test_a_loss_that_is_lifted_leaves_nothing_locked(town: Town) -> None:
    town.doors.client.post("/v1/me/loss", headers=town.phone_session)
    lifting = f"/v1/holders/{town.holder}/loss/lifting"
    assert town.doors.client.post(lifting, json={}, headers=town.staff).status_code == 200
    after = town.faces("b")
    assert after.pop("other phone") == (401, "credentials_invalid"), "it signs in again"
    assert [face for face, answer in after.items() if answer == LOCKED[face]] == []

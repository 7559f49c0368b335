"""Codes through the API: a phone fetches its certificate, a counter charges, a phone pays, each only its own."""

from base64 import b64decode
from typing import Any

import pytest

from city.phone import Phone
from clearing.wire.emvco import read_merchant_code
from clearing.wire.qr import check_code, raw_of, read_code
from ledger.balances import balance
from ledger.db import reading
from tests.api.http_doors import Doors

ORDER = {"name": "Best Noodles", "name_zh": "最佳面馆", "city": "Kunming", "category": "5812"}


@pytest.fixture
def rider(doors: Doors) -> tuple[str, dict[str, str]]:
    """A holder with 100 yuan, signed in."""
    holder = doors.enrol(1)
    doors.fund(f"wallet:{holder}", 10_000)
    return holder, doors.session(holder)


def keyed(headers: dict[str, str], key: str) -> dict[str, str]:
    return headers | {"Idempotency-Key": key}


def wallet_fen(doors: Doors, holder: str) -> int:
    with reading(doors.engine) as conn:
        return balance(conn, f"wallet:{holder}").balance_fen


def test_a_phone_fetches_a_certificate_that_the_published_key_confirms(
    doors: Doors, rider: tuple[str, dict[str, str]]
) -> None:
    holder, session = rider
    phone = Phone(b"\6" * 32)
    answer = doors.client.post(
        "/v1/me/qr/certificates", json={"device_key": phone.device_key.hex()}, headers=session
    )
    assert answer.status_code == 201
    phone.certificate = b64decode(answer.json()["certificate"])
    key = doors.client.get("/v1/qr/issuer-key", headers=doors.institution("SHOP-1", "qr:write")).json()
    code = read_code(raw_of(phone.show(at=doors.clock())))
    assert code.certificate.holder == holder
    assert check_code(code, {key["key_version"]: bytes.fromhex(key["public_key"])}, at=doors.clock()) is None
    assert doors.client.get("/v1/me/qr/rides", headers=session).json() == {
        "items": [],
        "next_cursor": None,
    }


def test_a_counter_charges_a_shown_code_once_and_takes_it_back(
    doors: Doors, rider: tuple[str, dict[str, str]]
) -> None:
    holder, session = rider
    shown = doors.client.post("/v1/me/qr/pay-codes", headers=session).json()
    assert len(shown["code"]) == 18 and shown["svg"].startswith("<svg")
    shop = doors.institution("SHOP-1", "qr:write")
    body = {"reference": "till-1", "code": shown["code"], "amount_fen": 1_200}
    first = doors.client.post("/v1/qr/charges", json=body, headers=keyed(shop, "k1"))
    assert (first.status_code, first.json()["first_time"]) == (201, True)
    again = doors.client.post("/v1/qr/charges", json=body, headers=keyed(shop, "k2"))
    assert (again.status_code, again.json()["first_time"]) == (201, False)
    stolen = body | {"reference": "till-9"}
    other = doors.institution("SHOP-2", "qr:write")
    refused = doors.client.post("/v1/qr/charges", json=stolen, headers=keyed(other, "k1"))
    assert (refused.status_code, refused.json()["code"]) == (409, "pay_code_used")
    assert wallet_fen(doors, holder) == 8_800
    back = doors.client.post("/v1/qr/charges/till-1/reversal", headers=keyed(shop, "k3"))
    assert (back.status_code, back.json()["amount_fen"]) == (201, 1_200)
    assert wallet_fen(doors, holder) == 10_000


def test_a_code_of_a_minute_ago_is_refused(doors: Doors, rider: tuple[str, dict[str, str]]) -> None:
    shown = doors.client.post("/v1/me/qr/pay-codes", headers=rider[1]).json()
    doors.clock.pass_(seconds=60)
    shop = doors.institution("SHOP-1", "qr:write")
    body = {"reference": "till-1", "code": shown["code"], "amount_fen": 1}
    answer = doors.client.post("/v1/qr/charges", json=body, headers=keyed(shop, "k1"))
    assert (answer.status_code, answer.json()["code"]) == (409, "pay_code_expired")


def test_a_phone_pays_a_merchants_code_until_it_is_withdrawn(
    doors: Doors, rider: tuple[str, dict[str, str]]
) -> None:
    holder, session = rider
    shop, other = doors.institution("SHOP-1", "qr:write"), doors.institution("SHOP-2", "qr:write")
    made = doors.client.post("/v1/qr/merchant-codes", json=ORDER, headers=keyed(shop, "k1")).json()
    assert read_merchant_code(made["payload"]).merchant == "SHOP-1"
    body = {"reference": "p-1", "payload": made["payload"], "amount_fen": 600}
    paid = doors.client.post("/v1/me/qr/payments", json=body, headers=keyed(session, "k1"))
    assert (paid.status_code, paid.json()["merchant"], wallet_fen(doors, holder)) == (201, "SHOP-1", 9_400)
    assert [
        one["code"] for one in doors.client.get("/v1/qr/merchant-codes", headers=shop).json()["items"]
    ] == [made["code"]]
    assert doors.client.get("/v1/qr/merchant-codes", headers=other).json()["items"] == []
    address = f"/v1/qr/merchant-codes/{made['code']}"
    assert doors.client.delete(address, headers=other).status_code == 404
    assert doors.client.delete(address, headers=shop).status_code == 204
    gone = doors.client.post(
        "/v1/me/qr/payments", json=body | {"reference": "p-2"}, headers=keyed(session, "k2")
    )
    assert (gone.status_code, gone.json()["code"]) == (409, "merchant_code_withdrawn")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("post", "/v1/me/qr/certificates", {"device_key": "00"}, 422, "request_invalid"),
        ("post", "/v1/me/qr/payments", {"reference": "p", "payload": ""}, 422, "merchant_code_unreadable"),
        ("post", "/v1/me/qr/payments", {"reference": "p", "payload": "\x00\u202e" * 9}, 422,
         "merchant_code_unreadable"),
        ("post", "/v1/qr/charges", {"reference": "t", "code": "1", "amount_fen": 1}, 422, "pay_code_malformed"),
        ("post", "/v1/qr/charges", {"reference": "t", "code": "881", "amount_fen": 0}, 422, "request_invalid"),
        ("post", "/v1/qr/merchant-codes", ORDER | {"one_time": True}, 422, "merchant_code_unreadable"),
        ("post", "/v1/qr/merchant-codes", ORDER | {"name_zh": "\u200b"}, 422, "merchant_code_unreadable"),
    ],
)  # fmt: skip
def test_wrong_input_is_a_problem_with_its_code(
    doors: Doors, rider: tuple[str, dict[str, str]], method: str, path: str, body: Any, status: int, code: str
) -> None:
    headers = rider[1] if "/me/" in path else doors.institution("SHOP-1", "qr:write")
    answer = doors.client.request(method, path, json=body, headers=keyed(headers, "k1"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_lost_holder_gets_neither_certificate_nor_code(
    doors: Doors, rider: tuple[str, dict[str, str]]
) -> None:
    holder, session = rider
    staff = doors.institution("SHOP-1", "holders:write")
    assert doors.client.post(f"/v1/holders/{holder}/loss", headers=keyed(staff, "k1")).status_code < 300
    for path, body in (("certificates", {"device_key": "00" * 32}), ("pay-codes", None)):
        answer = doors.client.post(f"/v1/me/qr/{path}", json=body, headers=session)
        assert answer.status_code in (401, 409)

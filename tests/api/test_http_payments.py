"""Purchases through the API: taken, looked at, taken back, given back in parts."""

from typing import Any

import httpx2
import pytest

from clearing.online.topup import stray_confirmations
from ledger.balances import balance
from ledger.db import reading
from tests.api.http_doors import Doors, list_of

START_FEN = 10_000


@pytest.fixture
def shop(doors: Doors) -> Doors:
    doors.fund(f"wallet:{doors.enrol(1)}", START_FEN)
    return doors


@pytest.fixture(scope="module")
def standing_shop(standing_doors: Doors) -> Doors:
    standing_doors.fund(f"wallet:{standing_doors.enrol(1)}", START_FEN)
    return standing_doors


def ask(doors: Doors, path: str, body: dict[str, Any], key: str = "", who: str = "SHOP-1") -> httpx2.Response:
    headers = doors.institution(who) | {"Idempotency-Key": key or f"key-{len(doors.sent)}"}
    doors.sent.append(path)
    return doors.client.post(path, json=body, headers=headers)


def bill(doors: Doors, **changes: Any) -> dict[str, Any]:
    return {"reference": "bill-1", "holder": doors.enrol(1), "amount_fen": 700} | changes


def held_fen(doors: Doors, code: str) -> int:
    with reading(doors.engine) as conn:
        return balance(conn, code).balance_fen


def test_a_purchase_moves_money_and_is_seen_by_both_sides(shop: Doors) -> None:
    taken = ask(shop, "/v1/payments", bill(shop, narrative="两个包子"))
    assert taken.status_code == 201
    wallet = f"wallet:{shop.enrol(1)}"
    assert (held_fen(shop, wallet), held_fen(shop, "clearing:SHOP-1")) == (START_FEN - 700, 700)
    seen = taken.json()
    assert (seen["state"], seen["currency"], seen["narrative"]) == ("paid", "CNY", "两个包子")
    assert seen["legs"] == [{"pocket": "wallet", "amount_fen": 700, "refunded_fen": 0}]
    assert seen["event_at"] == "2018-09-01T01:00:00Z"
    headers = shop.institution("SHOP-1")
    assert shop.client.get("/v1/payments/bill-1", headers=headers).json() == seen
    mine = shop.client.get("/v1/me/payments", headers=shop.sign_in(1)).json()["items"]
    assert mine == [seen | {"reference": "http:SHOP-1:bill-1", "merchant": "SHOP-1"}]


def test_the_same_purchase_under_another_key_is_paid_once(shop: Doors) -> None:
    first, second = (ask(shop, "/v1/payments", bill(shop)) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert held_fen(shop, "clearing:SHOP-1") == 700


@pytest.mark.parametrize(
    ("who", "changes", "status", "code"),
    [
        ("SHOP-1", {"amount_fen": START_FEN + 1}, 409, "insufficient"),
        ("SHOP-1", {"holder": "H0000000000"}, 404, "holder_unknown"),
        ("NOSHOP", {}, 409, "merchant_unknown"),
        ("SHOP-1", {"narrative": "no\u00adbreak"}, 422, "malformed"),
        ("SHOP-1", {"amount_fen": 0}, 422, "request_invalid"),
        ("SHOP-1", {"amount_fen": -700}, 422, "request_invalid"),
        ("SHOP-1", {"amount_fen": 7.5}, 422, "request_invalid"),
        ("SHOP-1", {"amount_fen": "700"}, 422, "request_invalid"),
        ("SHOP-1", {"amount_fen": True}, 422, "request_invalid"),
        ("SHOP-1", {"amount_fen": 10**40}, 422, "request_invalid"),
        ("SHOP-1", {"currency": "USD"}, 422, "request_invalid"),
        ("SHOP-1", {"reference": "http:SHOP-2:x"}, 422, "request_invalid"),
        ("SHOP-1", {"holder": "H00000000١٢"}, 422, "request_invalid"),
        ("SHOP-1", {"narrative": "a\x00b"}, 422, "request_invalid"),
        ("SHOP-1", {"narrative": "x" * 141}, 422, "request_invalid"),
        ("SHOP-1", {"legs": []}, 422, "request_invalid"),
    ],
)
def test_a_purchase_that_cannot_be_is_refused_and_moves_nothing(
    standing_shop: Doors, who: str, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(standing_shop, "/v1/payments", bill(standing_shop, **changes), who=who)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert held_fen(standing_shop, f"wallet:{standing_shop.enrol(1)}") == START_FEN


def test_a_merchant_is_not_told_how_much_is_in_the_pocket(standing_shop: Doors) -> None:
    answer = ask(standing_shop, "/v1/payments", bill(standing_shop, amount_fen=START_FEN + 123))
    assert "123" not in answer.text
    assert str(START_FEN) not in answer.text


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"", b"[" * 100_000, b'{"reference":"\\ud800"}'])
def test_a_body_that_cannot_be_read_is_a_problem_and_no_failure(standing_shop: Doors, body: bytes) -> None:
    headers = standing_shop.institution("SHOP-1") | {
        "Idempotency-Key": "k",
        "Content-Type": "application/json",
    }
    answer = standing_shop.client.post("/v1/payments", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("request_malformed", "request_invalid")


def test_a_payment_is_taken_back_whole_and_once(shop: Doors) -> None:
    ask(shop, "/v1/payments", bill(shop))
    first, second = (ask(shop, "/v1/payments/bill-1/reversal", {"reason": "mistyped"}) for _ in range(2))
    assert (first.status_code, first.json()["first_time"], second.json()["first_time"]) == (201, True, False)
    assert held_fen(shop, f"wallet:{shop.enrol(1)}") == START_FEN
    assert ask(shop, "/v1/payments", bill(shop)).json()["code"] == "reversed_before"
    refund = ask(shop, "/v1/payments/bill-1/refunds", {"reference": "r", "amount_fen": 1})
    assert refund.json()["code"] == "payment_reversed"


def test_a_reversal_may_come_before_its_payment(shop: Doors) -> None:
    assert ask(shop, "/v1/payments/bill-1/reversal", {"reason": "timed out"}).status_code == 201
    assert ask(shop, "/v1/payments", bill(shop)).json()["code"] == "reversed_before"
    assert held_fen(shop, f"wallet:{shop.enrol(1)}") == START_FEN


def test_parts_are_given_back_up_to_the_whole(shop: Doors) -> None:
    ask(shop, "/v1/payments", bill(shop))
    path = "/v1/payments/bill-1/refunds"
    assert ask(shop, path, {"reference": "r1", "amount_fen": 300}).status_code == 201
    assert ask(shop, path, {"reference": "r1", "amount_fen": 300}).json()["first_time"] is False
    assert ask(shop, path, {"reference": "r1", "amount_fen": 301}).json()["code"] == "reference_taken"
    assert ask(shop, path, {"reference": "r2", "amount_fen": 401}).json()["code"] == "above_payment"
    assert ask(shop, path, {"reference": "r3", "amount_fen": 400}).status_code == 201
    assert ask(shop, "/v1/payments/bill-1/reversal", {"reason": ""}).json()["code"] == "refunded_before"
    assert held_fen(shop, f"wallet:{shop.enrol(1)}") == START_FEN


def test_a_holder_who_lost_the_card_pays_nothing(shop: Doors) -> None:
    shop.client.post(f"/v1/holders/{shop.enrol(1)}/loss", headers=shop.institution("COUNTER"))
    assert ask(shop, "/v1/payments", bill(shop)).json()["code"] == "holder_locked"


def test_a_top_up_is_in_the_wallet_when_the_channel_confirms_it(shop: Doors) -> None:
    order = {"reference": "t1", "holder": shop.enrol(1), "amount_fen": 5_000}
    paid = {"channel_reference": "c1", "amount_fen": 5_000, "paid_at": "2018-09-01T09:05:00+08:00"}
    wallet = f"wallet:{shop.enrol(1)}"
    ordered = ask(shop, "/v1/topups", order, who="BANKAPP")
    assert (ordered.status_code, ordered.json()["state"], held_fen(shop, wallet)) == (
        201,
        "pending",
        START_FEN,
    )
    for _ in range(2):
        confirmed = ask(shop, "/v1/topups/t1/confirmation", paid, who="BANKAPP")
        assert (confirmed.status_code, confirmed.json()["state"]) == (200, "confirmed")
        assert held_fen(shop, wallet) == START_FEN + 5_000
    other = ask(shop, "/v1/topups/t1/confirmation", paid | {"channel_reference": "c2"}, who="BANKAPP")
    assert other.json()["code"] == "confirmed_otherwise"


def test_a_confirmation_that_nobody_ordered_is_refused_and_kept_for_a_person(shop: Doors) -> None:
    paid = {"channel_reference": "c1", "amount_fen": 5_000, "paid_at": "2018-09-01T09:05:00+08:00"}
    answer = ask(shop, "/v1/topups/t9/confirmation", paid, who="BANKAPP")
    assert answer.json()["code"] == "topup_unknown"
    with reading(shop.engine) as conn:
        (stray,) = stray_confirmations(conn)
    assert (stray.channel_id, stray.channel_reference, stray.amount_fen) == ("BANKAPP", "c1", 5_000)


def test_a_holder_orders_a_top_up_and_the_channel_confirms_it_by_its_number(shop: Doors) -> None:
    me = shop.sign_in(1) | {"Idempotency-Key": "mine"}
    wish = {"channel": "BANKAPP", "amount_fen": 2_000}
    ordered = shop.client.post("/v1/me/topups", json=wish, headers=me).json()
    paid = {"channel_reference": "c1", "amount_fen": 2_000, "paid_at": "2018-09-01T09:05:00+08:00"}
    path = f"/v1/topups/{ordered['reference']}/confirmation"
    assert ask(shop, path, paid, who="OTHERAPP").status_code == 404
    assert ask(shop, path, paid, who="BANKAPP").status_code == 200
    assert shop.client.get("/v1/me/topups", headers=me).json()["items"][0]["state"] == "confirmed"
    nowhere = shop.client.post(
        "/v1/me/topups", json=wish | {"channel": "NOAPP"}, headers=me | {"Idempotency-Key": "2"}
    )
    assert nowhere.json()["code"] == "channel_unknown"


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_merchants_day_and_a_holders_top_ups_come_in_pages_that_show_each_once(
    shop: Doors, limit: int
) -> None:
    numbers = [f"bill-{number}" for number in range(5)]
    for number in numbers:
        assert ask(shop, "/v1/payments", bill(shop, reference=number, amount_fen=10)).status_code == 201
    assert ask(shop, "/v1/payments", bill(shop, reference="other"), who="SHOP-2").status_code == 201
    of_day = {"business_date": "2018-09-01", "limit": limit}
    listed = list_of(shop, "/v1/payments", shop.institution("SHOP-1"), of_day)
    assert [one["reference"] for one in listed] == numbers[::-1]
    me = shop.session(shop.enrol(1))
    for key in range(5):  # all at one instant
        wish = {"channel": "BANKAPP", "amount_fen": 1_000 + key}
        shop.institution("BANKAPP", "topups:write")
        ordered = shop.client.post("/v1/me/topups", json=wish, headers=me | {"Idempotency-Key": f"{key}"})
        assert ordered.status_code == 201
    topups = list_of(shop, "/v1/me/topups", me, {"limit": limit})
    assert len({one["reference"] for one in topups}) == len(topups) == 5
    first = shop.client.get("/v1/me/topups", params={"limit": 1}, headers=me).json()["next_cursor"]
    for address in ("/v1/me/qr/rides", "/v1/me/payments"):
        refused = shop.client.get(address, params={"cursor": first}, headers=me)
        assert refused.json()["code"] in ("cursor_invalid", "request_invalid")

"""Who may do what: each endpoint with each role, and no id of one holder or participant works for another."""

from typing import Any

import pytest

from api.http.access import institution
from api.http.tokens_kept import SCOPES
from tests.api.http_doors import Doors
from tests.support.clearing_day import card_no

OPEN = "nobody in particular"
HOLDER = "holder"
TABLE = {
    ("post", "/v1/oauth/token"): OPEN,
    ("post", "/v1/oauth/revoke"): OPEN,
    ("post", "/v1/sessions/codes"): OPEN,
    ("post", "/v1/sessions"): OPEN,
    ("delete", "/v1/sessions/current"): HOLDER,
    ("post", "/v1/holders"): "holders:write",
    ("post", "/v1/holders/search"): "holders:read",
    ("get", "/v1/holders/{holder}"): "holders:read",
    ("put", "/v1/holders/{holder}/particulars"): "holders:write",
    ("delete", "/v1/holders/{holder}/personal-data"): "holders:write",
    ("get", "/v1/holders/{holder}/cards"): "holders:read",
    ("put", "/v1/holders/{holder}/cards/{card_no}"): "cards:write",
    ("delete", "/v1/holders/{holder}/cards/{card_no}"): "cards:write",
    ("post", "/v1/holders/{holder}/loss"): "holders:write",
    ("post", "/v1/holders/{holder}/loss/lifting"): "holders:write",
    ("post", "/v1/cards/{card_no}/loss"): "cards:write",
    ("post", "/v1/cards/{card_no}/loss/lifting"): "cards:write",
    ("get", "/v1/counter/cards/{card_no}"): "counter:write",
    ("post", "/v1/counter/loads/authorisation"): "counter:write",
    ("post", "/v1/counter/loads/proof"): "counter:write",
    ("post", "/v1/counter/loads/settlement"): "counter:write",
    ("post", "/v1/counter/loads/return"): "counter:write",
    ("post", "/v1/counter/services"): "counter:write",
    ("get", "/v1/me"): HOLDER,
    ("get", "/v1/me/balances"): HOLDER,
    ("get", "/v1/me/pockets/{pocket}/history"): HOLDER,
    ("get", "/v1/me/payments"): HOLDER,
    ("get", "/v1/me/payments/{reference}"): HOLDER,
    ("get", "/v1/me/cards"): HOLDER,
    ("get", "/v1/me/cards/{card_no}"): HOLDER,
    ("post", "/v1/me/loss"): HOLDER,
    ("get", "/v1/me/topups"): HOLDER,
    ("post", "/v1/me/topups"): HOLDER,
    ("get", "/v1/me/links"): HOLDER,
    ("post", "/v1/me/links/{kind}/consents"): HOLDER,
    ("post", "/v1/me/links/{kind}/withdrawals"): HOLDER,
    ("get", "/v1/me/links/reads"): HOLDER,
    ("post", "/v1/topups"): "topups:write",
    ("get", "/v1/topups/{reference}"): "topups:write",
    ("post", "/v1/topups/{reference}/confirmation"): "topups:write",
    ("post", "/v1/topups/{reference}/failure"): "topups:write",
    ("post", "/v1/payments"): "payments:write",
    ("get", "/v1/payments"): "payments:read",
    ("get", "/v1/payments/{reference}"): "payments:read",
    ("post", "/v1/payments/{reference}/reversal"): "payments:write",
    ("post", "/v1/payments/{reference}/refunds"): "payments:write",
    ("post", "/v1/holders/{holder}/links/{kind}/consents"): "links:write",
    ("post", "/v1/holders/{holder}/links/{kind}/withdrawals"): "links:write",
    ("post", "/v1/holders/{holder}/links/{kind}/reads"): "links:read",
    ("post", "/v1/hospital/bills/preview"): "hospital:write",
    ("post", "/v1/hospital/bills"): "hospital:write",
    ("get", "/v1/hospital/bills/{bill_no}"): "hospital:write",
    ("post", "/v1/hospital/bills/{bill_no}/question"): "hospital:write",
    ("post", "/v1/hospital/bills/{bill_no}/cancellation"): "hospital:write",
    ("get", "/v1/hospital/waiting"): "hospital:write",
    ("get", "/v1/me/billers"): HOLDER,
    ("get", "/v1/me/billers/{biller}/accounts/{account_no}"): HOLDER,
    ("post", "/v1/me/bill-payments"): HOLDER,
    ("get", "/v1/me/bill-payments"): HOLDER,
    ("get", "/v1/me/bill-payments/{reference}"): HOLDER,
    ("post", "/v1/me/bill-payments/{reference}/reversal"): HOLDER,
    ("get", "/v1/billers"): "billers:write",
    ("get", "/v1/billers/{biller}/accounts/{account_no}"): "billers:write",
    ("post", "/v1/bill-payments"): "billers:write",
    ("get", "/v1/bill-payments/{reference}"): "billers:write",
    ("post", "/v1/bill-payments/{reference}/reversal"): "billers:write",
    ("put", "/v1/biller-files/{business_date}"): "billers:write",
    ("get", "/v1/biller-differences"): "billers:write",
    ("put", "/v1/batches/{name}"): "batches:write",
    ("get", "/v1/batches/{name}"): "batches:write",
    ("post", "/v1/agency/contribution-bills"): "agency:write",
    ("post", "/v1/agency/contribution-bills/{number}/withdrawal"): "agency:write",
    ("post", "/v1/agency/contribution-bills/{number}/repayment"): "agency:approve",
    ("get", "/v1/me/social-security"): HOLDER,
    ("get", "/v1/me/contributions"): HOLDER,
    ("post", "/v1/me/contributions/{agency}/{number}/payment"): HOLDER,
    ("post", "/v1/holders/{holder}/social-security/reads"): "links:read",
    ("post", "/v1/agency/benefit-batches"): "agency:write",
    ("get", "/v1/agency/benefit-batches/{number}"): "agency:write",
    ("get", "/v1/agency/benefit-batches/{number}/lines"): "agency:write",
    ("get", "/v1/agency/returned-benefits"): "agency:write",
    ("post", "/v1/agency/benefit-batches/{number}/approval"): "agency:approve",
    ("post", "/v1/agency/benefit-batches/{number}/rejection"): "agency:approve",
    ("post", "/v1/agency/benefit-batches/{number}/payment"): "agency:approve",
    ("get", "/v1/agency/funds"): "agency:write",
    ("post", "/v1/me/qr/certificates"): HOLDER,
    ("post", "/v1/me/qr/pay-codes"): HOLDER,
    ("get", "/v1/me/qr/rides"): HOLDER,
    ("post", "/v1/me/qr/payments"): HOLDER,
    ("post", "/v1/qr/charges"): "qr:write",
    ("post", "/v1/qr/charges/{reference}/reversal"): "qr:write",
    ("post", "/v1/qr/merchant-codes"): "qr:write",
    ("get", "/v1/qr/merchant-codes"): "qr:write",
    ("delete", "/v1/qr/merchant-codes/{code}"): "qr:write",
    ("get", "/v1/qr/locked-holders"): "qr:write",
    ("get", "/v1/qr/issuer-key"): "qr:write",
}
"""Every endpoint and the one role that each lets in."""


@pytest.fixture
def city(standing_doors: Doors) -> Doors:
    """One API for all roles to try."""
    return standing_doors


def operations(doors: Doors) -> dict[tuple[str, str], dict[str, Any]]:
    paths = doors.client.get("/v1/openapi.json").json()["paths"]
    return {(method, path): item[method] for path, item in paths.items() for method in item}


def role_of(operation: dict[str, Any]) -> str:
    """The role that the document says an operation lets in."""
    (security,) = operation.get("security", [{}]) or [{}]
    if not security:
        return OPEN
    return HOLDER if HOLDER in security else " ".join(security["institution"])


def test_every_endpoint_is_in_the_table_with_its_role(city: Doors) -> None:
    assert {place: role_of(operation) for place, operation in operations(city).items()} == TABLE


@pytest.mark.parametrize("role", [OPEN, HOLDER, *SCOPES])
def test_an_endpoint_lets_in_its_role_and_no_other(city: Doors, role: str) -> None:
    wrong, holder = [], city.enrol(1)
    for (method, template), operation in operations(city).items():
        needed = TABLE[method, template]
        if needed == OPEN:
            continue
        headers = {}
        if role == HOLDER:
            headers = city.session(holder)
        elif role != OPEN:
            headers = city.institution("SHOP-1", role)
        path = template.format(
            holder="H0000000000", card_no=card_no(9), reference="none", pocket="wallet", kind="identity",
            **dict.fromkeys(_others(operation), "none"),
        )  # fmt: skip
        status = city.client.request(method, path, headers=headers).status_code
        mixed_up = (role == HOLDER) != (needed == HOLDER)
        expected = 401 if role == OPEN or mixed_up else 403 if role != needed else None
        if (expected is None and status in (401, 403)) or (expected is not None and status != expected):
            wrong.append((method, template, role, status, expected))
    assert wrong == []


def _others(operation: dict[str, Any]) -> set[str]:
    named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
    return named - {"holder", "card_no", "reference", "pocket", "kind"}


def test_a_scope_that_nobody_knows_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="add it to SCOPES"):
        institution("everything:write")


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic eDp5", "bearer nonsense", "Bearer é"])
def test_a_header_without_a_good_token_is_refused(city: Doors, header: str) -> None:
    for path in ("/v1/me", "/v1/payments/one"):
        answer = city.client.get(path, headers={b"Authorization": header.encode()})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_nothing_of_one_holder_is_reached_by_another(doors: Doors) -> None:
    first, second = doors.enrol(1), doors.enrol(2)
    counter, shop = doors.institution("COUNTER"), doors.institution("SHOP-1")
    doors.fund(f"wallet:{first}", 10_000)
    doors.client.put(f"/v1/holders/{first}/cards/{card_no(1)}", headers=counter)
    bill = {"reference": "bill-1", "holder": first, "amount_fen": 700}
    doors.client.post("/v1/payments", json=bill, headers=shop | {"Idempotency-Key": "k"})
    mine, theirs = doors.sign_in(1), doors.sign_in(2)
    payment = doors.client.get("/v1/me/payments", headers=mine).json()["items"][0]["reference"]
    reachable = [f"/v1/me/payments/{payment}", f"/v1/me/cards/{card_no(1)}"]
    assert [doors.client.get(path, headers=mine).status_code for path in reachable] == [200, 200]
    assert [doors.client.get(path, headers=theirs).status_code for path in reachable] == [404, 404]
    everything = [
        "",
        "/balances",
        "/payments",
        "/cards",
        "/topups",
        "/links",
        "/links/reads",
        "/pockets/wallet/history",
    ]
    shown = "".join(doors.client.get(f"/v1/me{path}", headers=theirs).text for path in everything)
    assert first not in shown
    assert "bill-1" not in shown
    assert card_no(1) not in shown
    assert doors.client.get("/v1/me", headers=theirs).json()["holder"] == second
    cursor = doors.client.get("/v1/me/pockets/wallet/history?limit=1", headers=mine).json()["next_cursor"]
    stolen = doors.client.get(f"/v1/me/pockets/wallet/history?cursor={cursor}", headers=theirs)
    assert (stolen.status_code, stolen.json()["code"]) == (400, "cursor_invalid")


def test_nothing_of_one_participant_is_reached_by_another(doors: Doors) -> None:
    holder = doors.enrol(1)
    doors.fund(f"wallet:{holder}", 10_000)
    shop, other = doors.institution("SHOP-1"), doors.institution("SHOP-2")
    bill = {"reference": "bill-1", "holder": holder, "amount_fen": 700}
    order = {"reference": "order-1", "holder": holder, "amount_fen": 500}
    assert (
        doors.client.post("/v1/payments", json=bill, headers=shop | {"Idempotency-Key": "1"}).status_code
        == 201
    )
    assert (
        doors.client.post("/v1/topups", json=order, headers=shop | {"Idempotency-Key": "2"}).status_code
        == 201
    )
    day = doors.client.get("/v1/payments?business_date=2018-09-01", headers=other).json()
    assert day["items"] == []
    assert doors.client.get("/v1/payments/bill-1", headers=other).status_code == 404
    assert doors.client.get("/v1/topups/order-1", headers=other).status_code == 404
    part = {"reference": "back-1", "amount_fen": 1}
    paid = {"channel_reference": "c-1", "amount_fen": 500, "paid_at": "2018-09-01T09:00:00+08:00"}
    attempts = [
        ("/v1/payments/bill-1/refunds", part, 404),
        ("/v1/payments/bill-1/reversal", {"reason": "mine now"}, 201),  # of their own bill-1, not yet come
        ("/v1/topups/order-1/confirmation", paid, 404),
        ("/v1/topups/order-1/failure", {"failed_at": "2018-09-01T09:00:00+08:00"}, 404),
    ]
    for number, (path, body, status) in enumerate(attempts):
        headers = other | {"Idempotency-Key": f"other-{number}"}
        assert doors.client.post(path, json=body, headers=headers).status_code == status, path
    assert doors.client.get("/v1/payments/bill-1", headers=shop).json()["state"] == "paid"
    assert doors.client.get("/v1/topups/order-1", headers=shop).json()["state"] == "pending"

"""Bad input at each door of the API: a code that programs go by, and for people the field, the value, the remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.policy_file import read_policies
from clearing.sectors.healthcare.registers import (
    Cover,
    Hospital,
    open_pools,
    register_covers,
    register_hospitals,
)
from clearing.sectors.socialsecurity.benefit_file import BenefitLine, Pocket, write_benefit_file
from clearing.sectors.utilities.catalogue import register_billers
from ledger.db import writing
from tests.api.http_doors import Doors, person
from tests.support.clearing_day import DAY, at
from tests.support.insurer_peer import InsurerPeer, insurer_peer
from tests.support.utility_day import WATER, near_biller

HOLDER = "the holder"
PURCHASE = {"reference": "p-1", "holder": HOLDER, "amount_fen": 700}
WATER_BILL = {
    "reference": "w-1", "holder": HOLDER, "biller": "WATER-1", "account_no": "A1", "bill_no": "B1",
    "amount_fen": 3000,
}  # fmt: skip
HOSPITAL_BILL = {
    "bill_no": "H-1", "holder": HOLDER, "treated_on": DAY.isoformat(),
    "items": [{"code": "D-1", "catalogue_class": "A", "amount_fen": 50_000}],
}  # fmt: skip
TABLE: list[tuple[str, dict[str, Any], int, str, list[str]]] = [
    ("/v1/payments", PURCHASE | {"amount_fen": -5}, 422, "request_invalid",
     ["body.amount_fen", "'-5'", "greater than or equal to 1"]),
    ("/v1/payments", PURCHASE | {"amount_fen": 1.5}, 422, "request_invalid",
     ["body.amount_fen", "'1.5'", "valid integer"]),
    ("/v1/payments", PURCHASE | {"currency": "USD"}, 422, "request_invalid",
     ["body.currency", "'USD'", "should be 'CNY'"]),
    ("/v1/payments", PURCHASE | {"holder": "H0000000000"}, 404, "holder_unknown",
     ["holder", "'H0000000000'", "enrol the person, or look at the id again"]),
    ("/v1/topups", PURCHASE | {"amount_fen": 0}, 422, "request_invalid",
     ["body.amount_fen", "'0'", "greater than or equal to 1"]),
    ("/v1/bill-payments", WATER_BILL | {"account_no": "A9"}, 404, "account_unknown",
     ["account", "A9", "compare the number with a bill"]),
    ("/v1/bill-payments", WATER_BILL | {"biller": "STEAM-1"}, 404, "biller_unknown",
     ["biller", "STEAM-1", "; "]),
    ("/v1/bill-payments", WATER_BILL | {"amount_fen": 3001}, 409, "more_than_open",
     ["3001", "3000", "; "]),
    ("/v1/hospital/bills", HOSPITAL_BILL | {"agreed": {"fund_fen": 1, "account_fen": 2, "patient_fen": 3}},
     409, "split_changed", ["agreed is fund 1, account 2, patient 3", "these 50000 fen", "preview again"]),
    ("/v1/hospital/bills/preview", HOSPITAL_BILL | {"treated_on": "2018-02-30"}, 422, "request_invalid",
     ["body.treated_on", "'2018-02-30'", "valid date"]),
    ("/v1/hospital/bills/preview",
     HOSPITAL_BILL | {"items": [{"code": "D-1", "catalogue_class": "D", "amount_fen": 1}]},
     422, "request_invalid", ["body.items.0.catalogue_class", "'D'", "'A', 'B' or 'C'"]),
    ("/v1/qr/charges", {"reference": "c-1", "code": "880000000000000001", "amount_fen": 5},
     422, "pay_code_malformed", ["code", "18 digits", "scan it again"]),
    ("/v1/sessions", {"challenge": "A" * 22, "code": "12345"}, 422, "request_invalid",
     ["body.code", "should match pattern"]),
    ("/v1/sessions", {"challenge": "A" * 22, "code": "123456"}, 401, "code_wrong",
     ["code", "look at the newest message"]),
]  # fmt: skip
"""Door, what is sent, status, code, and what the sentence must say."""


@pytest.fixture(scope="module")
def insurer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with insurer_peer(tmp_path_factory.mktemp("insurer")) as running:
        yield running


@pytest.fixture
def ask(doors: Doors, insurer: InsurerPeer, tmp_path: Path) -> Callable[..., Any]:
    """Ask at a door of a city with every sector, in the name of one institution or of nobody."""
    holder = doors.enrol(1)
    doors.fund(f"wallet:{holder}", 100_000)
    peers = {"billers": {WATER.id: near_biller(tmp_path, WATER)}, "insurer": insurer.client}
    doors.rewired(peers=peers)
    with writing(doors.engine) as conn:
        register_billers(conn, [WATER], at=at(0))
        register_hospitals(conn, [Hospital("SHOP-1", 3)], at=at(0))
        register_covers(conn, [Cover(holder, Category.EMPLOYEE, DAY.replace(year=2010))], at=at(0))
        open_pools(conn, read_policies(), at=at(0))

    def asked(path: str, body: dict[str, Any], key: str = "k") -> Any:
        if body.get("holder") == HOLDER:
            body = body | {"holder": holder}
        headers = doors.institution("SHOP-1") | {"Idempotency-Key": key}
        return doors.client.post(path, json=body, headers=headers)

    return asked


def test_bad_input_at_each_door_is_told_with_field_value_and_remedy(ask: Callable[..., Any]) -> None:
    for number, (path, body, status, code, words) in enumerate(TABLE):
        answer = ask(path, body, str(number))
        told = answer.json()
        assert (answer.status_code, told["code"]) == (status, code), (path, told)
        assert answer.headers["content-type"] == "application/problem+json"
        assert [word for word in words if word not in told["detail"]] == [], told["detail"]


def test_a_repeated_key_with_another_body_names_the_key_and_the_remedy(ask: Callable[..., Any]) -> None:
    assert ask("/v1/payments", PURCHASE, "till-7").status_code == 201
    told = ask("/v1/payments", PURCHASE | {"amount_fen": 701}, "till-7").json()
    assert told["code"] == "idempotency_conflict"
    assert "Idempotency-Key till-7" in told["detail"] and "use a new key" in told["detail"]


def test_a_code_that_has_expired_says_so_and_what_to_do(doors: Doors) -> None:
    doors.enrol(1)
    asked = doors.client.post("/v1/sessions/codes", json={"identity_no": person(1)["identity_no"]}).json()
    doors.clock.pass_(minutes=5)
    body = {"challenge": asked["challenge"], "code": doors.phones.messages[-1][1]}
    told = doors.client.post("/v1/sessions", json=body).json()
    assert (told["code"], "five minutes; ask for a new one" in told["detail"]) == ("code_expired", True)


def test_a_file_that_does_not_add_up_names_line_field_value_and_remedy(doors: Doors) -> None:
    lines = [BenefitLine(1, "CL-1", person(1)["identity_no"], Pocket.WALLET, 500, "x")]
    good = write_benefit_file(agency="SSB", number="B-1", fund="SSB", programme="p", lines=lines)
    bad = good.replace(b"500", b"501", 1)
    headers = doors.institution("SSB") | {"Content-Type": "text/csv"}
    told = doors.client.post("/v1/agency/benefit-batches", content=bad, headers=headers).json()
    assert told["code"] == "file_flawed"
    (flaw,) = told["errors"]
    assert flaw["field"] and flaw["remedy"] and "50" in str(flaw["value"])


@pytest.mark.parametrize("field", ["identity_no", "name", "phone"])
def test_what_may_be_personal_is_never_repeated(doors: Doors, field: str) -> None:
    headers = doors.institution("COUNTER")
    for wrong in (["nobody's business"], 530102199001010028, "nobody's\x00business"):
        answer = doors.client.post("/v1/holders", json=person(1) | {field: wrong}, headers=headers)
        assert answer.status_code == 422
        assert f"body.{field}" in answer.json()["detail"]
        assert "business" not in answer.text and "530102199001010028" not in answer.text

"""A hospital's day through the API: a holder enrolled, insured, treated, billed, and bills taken back."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.http.app import make_api
from api.http.hospital import policies
from card.hsm.client import Hsm
from card.vault import open_vault
from city.insurer import Mode
from clearing.sectors.healthcare.bills import Agreed, Bill, BillRecord
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.healthcare.claims import State
from clearing.sectors.healthcare.policy import CatalogueClass, Category, Item, Split
from clearing.sectors.healthcare.registers import (
    Cover,
    Hospital,
    open_pools,
    register_covers,
    register_hospitals,
)
from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.api.http_doors import Doors, expect_documented, open_doors
from tests.support.clearing_day import DAY, at
from tests.support.insurer_peer import InsurerPeer, insurer_peer

PERSON = {"identity_no": "11010519491231002X", "name": "张三丰", "phone": "13800001234"}
ITEMS = [
    {"code": "D-001", "catalogue_class": "A", "amount_fen": 50_000},
    {"code": "D-002", "catalogue_class": "B", "amount_fen": 20_000, "first_share_bp": 1_000},
    {"code": "D-003", "catalogue_class": "C", "amount_fen": 6_000},
]
BILLS = "/v1/hospital/bills"


@pytest.fixture(scope="module")
def insurer_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsurerPeer]:
    with insurer_peer(tmp_path_factory.mktemp("insurer")) as running:
        yield running


@dataclass
class Ward:
    """The doors, the insurer behind them, a patient, and the hospital's bill numbers."""

    doors: Doors
    insurer: InsurerPeer
    patient: str
    prefix: str

    def post(self, path: str, body: Any, *, by: str = "HOSP-1", key: str = "") -> Any:
        headers = self.doors.institution(by, "hospital:write") | {
            "Idempotency-Key": key or secrets.token_hex(8)
        }
        return self.doors.client.post(path, json=body, headers=headers)

    def get(self, path: str, *, by: str = "HOSP-1") -> Any:
        return self.doors.client.get(path, headers=self.doors.institution(by, "hospital:write"))

    def bill(self, number: int, items: list[dict[str, object]] | None = None) -> dict[str, Any]:
        return {
            "bill_no": f"{self.prefix}-{number}",
            "holder": self.patient,
            "treated_on": DAY.isoformat(),
            "items": items or ITEMS,
        }

    def agreed(self, bill: dict[str, Any]) -> dict[str, Any]:
        """The bill with the split that its preview shows."""
        preview = self.post(f"{BILLS}/preview", bill)
        assert preview.status_code == 200, preview.text
        split = preview.json()
        return bill | {"agreed": {name: split[name] for name in ("fund_fen", "account_fen", "patient_fen")}}

    def pockets_fen(self) -> tuple[int, int, int, int]:
        """What the fund owes, account and wallet hold, and the hospital is owed."""
        codes = ("fund:MED-POOL", f"medical:{self.patient}", f"wallet:{self.patient}", "clearing:HOSP-1")
        with reading(self.doors.engine) as conn:
            assert check_books(conn) == []
            fund, account, wallet, hospital = (balance(conn, code).balance_fen for code in codes)
        return fund, account, wallet, hospital


@pytest.fixture
def ward(engine: Engine, city_hsm: Hsm, insurer_process: InsurerPeer) -> Iterator[Ward]:
    vault = open_vault(engine, city_hsm, random=secrets.token_bytes, at=at(0))
    insurer_process.behave(Mode.ANSWERS)
    with open_doors(engine, city_hsm, vault) as plain:
        api = make_api(replace(plain.deps, peers={"insurer": insurer_process.client}))
        with TestClient(api, raise_server_exceptions=False) as client:
            client.event_hooks["response"] = [lambda answer: expect_documented(api, answer)]
            doors = replace(plain, client=client)
            enrolled = client.post("/v1/holders", json=PERSON, headers=doors.institution("GOV-1"))
            assert enrolled.status_code == 201, enrolled.text
            patient = enrolled.json()["holder"]
            with writing(engine) as conn:
                register_hospitals(conn, [Hospital("HOSP-1", 3), Hospital("HOSP-2", 1)], at=at(8))
                register_covers(conn, [Cover(patient, Category.EMPLOYEE, date(2010, 1, 1))], at=at(8))
                open_pools(conn, policies(), at=at(8))
            doors.fund(f"medical:{patient}", 60_000)
            doors.fund(f"wallet:{patient}", 20_000)
            yield Ward(doors, insurer_process, patient, f"V{secrets.token_hex(4)}")


BEFORE = (0, 60_000, 20_000, 0)
AFTER = (19_000, 9_000, 14_000, 76_000)


def test_a_visit_is_previewed_settled_looked_at_and_taken_back(ward: Ward) -> None:
    bill = ward.agreed(ward.bill(1))
    assert ward.pockets_fen() == BEFORE
    paid = ward.post(BILLS, bill)
    assert (paid.status_code, paid.json()["state"]) == (201, "paid")
    assert paid.json()["split"]["total_fen"] == 76_000
    assert ward.pockets_fen() == AFTER
    assert ward.get(f"{BILLS}/{bill['bill_no']}").json() == paid.json()
    for _ in range(2):
        back = ward.post(f"{BILLS}/{bill['bill_no']}/cancellation", {"reason": "wrong patient"})
        assert (back.status_code, back.json()["state"]) == (201, "cancelled")
    assert ward.pockets_fen() == BEFORE
    assert ward.insurer.arrivals(f"hospital:HOSP-1:{bill['bill_no']}") == {"claim": 1, "cancel": 1}


def test_the_same_bill_is_paid_once_under_the_same_key_and_under_another(ward: Ward) -> None:
    bill = ward.agreed(ward.bill(1))
    first = ward.post(BILLS, bill, key="k1")
    assert ward.post(BILLS, bill, key="k1").json() == first.json()
    assert ward.post(BILLS, bill, key="k2").json() == first.json()
    other = ward.post(BILLS, bill | {"items": ITEMS[:1]}, key="k1")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    taken = ward.post(BILLS, bill | {"items": ITEMS[:1]})
    assert (taken.status_code, taken.json()["code"]) == (409, "bill_taken")
    assert ward.pockets_fen() == AFTER


def test_a_silent_insurer_leaves_the_bill_waiting_until_it_is_asked_again(ward: Ward) -> None:
    ward.insurer.behave(Mode.GARBLES)
    bill = ward.agreed(ward.bill(1))
    unknown = ward.post(BILLS, bill)
    assert (unknown.status_code, unknown.json()["state"]) == (202, "unknown")
    assert ward.pockets_fen() == BEFORE
    assert [one["bill_no"] for one in ward.get("/v1/hospital/waiting").json()["items"]] == [bill["bill_no"]]
    assert ward.post(f"{BILLS}/{bill['bill_no']}/question", None).status_code == 202
    ward.insurer.behave(Mode.ANSWERS)
    late = ward.post(f"{BILLS}/{bill['bill_no']}/question", None)
    assert (late.status_code, late.json()["state"]) == (200, "paid")
    assert (ward.pockets_fen(), ward.get("/v1/hospital/waiting").json()["items"]) == (AFTER, [])


def test_another_hospital_sees_nothing_of_it(ward: Ward) -> None:
    bill = ward.agreed(ward.bill(1))
    ward.post(BILLS, bill)
    path = f"{BILLS}/{bill['bill_no']}"
    strangers = [
        ward.get(path, by="HOSP-2"),
        ward.post(f"{path}/question", None, by="HOSP-2"),
        ward.post(f"{path}/cancellation", {"reason": "mine"}, by="HOSP-2"),
    ]
    assert [(one.status_code, one.json()["code"]) for one in strangers] == [(404, "bill_unknown")] * 3
    assert ward.get("/v1/hospital/waiting", by="HOSP-2").json()["items"] == []
    assert ward.pockets_fen() == AFTER


def test_what_cannot_be_settled_says_why_with_its_code(ward: Ward) -> None:
    bill = ward.agreed(ward.bill(1))
    changed = ward.post(BILLS, bill | {"agreed": {"fund_fen": 1, "account_fen": 0, "patient_fen": 0}})
    large = ward.agreed(ward.bill(2, [{"code": "D-009", "catalogue_class": "C", "amount_fen": 20_001}]))
    answers = [
        (changed, 409, "split_changed"),
        (ward.post(BILLS, large), 409, "insufficient"),
        (ward.post(BILLS, bill, by="SHOP-1"), 409, "hospital_unknown"),
        (ward.post(BILLS, bill | {"holder": "H9999999999"}), 404, "holder_unknown"),
        (ward.post(BILLS, bill | {"treated_on": "2018-09-02"}), 422, "treatment_ahead"),
        (ward.post(BILLS, bill | {"items": [ITEMS[0] | {"first_share_bp": 1}]}), 422, "item_malformed"),
        (ward.post(BILLS, bill | {"items": []}), 422, "request_invalid"),
        (ward.post(BILLS, bill | {"items": [ITEMS[0] | {"amount_fen": 0}]}), 422, "request_invalid"),
    ]
    assert [(one.status_code, one.json()["code"]) for one, *_ in answers] == [
        tuple(rest) for _, *rest in answers
    ]
    assert "lacks" not in answers[1][0].text, "how much the wallet is short of is the holder's affair"
    assert ward.pockets_fen() == BEFORE


def test_a_reported_loss_stops_the_settlement_before_the_insurer_is_asked(ward: Ward) -> None:
    bill = ward.agreed(ward.bill(1))
    lost = ward.doors.client.post(f"/v1/holders/{ward.patient}/loss", headers=ward.doors.institution("GOV-1"))
    assert lost.status_code in (200, 201), lost.text
    locked = ward.post(BILLS, bill)
    assert (locked.status_code, locked.json()["code"]) == (409, "holder_locked")
    assert ward.insurer.arrivals(f"hospital:HOSP-1:{bill['bill_no']}") == {}


def test_a_city_without_an_insurer_says_so(engine: Engine, city_hsm: Hsm) -> None:
    vault = open_vault(engine, city_hsm, random=secrets.token_bytes, at=at(0))
    with open_doors(engine, city_hsm, vault) as doors:
        bill = {"bill_no": "1", "holder": "H0000000001", "treated_on": DAY.isoformat(), "items": ITEMS}
        headers = doors.institution("HOSP-1", "hospital:write")
        answer = doors.client.post(f"{BILLS}/preview", json=bill, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "peer_unavailable")


def test_bills_settled_at_once_use_the_deductible_once_and_are_each_claimed_once(ward: Ward) -> None:
    """Four counters present two bills, each twice: whatever the order, the year is counted to the fen."""
    desk = Cashier(ward.doors.engine, ward.insurer.client, policies())
    items = (Item("D-001", CatalogueClass.A, 30_000),)
    bills = [Bill("HOSP-1", f"{ward.prefix}-{n}", ward.patient, DAY, items) for n in (1, 2)]

    def present(bill: Bill) -> BillRecord | None:
        for _ in range(20):  # a split that another bill has changed is previewed again
            split = desk.preview(bill, at=at(9))
            agreed = Agreed.of(split) if isinstance(split, Split) else Agreed(0, 30_000, 0)
            answer = desk.settle(bill, agreed, at=at(9))
            if isinstance(answer, BillRecord):
                return answer
        return None

    with ThreadPoolExecutor(4) as counters:
        list(counters.map(present, bills * 2))
    left = desk.ask_all(at=at(10))
    fund, account, wallet, hospital = ward.pockets_fen()
    assert (left, hospital) == ([], 60_000)
    # The deductible of 300 yuan swallows one bill; half of the other is the fund's.
    assert (fund, account, wallet) == (15_000, 60_000 - 45_000, 20_000)
    for bill in bills:
        assert ward.insurer.arrivals(bill.reference)["claim"] == 1
        found = desk.ask_again(bill.reference, at=at(10))
        assert isinstance(found, BillRecord) and found.state is State.PAID

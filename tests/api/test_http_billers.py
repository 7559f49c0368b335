"""Utility bills over HTTP: a holder's and a counter's, each its own only, and the biller's daily file."""

from collections import deque
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clearing.sectors.utilities.catalogue import register_billers
from clearing.sectors.utilities.daily_file import read_daily_file, write_daily_file
from clearing.sectors.utilities.sending import send_notices
from ledger.balances import balance
from ledger.day import begin_close
from ledger.db import reading, writing
from tests.api.http_doors import Doors
from tests.support.clearing_day import DAY, at
from tests.support.utility_day import GAS, WATER, NearBiller, Spoil, near_biller

WHOLE = {"biller": "WATER-1", "account_no": "A1", "bill_no": "B1", "amount_fen": 3000}


REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({"biller": "NOBODY"}, 404, "biller_unknown"),
    ({"account_no": "A9"}, 404, "account_unknown"),
    ({"account_no": "a b"}, 422, "request_invalid"),
    ({"bill_no": "B9"}, 404, "bill_unknown"),
    ({"amount_fen": 0}, 422, "request_invalid"),
    ({"amount_fen": 3001}, 409, "more_than_open"),
    ({"amount_fen": 1}, 409, "part_not_permitted"),
    ({"account_no": "A3", "bill_no": "B4"}, 409, "bill_settled"),
    ({"account_no": "A7", "bill_no": "B7", "amount_fen": 10_001}, 409, "insufficient"),
    ({"holder": "H0000000001"}, 422, "request_invalid"),
]


@pytest.fixture
def water(doors: Doors, tmp_path: Path) -> NearBiller:
    """The API with two billers connected, and a holder with money."""
    near = near_biller(tmp_path, WATER)
    peers = {"billers": {WATER.id: near, GAS.id: near_biller(tmp_path, GAS)}}
    doors.rewired(peers=peers)
    with writing(doors.engine) as conn:
        register_billers(conn, [WATER, GAS], at=at(0))
    doors.fund(f"wallet:{doors.enrol(1)}", 10_000)
    return near


def told(doors: Doors, water: NearBiller) -> None:
    send_notices(doors.engine, {WATER.id: water}, at(23))


def post(doors: Doors, path: str, body: object, headers: dict[str, str], key: str = "k") -> Any:
    return doors.client.post(path, json=body, headers=headers | {"Idempotency-Key": key})


def wallet_fen(doors: Doors, holder: str) -> int:
    with reading(doors.engine) as conn:
        return balance(conn, f"wallet:{holder}").balance_fen


def test_a_holder_sees_a_bill_pays_it_and_takes_it_back(doors: Doors, water: NearBiller) -> None:
    holder = doors.enrol(1)
    me = doors.session(holder)
    assert [one["biller"] for one in doors.client.get("/v1/me/billers", headers=me).json()["items"]] == [
        "GAS-1",
        "WATER-1",
    ]
    shown = doors.client.get("/v1/me/billers/WATER-1/accounts/A1", headers=me).json()
    assert (shown["open_fen"], [one["open_fen"] for one in shown["bills"]]) == (5000, [3000, 2000])
    first = post(doors, "/v1/me/bill-payments", WHOLE, me)
    again = post(doors, "/v1/me/bill-payments", WHOLE, me)
    assert first.status_code == 201 and again.json() == first.json() and first.json()["state"] == "paid"
    assert wallet_fen(doors, holder) == 7000
    place = f"/v1/me/bill-payments/{first.json()['reference']}"
    told(doors, water)
    assert doors.client.get(place, headers=me).json()["state"] == "written_off"
    back = post(doors, f"{place}/reversal", None, me, "back")
    assert back.status_code == 202 and back.json()["state"] == "reversing"
    told(doors, water)
    assert doors.client.get(place, headers=me).json()["state"] == "reversed"
    assert wallet_fen(doors, holder) == 10_000


def test_a_counter_pays_under_its_own_numbers_once(doors: Doors, water: NearBiller) -> None:
    holder = doors.enrol(1)
    hall, other = doors.institution("HALL-1", "billers:write"), doors.institution("HALL-2", "billers:write")
    body = WHOLE | {"reference": "7", "holder": holder}
    assert post(doors, "/v1/bill-payments", body, hall, "one").status_code == 201
    assert post(doors, "/v1/bill-payments", body, hall, "two").status_code == 201
    assert wallet_fen(doors, holder) == 7000
    clash = post(doors, "/v1/bill-payments", body | {"bill_no": "B2", "amount_fen": 2000}, hall, "three")
    assert (clash.status_code, clash.json()["code"]) == (409, "reference_taken")
    assert doors.client.get("/v1/bill-payments/7", headers=hall).json()["reference"] == "7"
    assert doors.client.get("/v1/bill-payments/7", headers=other).status_code == 404
    assert post(doors, "/v1/bill-payments/7/reversal", None, other).status_code == 404
    assert post(doors, "/v1/bill-payments/7/reversal", None, hall).json()["state"] == "reversing"


def test_nothing_of_one_holders_bills_is_reached_by_another(doors: Doors, water: NearBiller) -> None:
    mine, theirs = doors.session(doors.enrol(1)), doors.session(doors.enrol(2))
    reference = post(doors, "/v1/me/bill-payments", WHOLE, mine).json()["reference"]
    place = f"/v1/me/bill-payments/{reference}"
    assert doors.client.get(place, headers=theirs).status_code == 404
    assert post(doors, f"{place}/reversal", None, theirs).status_code == 404
    assert doors.client.get("/v1/me/bill-payments", headers=theirs).json()["items"] == []
    assert len(doors.client.get("/v1/me/bill-payments", headers=mine).json()["items"]) == 1


def test_a_holders_bill_payments_are_listed_page_by_page(doors: Doors, water: NearBiller) -> None:
    me = doors.session(doors.enrol(1))
    for number in range(3):
        part = {"biller": "GAS-1", "account_no": "A1", "bill_no": "B1", "amount_fen": 100 + number}
        assert post(doors, "/v1/me/bill-payments", part, me, str(number)).status_code == 201
    seen, cursor = [], ""
    while True:
        page = doors.client.get(f"/v1/me/bill-payments?limit=2{cursor}", headers=me).json()
        seen += [one["amount_fen"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [102, 101, 100]


def test_what_cannot_be_paid_is_a_problem_with_its_code(doors: Doors, water: NearBiller) -> None:
    water.journal.add_bill("A7", "孙*", "B7", "2018-08", 10_001, date(2018, 9, 20))
    me = doors.session(doors.enrol(1))
    for number, (change, status, code) in enumerate(REFUSED):
        answer = post(doors, "/v1/me/bill-payments", WHOLE | change, me, f"k{number}")
        assert (answer.status_code, answer.json()["code"]) == (status, code), change
    assert wallet_fen(doors, doors.enrol(1)) == 10_000


def test_a_silent_biller_is_a_problem_that_may_be_tried_again_with_the_same_key(
    doors: Doors, water: NearBiller
) -> None:
    me = doors.session(doors.enrol(1))
    water.spoils = deque([Spoil.UNDONE])
    first = post(doors, "/v1/me/bill-payments", WHOLE, me)
    assert (first.status_code, first.json()["code"]) == (503, "peer_unavailable")
    assert post(doors, "/v1/me/bill-payments", WHOLE, me).status_code == 201


def test_a_payment_is_not_taken_back_on_another_business_day(doors: Doors, water: NearBiller) -> None:
    me = doors.session(doors.enrol(1))
    reference = post(doors, "/v1/me/bill-payments", WHOLE, me).json()["reference"]
    with writing(doors.engine) as conn:
        begin_close(conn, DAY, at=at(23))
    answer = post(doors, f"/v1/me/bill-payments/{reference}/reversal", None, me, "back")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_same_day")


def test_a_biller_brings_its_file_and_sees_its_own_differences_only(doors: Doors, water: NearBiller) -> None:
    me = doors.session(doors.enrol(1))
    reference = post(doors, "/v1/me/bill-payments", WHOLE, me).json()["reference"]
    biller, other = doors.institution("WATER-1", "billers:write"), doors.institution("GAS-1", "billers:write")
    place = f"/v1/biller-files/{DAY.isoformat()}"
    empty = write_daily_file("WATER-1", DAY, 1, [], made_at=at(22))
    for _ in range(2):
        answer = doors.client.put(place, content=empty, headers=biller)
        assert answer.status_code == 200 and not answer.json()["agrees"]
        (line,) = answer.json()["differences"]
        assert (line["kind"], line["ours_fen"], line["theirs_fen"]) == ("ours_only", 3000, None)
        assert line["reference"].endswith(reference)
    assert len(doors.client.get("/v1/biller-differences", headers=biller).json()["items"]) == 1
    assert doors.client.get("/v1/biller-differences", headers=other).json()["items"] == []
    assert doors.client.put(place, content=empty, headers=other).json()["code"] == "other_biller"
    assert doors.client.put(place, content=b"?", headers=biller).json()["code"] == "file_flawed"
    stranger = doors.institution("HALL-1", "billers:write")
    assert doors.client.put(place, content=empty, headers=stranger).json()["code"] == "biller_unknown"
    told(doors, water)
    lines = read_daily_file(water.daily_file(DAY)).lines
    again = write_daily_file("WATER-1", DAY, 2, lines, made_at=at(22))
    tampered = again.replace(b"|3000|", b"|2000|")
    assert doors.client.put(place, content=tampered, headers=biller).json()["code"] == "file_flawed"
    assert doors.client.put(place, content=again, headers=biller).json()["agrees"]
    assert doors.client.get("/v1/biller-differences", headers=biller).json()["items"] == []

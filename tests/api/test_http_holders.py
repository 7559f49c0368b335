"""Holders, their cards, losses and links through the API."""

from typing import Any

import pytest

from tests.api.http_doors import Doors, person
from tests.support.clearing_day import card_no

UNTIL = "2018-10-01T00:00:00+08:00"
NUMBER = "530100A123456"


def test_the_same_identity_is_the_same_holder_and_answers_are_masked(doors: Doors) -> None:
    headers = doors.institution("COUNTER")
    first = doors.client.post("/v1/holders", json=person(1), headers=headers)
    again = doors.client.post("/v1/holders", json=person(1), headers=headers)
    holder = first.json()["holder"]
    assert (first.status_code, again.json()) == (201, {"holder": holder, "first_time": False})
    seen = doors.client.get(f"/v1/holders/{holder}", headers=headers).json()
    identity_no = person(1)["identity_no"]
    masked = identity_no[:6] + "********" + identity_no[-4:]
    assert seen == {
        "holder": holder, "identity": masked, "name": "张*", "phone": "138****0001", "locked": False,
    }  # fmt: skip
    found = doors.client.post("/v1/holders/search", json={"identity_no": identity_no}, headers=headers)
    assert found.json() == {"holder": holder}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"identity_no": "530102199001010000"}, 422, "identity_malformed"),
        ({"identity_no": "1"}, 422, "identity_malformed"),
        ({"name": ""}, 422, "name_malformed"),
        ({"phone": "12"}, 422, "phone_malformed"),
        ({"name": "李四"}, 409, "person_differs"),
        ({"identity_no": "<script>"}, 422, "request_invalid"),
        ({"phone": "call me"}, 422, "request_invalid"),
        ({"name": None}, 422, "request_invalid"),
    ],
)
def test_a_person_who_cannot_be_is_refused_without_repeating_the_data(
    standing_doors: Doors, changes: dict[str, Any], status: int, code: str
) -> None:
    headers = standing_doors.institution("COUNTER")
    standing_doors.enrol(1)
    answer = standing_doors.client.post("/v1/holders", json=person(1) | changes, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    for value in (person(1) | changes).values():
        assert not value or len(value) < 4 or value not in answer.text


def test_a_card_is_tied_to_one_holder_and_untied_by_that_one(doors: Doors) -> None:
    headers, first, second = doors.institution("COUNTER"), doors.enrol(1), doors.enrol(2)
    for _ in range(2):
        tied = doors.client.put(f"/v1/holders/{first}/cards/{card_no(1)}", headers=headers)
        assert [one["card_no"] for one in tied.json()] == [card_no(1)]
    taken = doors.client.put(f"/v1/holders/{second}/cards/{card_no(1)}", headers=headers)
    unknown = doors.client.put(f"/v1/holders/{second}/cards/{card_no(99)}", headers=headers)
    assert (taken.json()["code"], unknown.json()["code"]) == ("card_tied_elsewhere", "card_unknown")
    assert doors.client.delete(f"/v1/holders/{second}/cards/{card_no(1)}", headers=headers).status_code == 404
    assert doors.client.delete(f"/v1/holders/{first}/cards/{card_no(1)}", headers=headers).status_code == 204
    assert doors.client.get(f"/v1/holders/{first}/cards", headers=headers).json() == []


def test_a_loss_by_the_card_locks_the_holder_and_lifting_keeps_what_stays_lost(doors: Doors) -> None:
    headers, holder = doors.institution("COUNTER"), doors.enrol(1)
    for number in (1, 2):
        doors.client.put(f"/v1/holders/{holder}/cards/{card_no(number)}", headers=headers)
    lost = doors.client.post(f"/v1/cards/{card_no(1)}/loss", headers=headers).json()
    assert (lost["holder"], lost["cards"], lost["first_time"]) == (holder, [card_no(1), card_no(2)], True)
    assert doors.client.post(f"/v1/holders/{holder}/loss", headers=headers).json()["first_time"] is False
    body = {"still_lost": [card_no(1)]}
    path = f"/v1/holders/{holder}/loss/lifting"
    assert doors.client.post(path, json=body, headers=headers).json()["cards"] == [card_no(2)]
    assert doors.client.post(path, json=body, headers=headers).json()["code"] == "not_reported"


def test_a_holder_is_forgotten_when_the_pockets_are_empty(doors: Doors) -> None:
    headers, holder = doors.institution("COUNTER"), doors.enrol(1)
    me = doors.session(holder)
    doors.fund(f"wallet:{holder}", 100)
    path = f"/v1/holders/{holder}/personal-data"
    assert doors.client.delete(path, headers=headers).json()["code"] == "pockets_not_empty"
    bill = {"reference": "last", "holder": holder, "amount_fen": 100}
    doors.client.post(
        "/v1/payments", json=bill, headers=doors.institution("SHOP-1") | {"Idempotency-Key": "k"}
    )
    for _ in range(2):
        assert doors.client.delete(path, headers=headers).status_code == 204
    assert doors.client.get(f"/v1/holders/{holder}", headers=headers).status_code == 404
    assert doors.client.get("/v1/me", headers=me).status_code == 401


def test_a_link_is_read_by_consent_and_the_holder_sees_who_looked(doors: Doors) -> None:
    holder, me = doors.enrol(1), doors.sign_in(1)
    clinic = doors.institution("CLINIC-1")
    reads = f"/v1/holders/{holder}/links/health_card/reads"
    refused = doors.client.post(reads, json={"purpose": "treatment"}, headers=clinic)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_granted")
    consent = {"number": NUMBER, "granted_to": "CLINIC-1", "purpose": "treatment", "expires_at": UNTIL}
    given = doors.client.post("/v1/me/links/health_card/consents", json=consent, headers=me)
    assert given.status_code == 201
    assert NUMBER not in given.text
    shown = doors.client.post(reads, json={"purpose": "treatment"}, headers=clinic).json()
    assert (shown["number"], shown["disclosure"]) == (NUMBER, "full")
    stranger = doors.client.post(reads, json={"purpose": "treatment"}, headers=doors.institution("CLINIC-2"))
    assert stranger.json()["code"] == "not_granted"
    withdrawal = {"granted_to": "CLINIC-1"}
    ended = doors.client.post("/v1/me/links/health_card/withdrawals", json=withdrawal, headers=me)
    assert ended.json() == {"ended": 1}
    late = doors.client.post(reads, json={"purpose": "treatment"}, headers=clinic)
    assert late.json()["code"] == "revoked"
    log = doors.client.get("/v1/me/links/reads", headers=me).json()["items"]
    assert [(one["reader"], one["outcome"]) for one in log] == [
        ("CLINIC-1", "revoked"), ("CLINIC-2", "not_granted"), ("CLINIC-1", "full"), ("CLINIC-1", "not_granted"),
    ]  # fmt: skip


def test_every_look_of_a_counter_is_in_the_log_that_the_holder_sees(doors: Doors) -> None:
    holder, me, headers = doors.enrol(1), doors.sign_in(1), doors.institution("COUNTER")
    found = doors.client.post(
        "/v1/holders/search", json={"identity_no": person(1)["identity_no"]}, headers=headers
    )
    assert found.json() == {"holder": holder}
    for path in ("", "/cards"):
        assert doors.client.get(f"/v1/holders/{holder}{path}", headers=headers).status_code == 200
        assert doors.client.get(f"/v1/holders/H0000000000{path}", headers=headers).status_code == 404
        shut = doors.client.get(
            f"/v1/holders/{holder}{path}", headers=doors.institution("SHOP-1", "qr:write")
        )
        assert shut.status_code == 403
    assert doors.client.get("/v1/me", headers=me).status_code == 200
    log = doors.client.get("/v1/me/links/reads", headers=me).json()["items"]
    assert [(one["reader"], one["kind"], one["purpose"], one["outcome"]) for one in log] == [
        ("COUNTER", "cards", "counter", "full"),
        ("COUNTER", "identity", "counter", "masked"),
        ("COUNTER", "identity", "search", "exists"),
    ]


def test_a_counter_enters_and_ends_consents_for_itself_only(doors: Doors) -> None:
    holder, clinic = doors.enrol(1), doors.institution("CLINIC-1")
    consent = {"number": NUMBER, "granted_to": "CLINIC-2", "purpose": "treatment", "expires_at": UNTIL}
    path = f"/v1/holders/{holder}/links/health_card"
    assert doors.client.post(f"{path}/consents", json=consent, headers=clinic).status_code == 403
    own = consent | {"granted_to": "CLINIC-1"}
    assert doors.client.post(f"{path}/consents", json=own, headers=clinic).status_code == 201
    others = {"granted_to": "CLINIC-1"}
    other = doors.institution("CLINIC-2")
    assert doors.client.post(f"{path}/withdrawals", json=others, headers=other).status_code == 403
    assert doors.client.post(f"{path}/withdrawals", json=others, headers=clinic).json() == {"ended": 1}

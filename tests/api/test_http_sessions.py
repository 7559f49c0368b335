"""Signing in: codes that are right, wrong, late, spent, asked for too often, or for nobody."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from api.http import tables
from ledger.db import reading
from tests.api.http_doors import Doors, person

IDENTITY = person(1)["identity_no"]


def ask(doors: Doors, identity_no: str = IDENTITY) -> tuple[str, str]:
    """The challenge, and the newest code that came to a phone."""
    answer = doors.client.post("/v1/sessions/codes", json={"identity_no": identity_no})
    assert answer.status_code == 202, answer.text
    return answer.json()["challenge"], doors.phones.messages[-1][1] if doors.phones.messages else "000000"


def redeem(doors: Doors, challenge: str, code: str) -> str:
    """The token, or the code of the problem."""
    answer = doors.client.post("/v1/sessions", json={"challenge": challenge, "code": code})
    return str(answer.json().get("token") or answer.json()["code"])


def other(code: str) -> str:
    """A code of six digits that is not this one."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_a_code_goes_to_the_phone_on_record_and_opens_one_session(doors: Doors) -> None:
    doors.enrol(1)
    challenge, code = ask(doors)
    assert doors.phones.messages == [(person(1)["phone"], code)]
    token = redeem(doors, challenge, code)
    me = doors.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
    assert (me["name"], me["phone"], me["locked"]) == ("张*", "138****0001", False)
    assert redeem(doors, challenge, code) == "code_spent"


@pytest.mark.parametrize(
    ("wrong_tries", "wait", "expected"),
    [
        (0, timedelta(minutes=4, seconds=59), "ocs_"),
        (0, timedelta(minutes=5), "code_expired"),
        (4, timedelta(0), "ocs_"),
        (5, timedelta(0), "code_spent"),
        (5, timedelta(minutes=6), "code_spent"),
    ],
)
def test_a_code_lives_five_minutes_and_five_tries(
    doors: Doors, wrong_tries: int, wait: timedelta, expected: str
) -> None:
    doors.enrol(1)
    challenge, code = ask(doors)
    for _ in range(wrong_tries):
        assert redeem(doors, challenge, other(code)) == "code_wrong"
    doors.clock.instant += wait
    assert redeem(doors, challenge, code).startswith(expected)


def test_a_code_answers_its_own_challenge_only(doors: Doors) -> None:
    doors.enrol(1)
    doors.enrol(2)
    first, first_code = ask(doors)
    second, second_code = ask(doors, person(2)["identity_no"])
    if first_code != second_code:
        assert redeem(doors, first, second_code) == redeem(doors, second, first_code) == "code_wrong"
    assert redeem(doors, "A" * 22, first_code) == "code_wrong"
    assert redeem(doors, second, second_code).startswith("ocs_")


def test_nobody_learns_whether_an_identity_number_is_enrolled(doors: Doors) -> None:
    doors.enrol(1)
    known = doors.client.post("/v1/sessions/codes", json={"identity_no": IDENTITY})
    unknown = doors.client.post("/v1/sessions/codes", json={"identity_no": person(2)["identity_no"]})
    assert (known.status_code, set(known.json())) == (unknown.status_code, set(unknown.json()))
    assert len(doors.phones.messages) == 1
    for identity_no in (IDENTITY, person(2)["identity_no"]):
        again = doors.client.post("/v1/sessions/codes", json={"identity_no": identity_no})
        assert (again.status_code, again.headers["retry-after"]) == (429, "60")
    assert redeem(doors, unknown.json()["challenge"], "000000") == "code_wrong"


def test_codes_are_asked_for_once_a_minute_and_five_times_an_hour(doors: Doors) -> None:
    doors.enrol(1)
    for _ in range(5):
        ask(doors)
        too_soon = doors.client.post("/v1/sessions/codes", json={"identity_no": IDENTITY})
        assert too_soon.json()["code"] == "rate_limited"
        doors.clock.pass_(minutes=1)
    too_many = doors.client.post("/v1/sessions/codes", json={"identity_no": IDENTITY})
    assert too_many.headers["retry-after"] == str(55 * 60)
    doors.clock.pass_(minutes=55)
    ask(doors)
    assert len(doors.phones.messages) == 6


def test_a_person_without_a_telephone_is_sent_nothing(doors: Doors) -> None:
    body = person(1) | {"phone": ""}
    doors.client.post("/v1/holders", json=body, headers=doors.institution("COUNTER"))
    ask(doors)
    assert doors.phones.messages == []


def test_a_session_ends_after_an_hour_or_when_its_holder_says_so(doors: Doors) -> None:
    first, second = doors.sign_in(1), doors.sign_in(2)
    assert doors.client.delete("/v1/sessions/current", headers=first).status_code == 204
    assert doors.client.get("/v1/me", headers=first).status_code == 401
    doors.clock.pass_(minutes=59, seconds=59)
    assert doors.client.get("/v1/me", headers=second).status_code == 200
    doors.clock.pass_(seconds=1)
    assert doors.client.get("/v1/me", headers=second).json()["code"] == "credentials_invalid"


def test_a_loss_ends_every_other_session_and_a_counter_lifts_it(doors: Doors) -> None:
    stolen = doors.sign_in(1)
    doors.clock.pass_(minutes=1)
    mine = doors.sign_in(1)
    lost = doors.client.post("/v1/me/loss", headers=mine)
    assert lost.status_code == 200
    assert doors.client.get("/v1/me", headers=stolen).status_code == 401
    assert doors.client.get("/v1/me", headers=mine).json()["locked"] is True
    counter = doors.institution("COUNTER")
    lifted = doors.client.post(f"/v1/holders/{doors.enrol(1)}/loss/lifting", json={}, headers=counter)
    assert lifted.status_code == 200
    assert doors.client.get("/v1/me", headers=mine).json()["locked"] is False


def test_neither_codes_nor_session_tokens_are_in_the_database(doors: Doors) -> None:
    headers = doors.sign_in(1)
    with reading(doors.engine) as conn:
        kept = repr([list(conn.execute(select(table))) for table in (tables.code, tables.session)])
    assert headers["Authorization"].removeprefix("Bearer ") not in kept
    assert doors.phones.messages[-1][1] not in kept
    assert IDENTITY not in kept


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"challenge": "A" * 22, "code": "12345"}, 422),
        ({"challenge": "A" * 22, "code": "１２３４５６"}, 422),
        ({"challenge": "A" * 21, "code": "123456"}, 422),
        ({"challenge": "A" * 22, "code": 123456}, 422),
        ({"challenge": "A" * 22}, 422),
        ({"challenge": "A" * 22, "code": "123456", "holder": "H0000000001"}, 422),
        ([], 422),
    ],
)
def test_a_sign_in_that_is_not_one_is_refused(standing_doors: Doors, body: object, status: int) -> None:
    answer = standing_doors.client.post("/v1/sessions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, "request_invalid")


def test_a_refusal_repeats_nothing_personal(standing_doors: Doors) -> None:
    answer = standing_doors.client.post("/v1/sessions/codes", json={"identity_no": "530102 19900101"})
    assert answer.status_code == 422
    assert "19900101" not in answer.text

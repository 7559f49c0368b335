"""Who knocks too often, or sends too much, is told so with what to do, and nobody else is concerned."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from api.http.bodies import MOST_BYTES, MOST_FILE_BYTES
from api.http.clients import register_client
from api.http.limits import Limiter, Rate
from api.web import make_service
from ledger.db import writing
from tests.api.http_doors import SECRET, Doors, person
from tests.support.clearing_day import at

EVERY_S = 3
TOKEN = "/v1/oauth/token"


@given(
    burst=st.integers(1, 5),
    knocks=st.lists(st.tuples(st.integers(0, 7), st.sampled_from("ab")), max_size=60),
)
def test_a_limiter_lets_in_what_a_slow_bucket_would(burst: int, knocks: list[tuple[int, str]]) -> None:
    """The bucket, counted in seconds: it holds `burst` knocks, and each takes `EVERY_S` to come back."""
    limiter = Limiter(Rate(burst, timedelta(seconds=EVERY_S)))
    full_s = burst * EVERY_S
    held_s, now_s = dict.fromkeys("ab", full_s), 0
    for pause_s, key in knocks:
        now_s += pause_s
        held_s = {one: min(full_s, had + pause_s) for one, had in held_s.items()}
        expected = max(0, EVERY_S - held_s[key])
        when = at(9) + timedelta(seconds=now_s)
        assert (limiter.wait_s(key, when), limiter.take(key, when)) == (expected, expected)
        if not expected:
            held_s[key] -= EVERY_S


def test_a_limiter_remembers_no_more_callers_than_it_may() -> None:
    limiter = Limiter(Rate(1, timedelta(hours=1)), most_keys=2)
    assert [limiter.take(key, at(9)) for key in ("a", "b", "a")] == [0, 0, 3600]
    assert [limiter.take(key, at(9)) for key in ("c", "b", "a")] == [0, 3600, 0]


def grant(client_id: str, secret: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}


@pytest.fixture
def shops(doors: Doors) -> Doors:
    with writing(doors.engine) as conn:
        for client_id in ("shop", "stall"):
            register_client(conn, client_id, SECRET, "SHOP-1", ["payments:read"], doors.clock())
    return doors


@pytest.mark.parametrize("path", [TOKEN, "/v1/oauth/revoke"])
def test_a_secret_is_not_guessed_at_speed_and_others_are_not_shut_out(shops: Doors, path: str) -> None:
    wrong = [shops.client.post(path, data=grant("shop", f"wrong {n}")).status_code for n in range(11)]
    assert wrong == [401] * 10 + [429]
    shut = shops.client.post(path, data=grant("shop", SECRET))
    assert (shut.status_code, shut.json()["code"], shut.headers["retry-after"]) == (429, "rate_limited", "6")
    assert "ask again in 6 s" in shut.json()["detail"]
    assert shops.client.post(TOKEN, data=grant("stall", SECRET)).status_code == 200
    elsewhere = TestClient(shops.client.app, client=("192.0.2.7", 5000))
    assert elsewhere.post(TOKEN, data=grant("shop", SECRET)).status_code == 200
    shops.clock.pass_(seconds=6)
    assert shops.client.post(path, data=grant("shop", SECRET)).status_code == 200


def test_right_secrets_are_bounded_by_what_they_cost(shops: Doors) -> None:
    source, limits = "testclient", shops.deps.limits
    while not limits.token_requests.take(source, shops.clock()):
        pass
    flooded = shops.client.post(TOKEN, data=grant("shop", SECRET))
    assert (flooded.status_code, flooded.headers["retry-after"]) == (429, "1")
    shops.clock.pass_(seconds=1)
    assert shops.client.post(TOKEN, data=grant("shop", SECRET)).status_code == 200


def test_one_source_asks_for_codes_of_many_people_at_a_bounded_rate(doors: Doors) -> None:
    def ask(number: int) -> int:
        body = {"identity_no": person(number)["identity_no"]}
        return doors.client.post("/v1/sessions/codes", json=body).status_code

    asked = [ask(number) for number in range(32)]
    assert asked == [202] * 30 + [429] * 2
    doors.clock.pass_(seconds=2)
    assert [ask(40), ask(41)] == [202, 429]


def test_one_source_tries_codes_at_a_bounded_rate(doors: Doors) -> None:
    tries = [
        doors.client.post("/v1/sessions", json={"challenge": f"{n:022d}", "code": "000000"})
        for n in range(61)
    ]
    assert {one.json()["code"] for one in tries[:60]} == {"code_wrong"}
    assert (tries[60].status_code, tries[60].headers["retry-after"]) == (429, "1")


def test_the_networks_of_one_caller_count_as_one_source(shops: Doors) -> None:
    def fails(address: str) -> int:
        client = TestClient(shops.client.app, client=(address, 5000))
        return client.post(TOKEN, data=grant("shop", "wrong")).status_code

    assert [fails(f"2001:db8::{n:x}") for n in range(11)] == [401] * 10 + [429]
    assert [fails("2001:db8:0:1::1"), fails("192.0.2.9")] == [401, 401]


def chunks(count: int) -> Iterator[bytes]:
    """A body whose length nobody announces."""
    for _ in range(count):
        yield b"a" * 65_536


@pytest.mark.parametrize(
    ("path", "media_type", "most"),
    [
        ("/v1/holders", "application/json", MOST_BYTES),
        ("/v1/payments", "application/json", MOST_BYTES),
        ("/v1/oauth/token", "application/x-www-form-urlencoded", MOST_BYTES),
        ("/v1/agency/benefit-batches", "text/csv; charset=utf-8", MOST_FILE_BYTES),
    ],
)
def test_a_body_beyond_the_bound_is_a_problem_whether_announced_or_not(
    doors: Doors, path: str, media_type: str, most: int
) -> None:
    headers = doors.institution("SHOP-1") | {"Idempotency-Key": "k", "Content-Type": media_type}
    announced = doors.client.post(path, content=b"a" * (most + 1), headers=headers)
    streamed = doors.client.post(path, content=chunks(most // 65_536 + 1), headers=headers)
    absurd = doors.client.post(path, content=b"a", headers=headers | {"Content-Length": "9" * 5_000})
    for answer in (announced, streamed, absurd):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert f"longer than {most} bytes" in answer.json()["detail"]
    assert doors.client.post(path, content=b"a", headers=headers).status_code in (400, 401, 422)


@pytest.mark.parametrize(
    ("method", "path", "status", "media_type"),
    [
        ("GET", "/v1/nothing", 404, "application/problem+json"),
        ("GET", "/v1", 404, "application/problem+json"),
        ("GET", "/v1/", 404, "application/problem+json"),
        ("PATCH", "/v1/payments", 405, "application/problem+json"),
        ("GET", "/v1/payments", 401, "application/problem+json"),
        ("GET", "/v1/openapi.json", 200, "application/json"),
        ("GET", "/", 200, "text/html; charset=utf-8"),
        ("GET", "/finance", 200, "text/html; charset=utf-8"),
        ("GET", "/static/style.css", 200, "text/css; charset=utf-8"),
    ],
)
def test_beside_the_pages_the_api_answers_for_all_of_its_addresses(
    standing_doors: Doors, tmp_path: Path, method: str, path: str, status: int, media_type: str
) -> None:
    service = TestClient(make_service(standing_doors.deps, tmp_path, open_finance=True))
    answer = service.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, media_type)

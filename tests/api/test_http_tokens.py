"""The token endpoint: who gets a token, with which scopes, for how long."""

import base64

import pytest
from sqlalchemy import select

from api.http import tables
from api.http.clients import disable_client, register_client
from ledger.accounts import Conflict
from ledger.db import reading, writing
from tests.api.http_doors import SECRET, Doors

GRANT = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": SECRET}


def with_shop(doors: Doors) -> Doors:
    with writing(doors.engine) as conn:
        register_client(conn, "shop", SECRET, "SHOP-1", ["payments:read", "payments:write"], doors.clock())
    return doors


@pytest.fixture
def shop(doors: Doors) -> Doors:
    return with_shop(doors)


@pytest.fixture(scope="module")
def standing_shop(standing_doors: Doors) -> Doors:
    return with_shop(standing_doors)


def listed(doors: Doors, token: str) -> int:
    """The status of asking for a list of payments with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return doors.client.get("/v1/payments?business_date=2018-09-01", headers=headers).status_code


def test_a_client_gets_a_token_by_form_or_by_basic_and_the_token_opens_the_door(shop: Doors) -> None:
    by_form = shop.client.post("/v1/oauth/token", data=GRANT)
    by_basic = shop.client.post(
        "/v1/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=("shop", SECRET.replace(" ", "%20")),
    )
    for answer in (by_form, by_basic):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        token = answer.json()
        assert (token["token_type"], token["expires_in"], token["scope"]) == (
            "Bearer", 1800, "payments:read payments:write",
        )  # fmt: skip
        assert listed(shop, token["access_token"]) == 200


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong" * 5}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": "no\x00body"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"scope": "payments:read holders:read"}, 400, "invalid_scope"),
        ({"scope": "everything"}, 400, "invalid_scope"),
    ],
)
def test_a_wrong_grant_is_refused_as_rfc_6749_says(
    standing_shop: Doors, change: dict[str, str], status: int, error: str
) -> None:
    answer = standing_shop.client.post("/v1/oauth/token", data=GRANT | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff:\xff").decode()])
def test_a_broken_basic_header_is_a_wrong_client(standing_shop: Doors, header: str) -> None:
    answer = standing_shop.client.post("/v1/oauth/token", data=GRANT, headers={"Authorization": header})
    assert answer.status_code == 401


def test_a_token_carries_only_the_scopes_asked_for(standing_shop: Doors) -> None:
    answer = standing_shop.client.post("/v1/oauth/token", data=GRANT | {"scope": "payments:write"})
    assert answer.json()["scope"] == "payments:write"
    assert listed(standing_shop, answer.json()["access_token"]) == 403


def test_a_token_ends_when_its_time_is_over(shop: Doors) -> None:
    token = shop.client.post("/v1/oauth/token", data=GRANT).json()["access_token"]
    shop.clock.pass_(minutes=29, seconds=59)
    assert listed(shop, token) == 200
    shop.clock.pass_(seconds=1)
    assert listed(shop, token) == 401


def test_a_revoked_token_and_a_disabled_client_are_out_at_once(shop: Doors) -> None:
    first, second = (shop.client.post("/v1/oauth/token", data=GRANT).json()["access_token"] for _ in range(2))
    login = {"client_id": "shop", "client_secret": SECRET}
    assert shop.client.post("/v1/oauth/revoke", data=login | {"token": first}).status_code == 200
    assert (listed(shop, first), listed(shop, second)) == (401, 200)
    with writing(shop.engine) as conn:
        disable_client(conn, "shop", shop.clock())
    assert listed(shop, second) == 401
    assert shop.client.post("/v1/oauth/token", data=GRANT).status_code == 401


def test_a_client_cannot_revoke_the_token_of_another(shop: Doors) -> None:
    token = shop.client.post("/v1/oauth/token", data=GRANT).json()["access_token"]
    with writing(shop.engine) as conn:
        register_client(conn, "other", SECRET, "SHOP-2", ["payments:read"], shop.clock())
    other = {"client_id": "other", "client_secret": SECRET, "token": token}
    assert shop.client.post("/v1/oauth/revoke", data=other).status_code == 200
    assert shop.client.post("/v1/oauth/revoke", data=other | {"client_secret": "x"}).status_code == 401
    assert listed(shop, token) == 200


def test_neither_secrets_nor_tokens_are_in_the_database(shop: Doors) -> None:
    token = shop.client.post("/v1/oauth/token", data=GRANT).json()["access_token"]
    with reading(shop.engine) as conn:
        kept = repr([list(conn.execute(select(table))) for table in (tables.client, tables.token)])
    assert SECRET not in kept
    assert token not in kept


def test_a_client_is_registered_once_and_never_overwritten(shop: Doors) -> None:
    scopes = ["payments:write", "payments:read"]
    with writing(shop.engine) as conn:
        register_client(conn, "shop", SECRET, "SHOP-1", scopes, shop.clock())
        for secret, participant, asked in (
            ("another secret of it", "SHOP-1", scopes),
            (SECRET, "SHOP-2", scopes),
            (SECRET, "SHOP-1", scopes[:1]),
        ):
            with pytest.raises(Conflict):
                register_client(conn, "shop", secret, participant, asked, shop.clock())


@pytest.mark.parametrize(
    ("client_id", "secret", "participant", "scopes", "says"),
    [
        ("a b", SECRET, "SHOP-1", ["qr:write"], "client_id 'a b'"),
        ("shop", "short", "SHOP-1", ["qr:write"], "at least 16 characters"),
        ("shop", SECRET, "shop", ["qr:write"], "participant 'shop'"),
        ("shop", SECRET, "SHOP-1", ["all"], "scopes all are not known"),
        ("shop", SECRET, "SHOP-1", [], "has no scope"),
    ],
)
def test_a_client_that_is_not_possible_is_refused_with_what_to_do(
    standing_doors: Doors, client_id: str, secret: str, participant: str, scopes: list[str], says: str
) -> None:
    with writing(standing_doors.engine) as conn, pytest.raises(ValueError, match=says):
        register_client(conn, client_id, secret, participant, scopes, standing_doors.clock())

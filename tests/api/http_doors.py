"""The API as its callers meet it: real books, a real HSM, a clock that the test moves, phones that keep codes.

Every answer in every test is held against the OpenAPI document: an answer that is not documented fails.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import sha256
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert
from stdnum.cn import ric

from api.http import tables
from api.http.app import make_api
from api.http.clients import Client, issue_token, scrypt
from api.http.sessions import open_session
from api.http.state import Deps
from api.http.tokens_kept import SCOPES
from card.hsm.client import Hsm
from card.registry import CardRecord, register
from card.vault import Vault
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import open_day
from ledger.db import make_engine, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from ledger.sharing import Alone, Shared
from tests.support.clearing_day import DAY, ISSUER, at, card_no

SECRET = "a secret of a test client"
SALT = bytes(16)


@cache
def kept_secret() -> bytes:
    """The secret as it is kept: made once, as making it is to take long; how clients register has tests of its own."""
    return scrypt(SECRET, SALT)


def person(number: int) -> dict[str, str]:
    """Test person `number`, with an identity number whose check digit fits."""
    digits = f"53010219900101{number:03d}"
    return {
        "identity_no": digits + ric.calc_check_digit(digits + "0"),
        "name": "张三",
        "phone": f"138{number:08d}",
    }


@dataclass
class Phones:
    """A sender that delivers: what came to which phone, newest last."""

    messages: list[tuple[str, str]] = field(default_factory=list)

    def send(self, phone: str, code: str) -> None:
        self.messages.append((phone, code))


@dataclass
class Clock:
    """The time in the test; it moves when told."""

    instant: datetime = field(default_factory=lambda: at(9))

    def __call__(self) -> datetime:
        return self.instant

    def pass_(self, **how_long: float) -> None:
        self.instant += timedelta(**how_long)


@dataclass
class Doors:
    """The API, and what stands around it."""

    deps: Deps
    client: TestClient
    clock: Clock
    phones: Phones
    tokens: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.deps.engine

    def rewired(self, **changes: Any) -> "Doors":
        """The same API with something else behind it."""
        app: Any = self.client.app
        app.state.deps = deps = replace(self.deps, **changes)
        return replace(self, deps=deps)

    def institution(self, participant: str, *scopes: str) -> dict[str, str]:
        """The headers of a client of a participant with these scopes (all, where none are named)."""
        wanted = scopes or tuple(SCOPES)
        client_id = f"{participant}.{sha256(repr(wanted).encode()).hexdigest()[:8]}"
        if client_id not in self.tokens:
            at, random = self.clock(), token_bytes(32)
            with writing(self.engine) as conn:
                client = Client(client_id, participant, frozenset(wanted))
                conn.execute(
                    insert(tables.client).values(
                        client_id=client_id, participant=participant, scopes=" ".join(sorted(wanted)),
                        secret_salt=SALT, secret_hash=kept_secret(), registered_at=at,
                    )
                )  # fmt: skip
                self.tokens[client_id] = issue_token(conn, client, client.scopes, at=at, random=random)
        return {"Authorization": f"Bearer {self.tokens[client_id]}"}

    def enrol(self, number: int) -> str:
        """Make test person `number` a holder at a counter; the id."""
        body = person(number)
        answer = self.client.post("/v1/holders", json=body, headers=self.institution("COUNTER"))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["holder"])

    def sign_in(self, number: int) -> dict[str, str]:
        """Enrol test person `number`, send a code to the phone and open a session with it: the headers."""
        self.enrol(number)
        asked = self.client.post("/v1/sessions/codes", json={"identity_no": person(number)["identity_no"]})
        assert asked.status_code == 202, asked.text
        challenge, code = asked.json()["challenge"], self.phones.messages[-1][1]
        opened = self.client.post("/v1/sessions", json={"challenge": challenge, "code": code})
        assert opened.status_code == 201, opened.text
        return {"Authorization": f"Bearer {opened.json()['token']}"}

    def session(self, holder: str) -> dict[str, str]:
        """The headers of a session of a holder, opened without a code."""
        token = f"ocs_{uuid4().hex}"
        with writing(self.engine) as conn:
            open_session(conn, holder, token, at=self.clock())
        return {"Authorization": f"Bearer {token}"}

    def fund(self, code: str, amount_fen: int) -> None:
        """Put money into a pocket."""
        with writing(self.engine) as conn:
            reference = f"opening:{code}:{amount_fen}"
            entry = Entry(reference, "opening", DAY, at(0), (Line("equity:capital", code, amount_fen),))
            assert isinstance(post(conn, [entry], at=at(0))[0], Posted)


@contextmanager
def open_doors(
    engine: Engine, hsm: Hsm, vault: Vault, *, cards: int = 4, api: FastAPI | None = None
) -> Iterator[Doors]:
    """The API on fresh books with an open day, merchants, a channel and some cards."""
    clock, phones = Clock(), Phones()
    writer = Shared(engine)
    doors = Deps(engine, writer, hsm, vault, clock, {}, phones)
    with writing(engine) as conn:
        open_day(conn, DAY, at=at(0))
        codes = ["equity:capital", "clearing:SHOP-1", "clearing:SHOP-2", "agent:BANKAPP", "agent:OTHERAPP"]
        open_accounts(conn, [account(code) for code in codes], at=at(0))
        issued_at = at(0, day=date(2018, 1, 1))
        register(
            conn, [CardRecord(card_no(n), ISSUER, 1, 1, 0, issued_at) for n in range(1, cards + 1)], at=at(0)
        )
    api = make_api(doors) if api is None else api
    api.state.deps = doors
    with writer, TestClient(api, raise_server_exceptions=False) as client:
        client.event_hooks["response"] = [lambda answer: expect_documented(api, answer)]
        yield Doors(doors, client, clock, phones)


def list_of(doors: Doors, address: str, headers: dict[str, str], asked: dict[str, Any]) -> list[Any]:
    """All rows of a list, page by page."""
    rows: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        answer = doors.client.get(address, params=asked | more, headers=headers)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["items"]) <= asked["limit"]
        rows += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
    return rows


@cache
def one_api() -> FastAPI:
    """One application for the tests of a process that come one after the other; only its doors change."""
    return make_api(doors_to_nothing())


def doors_to_nothing() -> Deps:
    """Doors for an application to be made with, before it is given others."""
    engine = make_engine("sqlite://")
    return Deps(engine, Alone(engine), Hsm("127.0.0.1", 1), Vault({1: bytes(32)}, b"", bytes), Clock())


def expect_documented(api: FastAPI, answer: httpx.Response) -> None:
    """Fail where the OpenAPI document does not say that this endpoint may answer so."""
    operation = operation_of(api.openapi(), answer)
    if answer.request.url.path == api.openapi_url or (operation is None and answer.status_code in (404, 405)):
        return
    where = f"{answer.request.method} {answer.request.url.path} -> {answer.status_code}"
    assert answer.status_code != 500, where
    assert operation is not None, f"{where}: not in the document"
    assert str(answer.status_code) in operation["responses"], f"{where}: this status is not documented"
    answer.read()
    if answer.headers.get("content-type") == "application/problem+json":
        content = operation["responses"][str(answer.status_code)]["content"]
        codes = content["application/problem+json"]["examples"]
        assert answer.json()["code"] in codes, f"{where}: code {answer.json()['code']} is not documented"


def operation_of(document: Mapping[str, Any], answer: httpx.Response) -> dict[str, Any] | None:
    """The operation of the document that a request went to."""
    path = answer.request.url.path
    for template, item in sorted(document["paths"].items(), key=lambda one: "{" in one[0]):
        pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and answer.request.method.lower() in item:
            found: dict[str, Any] = item[answer.request.method.lower()]
            return found
    return None

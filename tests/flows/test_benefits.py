"""From the agency's files to the holder's pocket and back: bills, batches, what comes back, what is spent."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from threading import Thread

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from card.hsm.client import Hsm
from card.vault import open_vault
from city.agency import Agency, AgencyOffice, AgencyRefused, Entitled, entitled, schedule
from clearing.online.payment import Approved, Channel, Declined, PaymentOrder, pay
from clearing.sectors.socialsecurity.funds import FundAgreement, Prefunding, prefund, register_funds
from clearing.sectors.socialsecurity.pockets import allow_kind, set_merchant_kinds
from clearing.sectors.socialsecurity.schedule import Insurance, register_brackets
from clearing.sectors.socialsecurity.subsidy import legs_for
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.api.http_doors import Doors, expect_documented, open_doors, person
from tests.support.clearing_day import DAY, at

AGENCY = FUND = "SSB"
MONTH = date(2018, 9, 1)
PEOPLE = 13


@pytest.fixture
def doors(engine: Engine, city_hsm: Hsm) -> Iterator[Doors]:
    vault = open_vault(engine, city_hsm, random=secrets.token_bytes, at=at(0))
    with open_doors(engine, city_hsm, vault) as opened:
        with writing(engine) as conn:
            open_accounts(conn, [account(f"clearing:{AGENCY}")], at=at(0))
            register_funds(conn, [FundAgreement(FUND, AGENCY, 0, DAY)], at=at(0))
            register_brackets(conn, schedule(AGENCY, DAY.year))
            set_merchant_kinds(conn, {"SHOP-1": "canteen"}, at=at(0))
            allow_kind(conn, "canteen", at=at(0))
        yield opened


@pytest.fixture
def line(doors: Doors) -> Iterator[httpx.Client]:
    """The agency's line to our door: a real socket."""
    api = doors.client.app
    assert isinstance(api, FastAPI)
    server = uvicorn.Server(uvicorn.Config(api, port=0, log_level="error"))
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    documented = {"response": [lambda answer: expect_documented(api, answer)]}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", event_hooks=documented) as client:
        yield client
    server.should_exit = True
    thread.join()


@pytest.fixture
def office(doors: Doors, line: httpx.Client) -> AgencyOffice:
    maker, checker = (doors.institution(AGENCY, scope) for scope in ("agency:write", "agency:approve"))
    return AgencyOffice(line, maker, checker)


def arrive(doors: Doors, reference: str, amount_fen: int) -> None:
    with writing(doors.engine) as conn:
        prefund(conn, [Prefunding(reference, FUND, amount_fen, DAY, at(8))], at=at(8))


def held_fen(doors: Doors, code: str) -> int:
    with reading(doors.engine) as conn:
        assert check_books(conn) == []
        return balance(conn, code).balance_fen


def test_a_months_benefits_reach_everybody_in_the_end_and_nobody_twice(
    doors: Doors, office: AgencyOffice
) -> None:
    numbers = range(1, PEOPLE + 1)
    agency = Agency(AGENCY, FUND, entitled([person(n)["identity_no"] for n in numbers], seed=7))
    holders = {n: doors.enrol(n) for n in numbers if n not in (4, 5)}
    doors.client.post(f"/v1/holders/{holders[1]}/loss", headers=doors.institution("COUNTER"))
    batches = {"pension": agency.pensions(MONTH), "meals": agency.meals(MONTH)}
    received = {programme: office.bring(data) for programme, data in batches.items()}
    with pytest.raises(AgencyRefused, match="fund_short"):
        office.approve_and_pay(received["pension"]["number"], key="short")
    arrive(doors, "BANK-1", agency.claimed_fen())
    for programme, batch in received.items():
        assert office.approve_and_pay(batch["number"], key=programme)["state"] == "paid"
        assert office.bring(batches[programme])["state"] == "paid"
    back = {line["claim"]: line["returned"] for line in office.returned()}
    assert back == {
        "P201809-000001": "holder_locked",
        "M201809-000001": "holder_locked",
        "P201809-000004": "holder_unknown",
        "M201809-000005": "holder_unknown",
    }

    lifting = f"/v1/holders/{holders[1]}/loss/lifting"
    assert doors.client.post(lifting, headers=doors.institution("COUNTER"), json={}).status_code == 200
    holders |= {n: doors.enrol(n) for n in (4, 5)}
    retried = agency.follow_up("RETRY-1", "mixed", [*back, "P201809-000007"])
    office.bring(retried)
    assert office.approve_and_pay("RETRY-1", key="retry")["state"] == "paid"
    assert office.approve_and_pay("RETRY-1", key="retry-again")["state"] == "paid"
    assert office.returned() == []

    for place, one in enumerate(agency.people, 1):
        assert held_fen(doors, f"wallet:{holders[place]}") == one.pension_fen
        assert held_fen(doors, f"subsidy:{holders[place]}") == one.meals_fen
    assert held_fen(doors, f"fund:{FUND}") == 0
    assert held_fen(doors, "bank:reserve") == agency.claimed_fen()


def test_one_officer_alone_pays_nothing(doors: Doors, line: httpx.Client) -> None:
    alone = doors.institution(AGENCY)
    office = AgencyOffice(line, alone, alone)
    agency = Agency(AGENCY, FUND, entitled([person(1)["identity_no"]], seed=1))
    batch = office.bring(agency.pensions(MONTH))
    with pytest.raises(AgencyRefused, match="same_person"):
        office.approve_and_pay(batch["number"], key="alone")
    other = doors.institution("SHOP-1")
    address = f"/v1/agency/benefit-batches/{batch['number']}"
    for request in (
        doors.client.get(address, headers=other),
        doors.client.get(f"{address}/lines", headers=other),
        doors.client.post(f"{address}/approval", headers=other),
        doors.client.post(f"{address}/payment", headers=other | {"Idempotency-Key": "x"}),
    ):
        assert (request.status_code, request.json()["code"]) == (404, "batch_unknown")
    rejected = doors.client.post(
        f"{address}/rejection",
        headers=doors.institution(AGENCY, "agency:approve"),
        json={"reason": "名册有误"},
    )
    assert (rejected.json()["state"], rejected.json()["why_rejected"]) == ("rejected", "名册有误")


def test_a_flawed_file_is_answered_with_every_flaw_and_nothing_personal(doors: Doors) -> None:
    headers = doors.institution(AGENCY) | {"Content-Type": "text/csv"}
    agency = Agency(AGENCY, FUND, entitled([person(n)["identity_no"] for n in (1, 2, 3, 4)], seed=1))
    whole = agency.pensions(MONTH)
    wrong = whole.replace(b"wallet", b"purse")
    answer = doors.client.post("/v1/agency/benefit-batches", headers=headers, content=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "file_flawed")
    assert [(one["line"], one["field"]) for one in answer.json()["errors"]] == [(3, "pocket"), (4, "pocket")]
    assert person(1)["identity_no"] not in answer.text
    taken = doors.client.post("/v1/agency/benefit-batches", headers=headers, content=whole)
    assert taken.status_code == 201
    changed = Agency(AGENCY, FUND, [replace(one, pension_fen=1) for one in agency.people]).pensions(MONTH)
    other = doors.client.post("/v1/agency/benefit-batches", headers=headers, content=changed)
    assert (other.status_code, other.json()["code"]) == (409, "batch_number_taken")
    address = f"/v1/agency/benefit-batches/{taken.json()['number']}/lines?limit=1"
    page = doors.client.get(address, headers=headers).json()
    rest = doors.client.get(f"{address}&cursor={page['next_cursor']}", headers=headers).json()
    assert [(one["claim"], one["paid"]) for one in page["items"] + rest["items"]] == [
        ("P201809-000001", None),
        ("P201809-000004", None),
    ]
    assert rest["next_cursor"] is None
    funds = doors.client.get("/v1/agency/funds", headers=headers).json()
    assert [(one["fund"], one["available_fen"]) for one in funds] == [(FUND, 0)]


def test_a_contribution_is_asked_for_paid_counted_and_given_back(doors: Doors, office: AgencyOffice) -> None:
    first, second = doors.enrol(1), doors.enrol(2)
    people = [
        Entitled(person(1)["identity_no"], Insurance.RESIDENT_PENSION, "", 0, 0),
        Entitled(person(2)["identity_no"], Insurance.FLEXIBLE_EMPLOYMENT, "60", 0, 0),
        Entitled(person(9)["identity_no"], Insurance.RESIDENT_MEDICAL, "standard", 0, 0),
    ]
    answers = office.bring_bills(Agency(AGENCY, FUND, people).bills(DAY.year))
    assert [one["refused"] for one in answers] == [None] * 5 + ["holder_unknown"]
    me = doors.session(first)
    (bill,) = doors.client.get("/v1/me/contributions", headers=me).json()
    assert [one["bracket"] for one in bill["choices"]] == ["200", "500", "1000", "3000"]
    address = f"/v1/me/contributions/{AGENCY}/{bill['number']}/payment"
    wish = {"bracket": "500"}
    poor = doors.client.post(address, headers=me | {"Idempotency-Key": "1"}, json=wish)
    assert poor.json()["code"] == "insufficient"
    doors.fund(f"wallet:{first}", 60_000)
    stranger = doors.session(second) | {"Idempotency-Key": "1"}
    assert doors.client.post(address, headers=stranger, json=wish).json()["code"] == "contribution_unknown"
    for key in ("2", "2", "3"):
        paid = doors.client.post(address, headers=me | {"Idempotency-Key": key}, json=wish)
        assert (paid.status_code, paid.json()["paid_fen"]) == (201, 50_000)
    assert held_fen(doors, f"clearing:{AGENCY}") == 50_000

    record = doors.client.get("/v1/me/social-security", headers=me).json()
    assert [(one["insurance"], one["months_paid"]) for one in record["insured"]] == [("resident_pension", 12)]
    checker = doors.institution(AGENCY, "agency:approve") | {"Idempotency-Key": "4"}
    bills = f"/v1/agency/contribution-bills/{bill['number']}"
    back = doors.client.post(f"{bills}/repayment", headers=checker, json={"reason": "重复参保"})
    assert back.json()["state"] == "open"
    assert (held_fen(doors, f"wallet:{first}"), held_fen(doors, f"clearing:{AGENCY}")) == (60_000, 0)
    maker = doors.institution(AGENCY, "agency:write")
    assert doors.client.post(f"{bills}/withdrawal", headers=maker).json()["state"] == "withdrawn"
    assert doors.client.get("/v1/me/contributions", headers=me).json() == []


def test_the_record_is_read_by_consent_only_and_the_holder_sees_who_looked(
    doors: Doors, office: AgencyOffice
) -> None:
    holder = doors.enrol(1)
    arrive(doors, "BANK-1", 1_000_000)
    agency = Agency(AGENCY, FUND, entitled([person(1)["identity_no"]], seed=3))
    batch = office.bring(agency.meals(MONTH))
    office.approve_and_pay(batch["number"], key="meals")
    me, hospital = doors.session(holder), doors.institution("HOSP-1", "links:read")
    address = f"/v1/holders/{holder}/social-security/reads"
    assert doors.client.post(address, headers=hospital, json={"purpose": "treatment"}).status_code == 403
    for purpose in ("treatment", "benefit"):
        consent = {
            "number": "SB530102001", "granted_to": "HOSP-1", "purpose": purpose,
            "expires_at": "2018-12-31T00:00:00Z",
        }  # fmt: skip
        given = doors.client.post("/v1/me/links/social_security/consents", headers=me, json=consent)
        assert given.status_code == 201, given.text
    seen = doors.client.post(address, headers=hospital, json={"purpose": "treatment"}).json()
    assert (seen["benefits"], seen["movements"], seen["open_bills"]) == ([], [], [])
    whole = doors.client.post(address, headers=hospital, json={"purpose": "benefit"}).json()
    assert [one["programme"] for one in whole["benefits"]] == ["meals"]
    assert [one["pocket"] for one in whole["movements"]] == ["subsidy"]
    looked = doors.client.get("/v1/me/links/reads", headers=me).json()["items"]
    assert [(one["purpose"], one["outcome"]) for one in looked] == [
        ("benefit", "full"),
        ("treatment", "masked"),
        ("treatment", "not_granted"),
    ]


def test_a_meal_subsidy_buys_a_meal_and_nothing_else(doors: Doors, office: AgencyOffice) -> None:
    holder = doors.enrol(1)
    arrive(doors, "BANK-1", 1_000_000)
    one = Entitled(person(1)["identity_no"], Insurance.RESIDENT_MEDICAL, "standard", 2_000, 1_500)
    agency = Agency(AGENCY, FUND, [one])
    for data, number in ((agency.meals(MONTH), "MEALS-201809"), (agency.pensions(MONTH), "PENSION-201809")):
        office.bring(data)
        office.approve_and_pay(number, key=number)
    with writing(doors.engine) as conn:
        legs = legs_for(conn, holder, "SHOP-1", 1_800)
        meal = PaymentOrder("meal", Channel.QR, "purchase", "SHOP-1", holder, legs, DAY, at(12))
        elsewhere = replace(meal, reference="film", merchant="SHOP-2")
        answers = pay(conn, [meal, elsewhere], at=at(12))
    assert [type(answer) for answer in answers] == [Approved, Declined]
    assert (held_fen(doors, f"subsidy:{holder}"), held_fen(doors, f"wallet:{holder}")) == (0, 1_700)
    assert held_fen(doors, "clearing:SHOP-1") == 1_800

"""The holder's pages as a visitor meets them: in by a code, what is shown, what can be done, and by whom only."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from api.http.tables import session as session_table
from api.pages.safety import HEADERS
from api.pages.visitor import COOKIE
from card.links import Link, LinkKind, Purpose, grant, read_link
from clearing.sectors.healthcare.tables import hospital, hospital_bill
from ledger.db import reading, writing
from tests.api.http_doors import person
from tests.api.page_visitor import ORIGIN, Visitor, said, spoken, tree_of
from tests.support.clearing_day import DAY, at
from tests.support.written_taps import suspended, tap_row, write_taps

HOLDERS_PAGES = (
    "/me", "/me/pay", "/me/history", "/me/topup", "/me/bills", "/me/records", "/me/cards", "/me/loss",
    "/me/privacy",
)  # fmt: skip


def test_a_holder_comes_in_by_code_and_goes_out_again(visitor: Visitor) -> None:
    visitor.sign_in()
    home = visitor.get("/me")
    assert "张*" in home.text and person(1)["identity_no"] not in home.text
    out = visitor.send(home, "/sign-out")
    assert out.url.path == "/sign-in"
    assert COOKIE not in visitor.client.cookies
    with reading(visitor.doors.engine) as conn:
        assert conn.execute(select(session_table)).all() == []


def test_the_sessions_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Visitor) -> None:
    visitor.doors.enrol(1)
    asked = visitor.send(visitor.get("/sign-in"), "/sign-in", identity=person(1)["identity_no"])
    visitor.client.follow_redirects = False
    opened = visitor.send(asked, "/sign-in/code", code=visitor.doors.phones.messages[-1][1])
    (cookie,) = [one for one in opened.headers.get_list("set-cookie") if one.startswith(COOKIE)]
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))


@pytest.mark.parametrize("path", HOLDERS_PAGES)
def test_nobody_sees_a_holders_page_without_a_session(visitor: Visitor, path: str) -> None:
    page = visitor.get(path)
    assert page.url.path == "/sign-in"
    visitor.client.cookies.set(COOKIE, "ocs_made-up", domain="onecard.test")
    page = visitor.get(path)
    assert page.url.path == "/sign-in" and "session is over" in page.text


def test_a_session_that_is_over_leads_back_to_signing_in(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.doors.clock.pass_(hours=1, seconds=1)
    page = visitor.get("/me/history")
    assert page.url.path == "/sign-in" and "session is over" in page.text


def test_an_identity_nobody_has_is_answered_like_any_other(visitor: Visitor) -> None:
    visitor.doors.enrol(1)
    known, unknown = (
        visitor.send(visitor.get("/sign-in"), "/sign-in", identity=person(number)["identity_no"])
        for number in (1, 2)
    )
    assert known.url.path == unknown.url.path == "/sign-in/code"
    assert said(known) == said(unknown)
    assert len(visitor.doors.phones.messages) == 1


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        ("123", "18 characters"),
        ("", "18 characters"),
        ("<b>", "18 characters"),
        ("5301021990010101\x00", "18 char"),
    ],
)
def test_an_impossible_identity_number_is_named_with_the_remedy(
    visitor: Visitor, identity: str, says: str
) -> None:
    page = visitor.post("/sign-in", {"identity": identity})
    assert page.status_code == 422 and says in page.text
    assert "<b>" not in page.text


def test_a_wrong_code_opens_nothing_and_five_spend_it(visitor: Visitor) -> None:
    visitor.doors.enrol(1)
    page = visitor.send(visitor.get("/sign-in"), "/sign-in", identity=person(1)["identity_no"])
    right = visitor.doors.phones.messages[-1][1]
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    for _ in range(5):
        page = visitor.send(page, "/sign-in/code", code=wrong)
        assert page.status_code == 401 and "not the one that was sent" in page.text
    page = visitor.send(page, "/sign-in/code", code=right)
    assert page.status_code == 401 and "tried too often" in page.text
    again = visitor.post("/sign-in", {"identity": person(1)["identity_no"]})
    assert again.status_code == 429 and "seconds" in again.text


FORGED: list[dict[str, str]] = [
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": f"{ORIGIN}.evil.test"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {},
]


@pytest.mark.parametrize("headers", FORGED)
@pytest.mark.parametrize(
    "path", ["/me/loss", "/me/topup", "/me/bills", "/me/records", "/sign-out", "/sign-in"]
)
def test_a_form_from_elsewhere_does_nothing(visitor: Visitor, path: str, headers: dict[str, str]) -> None:
    visitor.sign_in()
    answer = visitor.client.post(path, data={}, headers=headers)
    assert answer.status_code == 403 and "nothing was done" in answer.text
    assert visitor.get("/me").url.path == "/me"
    assert "reported a loss" not in visitor.get("/me").text


def test_the_browsers_own_word_is_enough_where_it_gives_no_origin(visitor: Visitor) -> None:
    visitor.sign_in()
    answer = visitor.client.post("/me/loss", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.url.path == "/me/cards"


@pytest.mark.parametrize(
    "path", [*HOLDERS_PAGES, "/sign-in", "/card", "/nothing", "/static/page.js", "/worker.js"]
)
def test_every_answer_keeps_foreign_things_out(visitor: Visitor, path: str) -> None:
    visitor.sign_in()
    page = visitor.get(path)
    assert {name: page.headers.get(name) for name in HEADERS} == HEADERS
    if page.headers["content-type"].startswith("text/html"):
        assert page.headers["cache-control"] == "no-store"
        tree = tree_of(page)
        assert tree.xpath("//script[not(@src)] | //style | //@style | //@*[starts-with(name(), 'on')]") == []
        places = [str(one) for one in tree.xpath("//@src | //@href | //@action")]
        assert [one for one in places if not one.startswith(("/", "#", "?"))] == []


def test_pockets_and_purses_show_cleared_and_pending(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    card = visitor.tie(holder)
    visitor.doors.fund(f"wallet:{holder}", 12_345)
    visitor.doors.fund(f"medical:{holder}", 700)
    visitor.doors.fund(f"purse:{card}", 5_000)
    visitor.send(visitor.get("/me/topup"), "/me/topup", amount="80")
    write_taps(visitor.doors.engine, tap_row(0, at(10)), suspended(1, at(11), amount_fen=390))
    page = visitor.get("/me")
    pockets = {str(one.get("aria-label")): spoken(one) for one in tree_of(page).xpath("//section")}
    assert "Cleared ¥ 123.45 Pending +¥ 80.00" in pockets["Wallet"]
    assert "Top-up not confirmed yet: +¥ 80.00" in pockets["Wallet"]
    assert "Cleared ¥ 7.00 Pending nothing" in pockets["Medical account"]
    assert "Cleared ¥ 0.00 Pending nothing" in pockets["Subsidies"]
    assert "Cleared ¥ 50.00 Pending −¥ 3.90" in pockets[f"Purse of card …{card[-4:]} (in use)"]
    assert "As of 2018-09-01 09:00:00" in said(page)


def test_the_history_is_one_list_in_pages(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    visitor.tie(holder)
    visitor.doors.fund(f"wallet:{holder}", 100_000)
    for number in range(23):
        visitor.buy(holder, 100 + number, f"b{number}")
    write_taps(visitor.doors.engine, suspended(0, at(12), line=7, station=3))
    page, amounts = visitor.get("/me/history"), []
    first = said(page)
    assert "Bus BUS-1 2018-09-01 12:00:00 · line 7, stop 3" in first
    assert "0.40 less than the list fare · unknown machine" in first and "pending" in first
    for _ in range(5):
        tree = tree_of(page)
        amounts += [str(one.text) for one in tree.xpath("//*[contains(@class, 'amount')]")]
        older = tree.xpath("//a[@rel='next']/@href")
        if not older:
            break
        page = visitor.get(str(older[0]))
    paid = [f"−¥ {(100 + number) / 100:.2f}" for number in reversed(range(23))]
    assert amounts == ["−¥ 1.60", *paid, "+¥ 1,000.00"]
    assert visitor.get("/me/history?before=made-up").status_code == 400


def test_a_loss_is_reported_after_a_second_question(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    card = visitor.tie(holder)
    elsewhere = visitor.doors.session(holder)
    confirm = visitor.get("/me/loss")
    assert card in confirm.text and "Only a counter can lift it" in confirm.text
    assert "Locked" not in visitor.get("/me/cards").text
    done = visitor.send(confirm, "/me/loss")
    assert "Everything is locked from this moment" in done.text and "reported lost" in done.text
    assert visitor.doors.client.get("/v1/me", headers=elsewhere).status_code == 401
    refused = visitor.get("/me/pay")
    assert refused.status_code == 409 and "A counter lifts it" in refused.text
    assert visitor.get("/me/loss").url.path == "/me/cards"


def test_the_holder_sees_who_looked_and_withdraws_a_consent(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    deps, now = visitor.doors.deps, visitor.doors.clock()
    kind, purpose = LinkKind.SOCIAL_SECURITY, Purpose.SETTLEMENT
    with writing(deps.engine) as conn:
        link = Link(holder, kind, "SS12345678", "HOSPITAL-1", purpose, now + timedelta(days=9))
        grant(conn, deps.vault, link, at=now)
        for reader in ("HOSPITAL-1", "SHOP-1"):
            read_link(conn, deps.vault, holder, kind, reader=reader, purpose=purpose, at=now)
    page = visitor.get("/me/privacy")
    words = said(page)
    assert (
        "HOSPITAL-1 2018-09-01 09:00:00 · social-security record · to settle a bill saw the number" in words
    )
    assert "SHOP-1" in words and "refused: no consent" in words and "SS12345678" not in page.text
    done = visitor.send(page, "/me/privacy/social_security/HOSPITAL-1/settlement/withdrawal")
    assert "withdrawn" in said(done) and "Withdraw<" not in done.text


def test_a_payment_has_a_receipt_to_print_for_its_payer_only(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    visitor.doors.fund(f"wallet:{holder}", 5_000)
    visitor.buy(holder, 1_250)
    (place,) = tree_of(visitor.get("/me")).xpath("//a[contains(@href, 'receipt')]/@href")
    page = visitor.get(str(place))
    for words in ("SHOP-1", "http:SHOP-1:b1", "¥ 12.50", "张*"):
        assert words in page.text
    assert tree_of(page).xpath("//button[@data-print]")
    visitor.send(page, "/sign-out")
    visitor.sign_in(2)
    assert visitor.get(str(place)).status_code == 404
    assert visitor.get("/me/receipt?reference=%00").status_code == 422


def test_records_show_hospital_bills_by_who_paid(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    row = {
        "hospital": "HOSP-1", "bill_no": "B-1", "holder": holder, "treated_on": DAY, "benefit_year": 2018,
        "level": 3, "category": "employee", "pool": "MED-POOL", "policy_version": 1, "digest": bytes(32),
        "total_fen": 100, "fund_fen": 60, "account_fen": 30, "patient_fen": 10, "deductible_fen": 0,
        "co_payment_fen": 40, "first_share_fen": 0, "above_ceiling_fen": 0, "not_covered_fen": 0,
        "why": "", "insurer_no": "", "opened_at": at(8), "changed_at": at(8),
    }  # fmt: skip
    with writing(visitor.doors.engine) as conn:
        conn.execute(insert(hospital).values(participant="HOSP-1", level=3, registered_at=at(0)))
        conn.execute(
            insert(hospital_bill).values(row | {"reference": "hospital:HOSP-1:B-1", "state": "unknown"})
        )
    words = said(visitor.get("/me/records"))
    assert (
        "the insurer has not answered Total ¥ 1.00 Pooled fund ¥ 0.60 Medical account ¥ 0.30 Wallet ¥ 0.10"
        in words
    )
    assert "Nothing to contribute at present" in words and "No benefit yet" in words
    assert "Hospital bill, the insurer has not answered: −¥ 0.10" in said(visitor.get("/me"))


def test_every_page_speaks_the_language_that_was_chosen(visitor: Visitor) -> None:
    visitor.sign_in()
    for path in HOLDERS_PAGES:
        page = visitor.get(path)
        (switch,) = tree_of(page).xpath("//header//a[@hreflang]/@href")
        chinese = visitor.get(str(switch))
        tree = tree_of(chinese)
        assert chinese.url.path == page.url.path and tree.get("lang") == "zh-CN"
        assert tree_of(page).get("lang") == "en"
        visitor.get(f"/language/en?next={path}")


@pytest.mark.parametrize("place", ["//evil.test", "https://evil.test", "/\\evil.test", "evil", "/a\r\nX: y"])
def test_the_switch_of_language_leads_to_our_own_pages_only(visitor: Visitor, place: str) -> None:
    visitor.client.follow_redirects = False
    answer = visitor.client.get("/language/zh", params={"next": place})
    assert answer.headers["location"] == "/"


def test_the_page_can_be_installed_and_keeps_nothing_personal(visitor: Visitor) -> None:
    manifest = visitor.get("/manifest.webmanifest").json()
    assert manifest["start_url"] == "/me" and manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        assert visitor.get(icon["src"]).headers["content-type"] == icon["type"]
    worker = visitor.get("/worker.js")
    assert worker.headers["content-type"].startswith("text/javascript")
    kept = re.findall(r'"(/[^"]*)"', worker.text.split("FILES =")[1].split(";")[0])
    assert kept and all(visitor.get(path).status_code == 200 and not path.startswith("/me") for path in kept)


def test_an_address_below_v1_is_still_refused_by_the_api(visitor: Visitor) -> None:
    answer = visitor.get("/v1/nothing")
    assert answer.status_code == 404 and answer.json()["code"] == "not_found"
    assert visitor.client.post("/v1/nothing").json()["code"] == "not_found"
    page = visitor.get("/nothing")
    assert page.status_code == 404 and "no such page" in page.text
    assert visitor.post("/me/history").status_code == 405

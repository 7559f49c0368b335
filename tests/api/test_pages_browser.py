"""The holder's pages in a real browser: by keyboard alone, on a phone's screen, checked by axe for WCAG AA."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from api.http.state import Deps
from api.web import make_service, serving
from card.vault import open_vault
from city.day import Mischief
from city.demo import DEMO_DATE, moment
from ledger.sharing import Alone
from tests.api.http_doors import Doors, person
from tests.support.clearing_day import at, card_no
from tests.support.lived_city import MakeCity, lived
from tests.support.written_taps import suspended, tap_row, write_taps

ARGUMENTS = [
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
WCAG_AA = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }
}
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
MOST_TABS = 60
PAGES = (
    "/me", "/me/pay", "/me/history", "/me/topup", "/me/bills?biller=NOBODY&account=1", "/me/records", "/me/cards",
    "/me/loss", "/me/privacy", "/sign-in", "/card?card=1", "/finance/none", "/finance/2018-09-01", "/offline",
    "/nothing",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is missing: make .venv/system installs it"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def place(standing_doors: Doors, tmp_path: Path) -> Iterator[str]:
    """Where the whole service listens; test person 1 has money, a card and rides."""
    doors = standing_doors
    service = make_service(doors.deps, tmp_path, open_finance=True)
    with serving(service) as url:
        yield url


@pytest.fixture(scope="module")
def holder(standing_doors: Doors) -> str:
    """Test person 1, with money, a card and rides."""
    found = standing_doors.enrol(1)
    counter = standing_doors.institution("COUNTER")
    standing_doors.client.put(f"/v1/holders/{found}/cards/{card_no(1)}", headers=counter)
    standing_doors.fund(f"wallet:{found}", 12_345)
    write_taps(standing_doors.engine, tap_row(0, at(10)), suspended(1, at(11)))
    return found


def visit(browser: Browser, **options: Any) -> BrowserContext:
    """A visitor who reads English on a phone, where nothing else is said."""
    return browser.new_context(**({"viewport": PHONE, "locale": "en-GB"} | options))


def signed_in(context: BrowserContext, place: str, doors: Doors, holder: str) -> Page:
    token = doors.session(holder)["Authorization"].partition(" ")[2]
    cookie = {"name": "onecard_session", "value": token, "url": place, "secure": True, "httpOnly": True}
    context.add_cookies([cookie])  # type: ignore[list-item]
    return context.new_page()


def flaws_of(page: Page) -> list[str]:
    """What axe holds against a page, with the elements concerned."""
    results = Axe().run(page, options=WCAG_AA).response
    assert results["passes"], f"axe looked at nothing of {page.url}"
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in results["violations"]]


def tab_to(page: Page, words: str) -> None:
    """Press Tab until what has the focus says these words, or is labelled so."""
    script = """() => { const e = document.activeElement; const l = e.labels && e.labels[0];
        return [e.textContent, e.getAttribute('aria-label'), l && l.textContent].join(' ') }"""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if words in page.evaluate(script) and page.evaluate("document.activeElement !== document.body"):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"nothing shows that {words} has the focus"
            return
    raise AssertionError(f"{words} cannot be reached by keyboard")


def test_a_holder_signs_in_and_reports_a_loss_by_keyboard_alone(
    browser: Browser, place: str, doors_with_codes: Doors
) -> None:
    with visit(browser) as context:
        page = context.new_page()
        page.goto(place)
        tab_to(page, "Identity number")
        page.keyboard.type(person(2)["identity_no"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/sign-in/code")
        tab_to(page, "Code, six digits")
        page.keyboard.type(doors_with_codes.phones.messages[-1][1])
        page.keyboard.press("Enter")
        page.wait_for_url("**/me")
        assert "Cleared" in page.inner_text("main") and "¥ 77.00" in page.inner_text("main")
        tab_to(page, "Cards")
        page.keyboard.press("Enter")
        page.wait_for_url("**/me/cards")
        tab_to(page, "Report a loss")
        page.keyboard.press("Enter")
        page.wait_for_url("**/me/loss")
        tab_to(page, "Yes, lock everything now")
        page.keyboard.press("Enter")
        page.wait_for_url("**/me/cards?reported=true")
        assert "Everything is locked" in page.inner_text("[role=status]")
        tab_to(page, "Sign out")
        page.keyboard.press("Enter")
        page.wait_for_url("**/sign-in")
        (left,) = [[one["name"] for one in context.cookies()]]
        assert "onecard_session" not in left


@pytest.fixture
def doors_with_codes(standing_doors: Doors) -> Doors:
    """Test person 2 with money, and phones that keep the codes."""
    found = standing_doors.enrol(2)
    standing_doors.fund(f"wallet:{found}", 7_700)
    return standing_doors


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    browser: Browser, place: str, standing_doors: Doors, holder: str, language: str, scheme: str
) -> None:
    found: dict[str, list[str]] = {}
    with visit(browser, locale=language, color_scheme=scheme) as context:
        page = signed_in(context, place, standing_doors, holder)
        for path in PAGES:
            page.goto(place + path)
            found[path] = flaws_of(page)
    assert found == {path: [] for path in PAGES}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page_of_a_night(
    browser: Browser, make_city: MakeCity, tmp_path: Path, sqlite_template: Path, scheme: str
) -> None:
    with lived(make_city, tmp_path, sqlite_template, Mischief.DEVICE_UNKNOWN) as city:
        vault = open_vault(city.engine, city.hsm, random=token_bytes, at=at(0))
        doors = Deps(city.engine, Alone(city.engine), city.hsm, vault, lambda: moment(DEMO_DATE, 23, 59))
        service = make_service(doors, city.home.nights, open_finance=True)
        with serving(service) as url, visit(browser, color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(f"{url}/finance")
            assert flaws_of(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_no_page_is_wider_than_its_screen_or_breaks_a_rule(
    browser: Browser, place: str, standing_doors: Doors, holder: str, viewport: dict[str, int]
) -> None:
    said: list[str] = []
    with visit(browser, viewport=viewport) as context:
        page = signed_in(context, place, standing_doors, holder)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        foreign: list[str] = []
        page.on("request", lambda one: foreign.append(one.url) if not one.url.startswith(place) else None)
        for path in PAGES:
            page.goto(place + path)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= viewport["width"], f"{path} is {width} wide"
    assert [one for one in said if "the server responded with a status of 4" not in one] == []
    assert foreign == []


def test_the_pay_code_renews_itself_and_is_hidden_when_it_cannot(
    browser: Browser, place: str, standing_doors: Doors, holder: str
) -> None:
    with visit(browser) as context:
        page = signed_in(context, place, standing_doors, holder)
        page.clock.install()
        page.goto(f"{place}/me/pay")
        first = page.inner_text(".digits")
        page.clock.run_for(55_000)
        expect(page.locator(".digits")).not_to_have_text(first)
        expect(page.locator("#pay-said")).to_have_text("A new code is shown.")
        second = page.inner_text(".digits")
        context.set_offline(True)
        page.clock.run_for(55_000)
        expect(page.locator("#pay-said")).to_contain_text("could not be renewed")
        page.clock.run_for(20_000)
        page.wait_for_selector("#pay-code", state="hidden")
        context.set_offline(False)
        page.clock.run_for(10_000)
        page.wait_for_selector("#pay-code", state="visible")
        assert page.inner_text(".digits") not in (first, second)


def test_without_a_connection_the_page_says_so_and_shows_nothing_old(
    browser: Browser, place: str, standing_doors: Doors, holder: str
) -> None:
    with visit(browser, service_workers="allow") as context:
        page = signed_in(context, place, standing_doors, holder)
        page.goto(f"{place}/me")
        page.evaluate(
            "navigator.serviceWorker.controller !== null"
            " || new Promise(done => navigator.serviceWorker.oncontrollerchange = () => done(true))"
        )
        context.set_offline(True)
        page.goto(f"{place}/me/history")
        words = page.inner_text("main")
        assert "No connection" in words and "¥" not in words
        kept = page.evaluate(
            "caches.keys().then(names => Promise.all(names.map(name => caches.open(name)"
            ".then(cache => cache.keys())))).then(all => all.flat().map(one => new URL(one.url).pathname))"
        )
        assert sorted(kept) == ["/offline", "/static/icon.svg", "/static/style.css"]


def test_a_receipt_prints_without_the_page_around_it(
    browser: Browser, place: str, standing_doors: Doors, holder: str
) -> None:
    shop = standing_doors.institution("SHOP-1") | {"Idempotency-Key": "receipt"}
    body = {"reference": "r1", "holder": holder, "amount_fen": 100}
    assert standing_doors.client.post("/v1/payments", json=body, headers=shop).status_code == 201
    with visit(browser) as context:
        page = signed_in(context, place, standing_doors, holder)
        page.goto(f"{place}/me/receipt?reference=http:SHOP-1:r1")
        assert page.is_visible("[data-print]") and page.is_visible("header")
        page.emulate_media(media="print")
        assert page.is_visible(".receipt")
        assert not page.is_visible("header") and not page.is_visible("[data-print]")

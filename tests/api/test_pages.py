"""The finance page and the page of cards without a name, read from the books of a small day."""

import csv
import hashlib
import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.http.clients import register_client
from api.http.state import Deps
from api.pages.app import make_app
from api.pages.sheet import further, sheet
from api.pages.texts import Language, Words
from card.holders import Enrolled, Person, enrol, tie_card
from card.vault import open_vault
from city.day import Mischief
from city.demo import DEMO_DATE
from city.world import City
from clearing.interop.centres import Centre, register_centre
from clearing.proposals import Asked, Decision, Proposal, Target, propose
from clearing.suspense import suspended_taps
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import open_day
from ledger.db import writing
from ledger.entry import Entry, Posted
from ledger.entry import Line as BookLine
from ledger.post import post
from ledger.sharing import Alone
from settlement.night import STEPS
from settlement.night_log import refuse_run, start_run
from settlement.suspense_approval import approve
from settlement.two_people import Word
from tests.api.http_doors import SECRET
from tests.api.page_visitor import said, tree_of
from tests.support.lived_city import MakeCity, lived

NOW = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
SUSPENDED_CARD = "03104870000000900000"
NAMED_CARD = "03104870000000000001"


def visit(city: City, *, open_finance: bool = True) -> TestClient:
    """Somebody at the pages of a city, who reads English."""
    vault = open_vault(city.engine, city.hsm, random=secrets.token_bytes, at=NOW)
    doors = Deps(city.engine, Alone(city.engine), city.hsm, vault, lambda: NOW)
    app = make_app(doors, city.home.nights, open_finance=open_finance)
    return TestClient(app, "https://onecard.test", headers={"Accept-Language": "en"})


@pytest.fixture(scope="module")
def city(
    make_city: MakeCity, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[City]:
    """A city after a day with one suspended tap."""
    folder = tmp_path_factory.mktemp("pages")
    with lived(make_city, folder, sqlite_template, Mischief.DEVICE_UNKNOWN) as city:
        yield city


@pytest.fixture(scope="module")
def pages(city: City) -> Iterator[TestClient]:
    """The pages of that city."""
    with visit(city) as client:
        yield client


def cells(page_text: str, name: str) -> list[list[str]]:
    """The rows of the table of that name."""
    (table,) = tree_of(page_text).xpath(f"//h3[@id='sheet-{name}']/following-sibling::div[1]//table")
    return [[str(cell.text_content()) for cell in row.xpath("td")] for row in table.xpath(".//tbody/tr")]


def test_the_finance_page_opens_on_the_newest_night(pages: TestClient) -> None:
    page = pages.get("/finance")
    assert page.status_code == 200 and page.url.path == f"/finance/{DEMO_DATE}"
    words = said(page)
    for text in ("finished", "Taps presented", "unknown machine", "METRO-1", "Trial balance", "pain001"):
        assert text in words


def test_every_step_of_the_night_is_shown_in_order(pages: TestClient) -> None:
    tree = tree_of(pages.get(f"/finance/{DEMO_DATE}"))
    shown = [str(one.text) for one in tree.xpath("//ol[@class='steps']/li//code[@class='quiet']")]
    assert shown == [name for name, _ in STEPS]
    assert set(tree.xpath("//ol[@class='steps']/li/@class")) == {"done"}


def test_a_night_that_stopped_says_where_and_what_is_still_to_come(
    make_city: MakeCity, tmp_path: Path, engine: Engine
) -> None:
    city = make_city(tmp_path / "city", engine)
    with writing(engine) as conn:
        start_run(conn, DEMO_DATE, at=NOW)
        refuse_run(conn, DEMO_DATE, "verify", "the HSM does not answer")
    with visit(city) as client:
        page = client.get(f"/finance/{DEMO_DATE}")
    tree = tree_of(page)
    assert "The night stopped at verify: the HSM does not answer" in said(page)
    assert tree.xpath("//ol[@class='steps']/li[@class='refused']//code/text()") == ["verify"]
    assert len(tree.xpath("//ol[@class='steps']/li[@class='to_come']")) == len(STEPS) - 1


def test_a_running_night_is_followed_only_when_asked(
    make_city: MakeCity, tmp_path: Path, engine: Engine
) -> None:
    city = make_city(tmp_path / "city", engine)
    with writing(engine) as conn:
        start_run(conn, DEMO_DATE, at=NOW)
    with visit(city) as client:
        still, followed = client.get(f"/finance/{DEMO_DATE}"), client.get(f"/finance/{DEMO_DATE}?follow=true")
    assert "http-equiv" not in still.text and 'http-equiv="refresh"' in followed.text
    assert tree_of(still).xpath("//ol[@class='steps']/li[1]/@class") == ["running"]


def test_participants_and_positions_agree_with_the_bank(pages: TestClient) -> None:
    page = pages.get(f"/finance/{DEMO_DATE}").text
    paid = {row[0]: row[4] for row in cells(page, "participants")}
    assert paid and paid == {row[1]: row[2] for row in cells(page, "bank")}
    assert {row[1] for row in cells(page, "positions")} >= {*paid, "SCHEME"}
    assert all(row[-1] == "yes" for row in cells(page, "stages"))


def test_the_finance_page_holds_chips_against_purses(
    pages: TestClient, make_city: MakeCity, tmp_path: Path, sqlite_template: Path
) -> None:
    (row,) = cells(pages.get(f"/finance/{DEMO_DATE}").text, "chips")
    assert row[0] == SUSPENDED_CARD and row[-1] == "taps not booked explain it"
    with lived(make_city, tmp_path, sqlite_template) as city, visit(city) as client:
        assert (
            "Every chip, as last seen, holds what its purse owes" in client.get(f"/finance/{DEMO_DATE}").text
        )


def test_a_tap_that_was_paid_after_its_night_leaves_no_chip_unexplained_on_that_nights_page(
    make_city: MakeCity, tmp_path: Path, sqlite_template: Path
) -> None:
    with lived(make_city, tmp_path, sqlite_template, Mischief.DEVICE_UNKNOWN) as city, visit(city) as client:
        with writing(city.engine) as conn:
            (waiting,) = suspended_taps(conn, DEMO_DATE)
            target = Target(waiting.operator, waiting.sequence, waiting.position)
            made = propose(conn, Asked(target, Decision.PAY, "its device was new", "li", NOW))
        assert isinstance(made, Proposal)
        assert isinstance(
            approve(city.engine, Word(made.number, "wang", NOW), nights=city.home.nights), Proposal
        )
        page = client.get(f"/finance/{DEMO_DATE}").text
    assert "Every chip, as last seen, holds what its purse owes" in page


def test_other_cities_accounts_stand_beside_funds_and_channels_with_their_names(
    make_city: MakeCity, tmp_path: Path, engine: Engine
) -> None:
    city = make_city(tmp_path / "city", engine)
    owed = BookLine("city:KUNMING", "clearing:METRO-1", 530, "card")
    with writing(engine) as conn:
        for code, name in (("KUNMING", "Kunming Clearing"), ("DALI", "Dali Clearing")):
            assert register_centre(conn, Centre(code, name, NOW), at=NOW) is True
        open_day(conn, DEMO_DATE, at=NOW)
        codes = ("city:KUNMING", "city:DALI", "clearing:METRO-1")
        open_accounts(conn, [account(code) for code in codes], at=NOW)
        (booked,) = post(conn, [Entry("interop:KUNMING:1", "interop", DEMO_DATE, NOW, (owed,))], at=NOW)
        assert isinstance(booked, Posted)
        start_run(conn, DEMO_DATE, at=NOW)
    with visit(city) as client:
        page = client.get(f"/finance/{DEMO_DATE}").text
    assert ["city:KUNMING", "Kunming Clearing", "5.30", "0.00", "5.30"] in cells(page, "funds_and_channels")
    assert "city:DALI" not in page, "what never moved is left out"
    assert "Funds, channels and other cities" in page


def test_exceptions_name_the_card_the_file_and_the_reason(pages: TestClient) -> None:
    (row,) = cells(pages.get(f"/finance/{DEMO_DATE}").text, "exceptions")
    assert row[0] == "unknown machine" and SUSPENDED_CARD in row


def test_every_file_of_the_night_can_be_fetched_as_it_was_left(pages: TestClient) -> None:
    tree = tree_of(pages.get(f"/finance/{DEMO_DATE}"))
    links = {str(one.get("href")): one for one in tree.xpath("//ul[@class='files']//a")}
    assert len(links) > 15
    for href, link in links.items():
        (digest,) = link.xpath("..//code/@title")
        answer = pages.get(href)
        assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
        assert f"SHA-256 {hashlib.sha256(answer.content).hexdigest()}" == digest
    (positions,) = [href for href in links if href.endswith("positions.csv")]
    rows = list(csv.reader(io.StringIO(pages.get(positions).content.decode("utf-8-sig"))))
    assert len(rows) > 4


@pytest.mark.parametrize(
    "path",
    ["..%2f..%2fonecard.db", "out/..%2f..%2f..%2fonecard.db", "%2e%2e/%2e%2e/onecard.db", "/etc/passwd",
     "work/taps.parquet", "out/reports/", "out", "out/reports/positions.csv%00",
     "out/reports/nothing.csv", "..%5c..%5conecard.db"],
)  # fmt: skip
def test_nothing_but_the_files_of_the_night_can_be_fetched(pages: TestClient, path: str) -> None:
    answer = pages.get(f"/finance/{DEMO_DATE}/files/{path}")
    assert answer.status_code == 404 and b"SQLite format" not in answer.content


def test_a_file_that_was_changed_is_not_handed_out(
    make_city: MakeCity, tmp_path: Path, sqlite_template: Path
) -> None:
    with lived(make_city, tmp_path, sqlite_template) as city, visit(city) as client:
        path = "out/reports/positions.csv"
        place = city.home.night(DEMO_DATE) / path
        place.write_bytes(place.read_bytes() + b" ")
        answer = client.get(f"/finance/{DEMO_DATE}/files/{path}")
        assert answer.status_code == 409 and "not what the night left" in answer.text
        outside = tmp_path / "outside.csv"
        place.unlink()
        outside.write_bytes(b"a")
        place.symlink_to(outside)
        assert client.get(f"/finance/{DEMO_DATE}/files/{path}").status_code == 404


def test_finance_opens_only_to_clients_that_may_read_it(city: City) -> None:
    with writing(city.engine) as conn:
        register_client(conn, "finance", SECRET, "SCHEME", ["finance:read"], NOW)
        register_client(conn, "shop", SECRET, "SHOP-1", ["payments:read"], NOW)
    places = (f"/finance/{DEMO_DATE}", "/finance", f"/finance/{DEMO_DATE}/files/out/reports/positions.csv")
    with visit(city, open_finance=False) as client:
        for place in places:
            for nobody in (None, ("finance", "wrong"), ("shop", SECRET), ("", "")):
                refused = client.get(place, auth=nobody)
                assert refused.status_code == 401 and "METRO" not in refused.text
                assert refused.headers["www-authenticate"].startswith("Basic")
            assert client.get(place, auth=("finance", SECRET)).status_code == 200


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a figure that the page has never heard of."""

    verdict: str
    rides: int
    paid_fen: int
    when: date


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures with one known field and others that are new."""

    state: str
    qr_verdicts: tuple[Line, ...]
    brought_back_fen: int
    nothing: tuple[Line, ...] = ()


def test_figures_that_are_new_are_shown_as_they_come() -> None:
    words = Words(Language.EN)
    figures = Figures("finished", (Line("accepted", 3, 123_456, DEMO_DATE),), 700)
    sheets, singles = further(words, figures, known=("state",))
    (new,) = sheets
    assert [kind for _, kind in new.columns] == ["text", "number", "money", "text"]
    assert [cell.text for cell in new.rows[0]] == ["accepted", "3", "1,234.56", "2026-03-02"]
    assert singles == {"brought back": "7.00"}
    assert sheet(words, "empty", ()).rows == ()


def test_a_date_without_a_night_has_an_empty_page_and_no_error(pages: TestClient) -> None:
    page = pages.get("/finance/2031-01-01")
    assert page.status_code == 200
    assert "not started" in page.text and "Nothing yet" in page.text
    assert pages.get("/finance/not-a-day").status_code == 422


def test_before_the_first_night_the_finance_page_says_how_to_get_one(
    make_city: MakeCity, tmp_path: Path, engine: Engine
) -> None:
    with visit(make_city(tmp_path / "city", engine)) as client:
        page = client.get("/finance")
    assert page.status_code == 200 and "No night has been run in this city yet" in page.text


def test_a_card_without_a_name_shows_money_and_no_places(pages: TestClient) -> None:
    page = pages.get("/card", params={"card": " 0310 4870 0000 0090 0000 "})
    words = said(page)
    assert page.status_code == 200
    assert "Cleared ¥ 600.00 Pending −¥" in words and "Taps not decided yet" in words
    assert "BUS-" not in words and "METRO-" not in words and "line" not in words


def test_a_card_that_is_somebodys_is_shown_to_nobody_else(city: City, pages: TestClient) -> None:
    vault = open_vault(city.engine, city.hsm, random=secrets.token_bytes, at=NOW)
    with writing(city.engine) as conn:
        person = Person("11010519491231002X", "王五", "13800001234")
        answer = enrol(conn, vault, person, at=NOW)
        assert isinstance(answer, Enrolled)
        tie_card(conn, answer.holder, NAMED_CARD, at=NOW)
    page = pages.get("/card", params={"card": NAMED_CARD})
    assert page.status_code == 403 and "belongs to a person" in page.text and "Cleared" not in page.text


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("123", "this one has 3 characters"),
        ("09999999999999999999", "No card of this city has that number"),
        ("<script>alert(1)</script>", "&lt;script&gt;"),
        ("٠" * 20, "A card number has 20 digits"),
    ],
)
def test_a_wrong_card_number_is_answered_with_what_to_do(pages: TestClient, card: str, says: str) -> None:
    page = pages.get("/card", params={"card": card})
    assert page.status_code == 404
    assert says in page.text and "<script>" not in page.text

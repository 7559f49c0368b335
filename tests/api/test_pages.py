"""The two pages, read from the books of a small day."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.pages.app import make_app
from city.day import Mischief, plan_day
from city.demo import DEMO_DATE, live_day, moment
from city.plan import read_plan
from city.world import City, night_of
from ledger.db import make_engine
from settlement.night import run_night, unobserved

NOW = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
SUSPENDED_CARD = "03104870000000900000"


@pytest.fixture(scope="module")
def pages(
    make_city: Callable[[Path, Engine], City], tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[TestClient]:
    """The pages of a city after a day with one suspended tap."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "onecard.db").write_bytes(sqlite_template.read_bytes())
    city = make_city(folder, make_engine(f"sqlite:///{folder / 'onecard.db'}"))
    day = plan_day(read_plan("demo"), DEMO_DATE, riders=4, mischief=(Mischief.DEVICE_UNKNOWN,), seed=2)
    live_day(city, day, progress=lambda *_: None)
    night = night_of(city, DEMO_DATE, at=moment(DEMO_DATE, 23, 30), progress=lambda *_: None)
    run_night(city.engine, night, observe=unobserved)
    with TestClient(make_app(city.engine, city.home.nights, lambda: NOW)) as client:
        yield client
    city.engine.dispose()


def test_the_finance_page_opens_on_the_newest_night(pages: TestClient) -> None:
    page = pages.get("/finance")
    assert page.status_code == 200
    assert page.url.path == f"/finance/{DEMO_DATE}"
    for said in (
        "finished",
        "Presented",
        "device_unknown",
        "METRO-1",
        "check_books_after",
        "Trial balance",
        "pain001",
    ):
        assert said in page.text


def test_the_finance_page_holds_chips_against_purses(
    pages: TestClient, make_city: Callable[[Path, Engine], City], tmp_path: Path, sqlite_template: Path
) -> None:
    differing = pages.get("/finance").text
    assert SUSPENDED_CARD in differing
    assert "explained" in differing
    (tmp_path / "onecard.db").write_bytes(sqlite_template.read_bytes())
    city = make_city(tmp_path, make_engine(f"sqlite:///{tmp_path / 'onecard.db'}"))
    day = plan_day(read_plan("demo"), DEMO_DATE, riders=2, mischief=(), seed=2)
    live_day(city, day, progress=lambda *_: None)
    run_night(
        city.engine,
        night_of(city, DEMO_DATE, at=moment(DEMO_DATE, 23, 30), progress=lambda *_: None),
        observe=unobserved,
    )
    with TestClient(make_app(city.engine, city.home.nights, lambda: NOW)) as client:
        page = client.get(f"/finance/{DEMO_DATE}").text
    assert "Every chip, as last seen, holds what its purse owes" in page
    city.engine.dispose()


def test_a_date_without_a_night_has_an_empty_page_and_no_error(pages: TestClient) -> None:
    page = pages.get("/finance/2031-01-01")
    assert page.status_code == 200
    assert "not started" in page.text
    assert "No step done yet" in page.text


def test_a_citizen_sees_what_is_cleared_and_what_is_pending(pages: TestClient) -> None:
    page = pages.get("/", params={"card": " 0310 4870 0000 0090 0000 "})
    assert page.status_code == 200
    assert "¥ 600.00" in page.text
    assert "device_unknown" in page.text
    assert "pending 待处理" in page.text


def test_a_card_without_taps_says_when_they_will_appear(pages: TestClient) -> None:
    assert "Card number, 20 digits" in pages.get("/").text


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("123", "this one has 3 characters"),
        ("09999999999999999999", "No card of this city has that number"),
        ("<script>alert(1)</script>", "&lt;script&gt;"),
    ],
)
def test_a_wrong_card_number_is_answered_with_what_to_do(pages: TestClient, card: str, says: str) -> None:
    page = pages.get("/", params={"card": card})
    assert page.status_code == 404
    assert says in page.text
    assert "<script>" not in page.text


def test_before_the_first_night_the_finance_page_says_how_to_get_one(engine: Engine, tmp_path: Path) -> None:
    with TestClient(make_app(engine, tmp_path, lambda: NOW)) as client:
        page = client.get("/finance")
    assert page.status_code == 200
    assert "No night has been run in this city yet" in page.text

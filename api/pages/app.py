"""The web application: the citizen's balance and the finance page, read from the books as they stand."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from sqlalchemy import Engine

from api.pages.citizen import card_statement
from api.pages.finance import nights
from city.home import CITY_ZONE
from ledger.db import reading
from ledger.money import yuan
from settlement.chips import chip_differences
from settlement.reports import night_summary

HERE = Path(__file__).parent
RIDES = {1: "Bus 公交", 2: "Metro in 进站", 3: "Metro out 出站"}
MONEY = {
    "paid": "cleared 已清算",
    "suspended": "pending 待处理",
    "rejected": "rejected 已拒绝",
    "none": "not counted 不计",
}


def make_app(engine: Engine, nights_folder: Path, now: Callable[[], datetime]) -> FastAPI:
    """The application on these books; `now` tells the as-of time that the pages show."""
    app = FastAPI(title="City one-card", docs_url=None, redoc_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    templates = Jinja2Templates(directory=HERE / "templates")
    templates.env.filters |= {"yuan": yuan, "local": _local}
    templates.env.globals |= {"rides": RIDES, "money_words": MONEY}

    def page(request: Request, name: str, status_code: int = 200, **context: object) -> HTMLResponse:
        return templates.TemplateResponse(request, name, {"now": now(), **context}, status_code=status_code)

    @app.get("/", response_class=HTMLResponse)
    def citizen(request: Request, card: str = "") -> HTMLResponse:
        """Ask for a card number, or say what is wrong with the one given; a good one shows its balance."""
        number = "".join(card.split())
        if not number:
            return page(request, "card_form.html", card="", problem="")
        with reading(engine) as conn:
            statement = card_statement(conn, number)
        if isinstance(statement, str):
            return page(request, "card_form.html", 404, card=card, problem=statement)
        return page(request, "card.html", statement=statement)

    @app.get("/finance")
    def newest_night() -> RedirectResponse:
        """Go to the newest night, or to the page that says there is none."""
        with reading(engine) as conn:
            known = nights(conn)
        return RedirectResponse(f"/finance/{known[0]}" if known else "/finance/none")

    @app.get("/finance/none", response_class=HTMLResponse)
    def no_night(request: Request) -> HTMLResponse:
        """The empty state: what to do to see a night."""
        return page(request, "no_night.html")

    @app.get("/finance/{business_date}", response_class=HTMLResponse)
    def finance(request: Request, business_date: date) -> HTMLResponse:
        """One night, as far as it has come."""
        with reading(engine) as conn:
            summary = night_summary(conn, business_date)
            known = nights(conn)
            chips = chip_differences(conn, business_date)
        folder = nights_folder / business_date.isoformat()
        return page(request, "finance.html", night=summary, known=known, folder=folder, chips=chips)

    return app


def _local(at: datetime | None) -> str:
    return at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S") if at else "–"

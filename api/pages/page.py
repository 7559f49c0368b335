"""How a page is made: a template, the visitor's words, and what every page shows."""

from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import StrictUndefined
from sqlalchemy import Connection

from api.http.problems import Problem
from api.http.state import deps
from api.pages.texts import Language, language_of, words_of
from city.home import CITY_ZONE
from ledger.money import yuan
from settlement.participants import participants_of

HERE = Path(__file__).parent


def local(at: datetime | None) -> str:
    """An instant on the city's clock."""
    return at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S") if at else "–"


def signed(amount_fen: int) -> str:
    """An amount that came or went, with a true minus sign: `+¥ 800.00`, `−¥ 35.80`."""
    sign = "+" if amount_fen > 0 else "−" if amount_fen < 0 else ""
    return f"{sign}¥ {yuan(abs(amount_fen))}"


def _templates() -> Jinja2Templates:
    made = Jinja2Templates(directory=HERE / "templates")
    made.env.undefined = StrictUndefined
    made.env.trim_blocks = made.env.lstrip_blocks = True
    made.env.filters |= {"yuan": yuan, "local": local, "signed": signed}
    return made


TEMPLATES = _templates()


def render(request: Request, name: str, status_code: int = 200, **context: Any) -> HTMLResponse:
    """The page `name` in the visitor's language."""
    words = words_of(request)
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    shared = {
        "t": words,
        "language": words.language,
        "now": deps(request).now(),
        "path": path,
        "signed_in": is_holders(request.url.path),
    }
    return TEMPLATES.TemplateResponse(
        request, name, {"problem": "", **shared, **context}, status_code=status_code
    )


def is_holders(path: str) -> bool:
    """Whether a page is a holder's own: nobody comes to one without a session."""
    return path == "/me" or path.startswith("/me/")


def explained(request: Request, problem: Problem) -> dict[str, Any]:
    """What a form is shown again with when it did not work."""
    return {"problem": words_of(request).problem(problem), "status_code": problem.status}


def problem_page(request: Request, problem: Problem) -> HTMLResponse:
    """A page that says what was wrong and what to do."""
    answer = render(request, "problem.html", **explained(request, problem))
    if "retry_after_s" in problem.members:
        answer.headers["Retry-After"] = str(problem.members["retry_after_s"])
    return answer


def names(conn: Connection, request: Request) -> dict[str, str]:
    """What participants are called in the visitor's language, by id."""
    chinese = language_of(request) is Language.ZH
    return {one.id: one.display_name if chinese else one.name for one in participants_of(conn).values()}

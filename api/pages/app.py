"""The web application beside the API: the holder's own pages, cards without a name, and the finance page."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from api.http.problems import Problem, problem, too_busy
from api.http.state import Deps
from api.pages import card, finance, holder, installed, metrics, paying, sign_in, texts
from api.pages.page import problem_page
from api.pages.safety import HEADERS, guarded
from api.pages.visitor import SignInNeeded, let_out
from card.hsm.errors import HsmError
from ledger.day import DayOrderError
from ledger.group import Busy


def make_app(doors: Deps, nights_folder: Path, *, open_finance: bool = False) -> FastAPI:
    """The application on these doors; `open_finance` lets everybody see the finance page, as in a demonstration."""
    app = FastAPI(title="City one-card", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.deps, app.state.nights_folder, app.state.open_finance = doors, nights_folder, open_finance
    app.middleware("http")(guarded)
    app.mount("/static", StaticFiles(directory=installed.STATIC), name="static")
    for module in (sign_in, holder, paying, card, finance, metrics, installed, texts):
        app.include_router(module.router)
    app.add_exception_handler(SignInNeeded, _to_sign_in)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(DayOrderError, _not_open)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(HsmError, _hsm_silent)
    app.add_exception_handler(Exception, _ours)
    return app


def _to_sign_in(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SignInNeeded):
        raise error
    return let_out(RedirectResponse(f"/sign-in{'?over=true' if error.over else ''}", 303))


def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return problem_page(request, error)


def _invalid(request: Request, error: Exception) -> Response:
    """A field that is not possible: say which, without repeating its value."""
    if not isinstance(error, RequestValidationError):
        raise error
    fields = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
    return problem_page(
        request, problem("request_invalid", f"{fields}: not possible; see the form", fields=fields)
    )


def _framework(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself."""
    if not isinstance(error, HTTPException):
        raise error
    code = {401: "credentials_missing", 404: "not_found", 405: "method_not_allowed"}
    answer = problem_page(
        request, problem(code.get(error.status_code, "request_malformed"), "see the pages that there are")
    )
    answer.headers.update(error.headers or {})
    return answer


def _not_open(request: Request, _error: Exception) -> Response:
    return problem_page(request, problem("books_not_open", "no business day is open; try again later"))


def _busy(request: Request, _error: Exception) -> Response:
    return problem_page(request, too_busy())


def _hsm_silent(request: Request, _error: Exception) -> Response:
    return problem_page(request, problem("hsm_unavailable", "try again in a moment"))


def _ours(request: Request, _error: Exception) -> Response:
    answer = problem_page(request, problem("internal_error", "try again, then tell us the time"))
    answer.headers.update(HEADERS)  # it leaves outside of what adds them to all others
    return answer

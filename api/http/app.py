"""The HTTP API as one application, to be served alone or mounted beside the pages."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.http import (
    agency,
    batches,
    billers,
    cards,
    counter,
    holders,
    hospital,
    links,
    me,
    payments,
    qr,
    sessions,
    tokens,
    topups,
)
from api.http.bodies import BodyBound
from api.http.openapi import document
from api.http.problems import Problem, problem, problem_answer, render, too_busy
from api.http.state import Deps
from card.hsm.errors import HsmError
from ledger.day import DayOrderError
from ledger.group import Busy

ROUTERS: Final = tuple(
    module.router
    for module in (
        tokens, sessions, holders, cards, counter, me, topups, payments, links, hospital, billers, agency, qr,
        batches,
    )
)  # fmt: skip
"""The routers of this room, in the order of the document."""


REPEATED: Final = frozenset(
    (
        "attempts",
        "counter",
        "service",
        "terminal",
        "currency",
        "limit",
        "cursor",
        "reference",
        "catalogue_class",
        "purpose",
        "kind",
        "pocket",
        "channel",
    )
)
REPEATED_ENDINGS: Final = ("_fen", "_bp", "_on", "_at", "_date")
LONGEST_REPEATED: Final = 40
"""Fields whose values an answer may repeat, and how much of them; who they are about stands in none of them."""


class Api(FastAPI):
    """The application, with its document completed."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document, with the problems that every endpoint may answer."""
        return document(self)


def make_api(deps: Deps) -> FastAPI:
    """The API on these doors; all its addresses begin with /v1, its document is at /v1/openapi.json."""
    api = Api(
        title="City one-card API",
        version="1.0.0",
        description="Clearing and settlement of a city's one-card: money in fen, instants in RFC 3339.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    api.state.deps = deps
    api.add_middleware(BodyBound)
    api.add_exception_handler(Problem, problem_answer)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, framework_answer)
    api.add_exception_handler(DayOrderError, not_open)
    api.add_exception_handler(Busy, busy)
    api.add_exception_handler(HsmError, hsm_silent)
    api.add_exception_handler(Exception, ours)
    for router in ROUTERS:
        api.include_router(router)
    return api


def invalid(_request: Request, error: Exception) -> JSONResponse:
    """Say which fields are wrong and why; of what may be personal the value is not repeated."""
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        {"field": ".".join(str(part) for part in one["loc"]), "message": _said(one), "kind": one["type"]}
        for one in error.errors()
    ]
    if any(one["field"] == "header.Idempotency-Key" and one["kind"] == "missing" for one in errors):
        return render(
            problem("idempotency_key_missing", "send the header Idempotency-Key with a key of your own")
        )
    if any(one["kind"] == "json_invalid" for one in errors):
        return render(problem("request_malformed", "the body is not JSON; send a JSON object"))
    detail = "; ".join(f"{one['field']}: {one['message']}" for one in errors)
    fields = [{"field": one["field"], "message": one["message"]} for one in errors]
    return render(problem("request_invalid", detail, errors=fields))


def _said(one: Mapping[str, Any]) -> str:
    """What is wrong with a field, and its value where a field of that name holds nothing personal."""
    value, name = one.get("input"), str(one["loc"][-1])
    plain = name in REPEATED or name.endswith(REPEATED_ENDINGS)
    if not plain or one["type"] == "missing" or not isinstance(value, str | int | float | bool):
        return str(one["msg"])
    return f"{one['msg']}, not {str(value)[:LONGEST_REPEATED]!r}"


def framework_answer(_request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses by itself, as a problem like any other."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 413:
        return render(problem("body_too_large", error.detail))
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "request_malformed")
    answer = render(problem(code, "see the OpenAPI document at /v1/openapi.json for what can be asked here"))
    answer.headers.update(error.headers or {})
    return answer


def not_open(_request: Request, error: Exception) -> JSONResponse:
    """No business day is open: nothing can be booked until operations open one."""
    return render(problem("books_not_open", f"{error}; ask again when the day is open"))


def busy(_request: Request, _error: Exception) -> JSONResponse:
    """Too many write at once, or a night does."""
    return render(too_busy())


def hsm_silent(_request: Request, _error: Exception) -> JSONResponse:
    """The HSM failed; what it said is for the log, not for the caller."""
    return render(problem("hsm_unavailable", "the security module does not answer; ask again in a moment"))


def ours(_request: Request, _error: Exception) -> JSONResponse:
    """A bug, or broken storage: the caller can only tell us."""
    return render(problem("internal_error", "something failed on our side; ask again, then tell us the time"))

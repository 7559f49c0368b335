"""The OpenAPI 3.1 document: what endpoints declare, and the problems that every endpoint may answer."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http.idempotency import CONFLICTS
from api.http.problems import MEDIA_TYPE, PROBLEM_SCHEMA, documented

METHODS: Final = ("get", "put", "post", "delete", "patch")
TAGS: Final = [
    {"name": "access", "description": "Tokens of institutions and sessions of holders"},
    {"name": "holders", "description": "Who holds cards and pockets; masked in every answer"},
    {
        "name": "counter",
        "description": "The back office for counters elsewhere: loads, and services to cards",
    },
    {"name": "me", "description": "What a signed-in holder sees and does"},
    {"name": "top-ups", "description": "Money into wallets through a channel"},
    {"name": "payments", "description": "Purchases of merchants, their reversals and refunds"},
    {"name": "links", "description": "Health cards and social-security records, by consent and logged"},
    {"name": "hospital", "description": "Bills split between fund, medical account and wallet"},
    {"name": "utilities", "description": "Water, power, gas and cable bills"},
    {"name": "batches", "description": "Operators' files of taps and of rides on codes"},
    {"name": "social security", "description": "Contributions and benefits"},
    {"name": "qr", "description": "Pay codes, certificates and merchant codes"},
]


def document(api: FastAPI) -> dict[str, Any]:
    """The document of an application; made once and kept by it."""
    if api.openapi_schema:
        return api.openapi_schema
    made = get_openapi(
        title=api.title,
        version=api.version,
        openapi_version="3.1.0",
        description=api.description,
        routes=api.routes,
        tags=TAGS,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM_SCHEMA
    for item in made["paths"].values():
        for method in METHODS:
            if method in item:
                _complete(item[method])
    api.openapi_schema = made
    return made


def _complete(operation: dict[str, Any]) -> None:
    """Add to an operation the problems that come with what it takes, beside those it declares."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status, response in documented(*_usual(operation)).items():
        declared = responses.setdefault(str(status), response)
        if declared is not response:
            usual = response["content"][MEDIA_TYPE]
            content = declared.setdefault("content", {}).setdefault(MEDIA_TYPE, dict(usual))
            content["examples"] = usual["examples"] | content["examples"]
            codes = ", ".join(content["examples"])
            declared["description"] = (
                codes if len(declared["content"]) == 1 else f"{declared['description']}, {codes}"
            )


def _usual(operation: dict[str, Any]) -> Iterable[str]:
    yield from ("internal_error", "books_not_open", "busy", "hsm_unavailable")
    if operation.get("security"):
        yield from ("credentials_missing", "credentials_invalid")
        if any(scopes for one in operation["security"] for scopes in one.values()):
            yield "scope_missing"
    if operation.get("requestBody"):
        yield from ("request_malformed", "request_invalid", "body_too_large")
    if operation.get("parameters"):
        yield "request_invalid"
    if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ())):
        yield from CONFLICTS
    if any(one["name"] == "cursor" for one in operation.get("parameters", ())):
        yield "cursor_invalid"

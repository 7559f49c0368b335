"""The token endpoint: client credentials in, an opaque access token out (RFC 6749, RFC 7009)."""

import base64
import binascii
from typing import Annotated, Any, Final
from urllib.parse import unquote_plus

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from api.http.clients import TOKEN_LIFE, Client, authenticate, issue_token, withdraw_token
from api.http.limits import admit, source_of, too_often
from api.http.problems import documented
from api.http.state import Deps, deps
from ledger.db import reading

router = APIRouter(prefix="/v1/oauth", tags=["access"])

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Token(BaseModel):
    """The answer of RFC 6749, section 5.1."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class TokenError(BaseModel):
    """The answer of RFC 6749, section 5.2."""

    error: str
    error_description: str


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": TokenError, "description": "invalid_scope, unsupported_grant_type"},
    401: {"model": TokenError, "description": "invalid_client"},
    **documented("rate_limited"),
}


@router.post("/token", response_model=Token, responses=ERRORS)
def token(
    request: Request,
    doors: Annotated[Deps, Depends(deps)],
    grant_type: Annotated[str, Form(description="client_credentials")] = "",
    scope: Annotated[str, Form(description="scopes, a space between; none: all that the client has")] = "",
    client_id: Annotated[str, Form()] = "",
    client_secret: Annotated[str, Form()] = "",
) -> Response:
    """Give a client a token for half an hour, with the scopes it asks for or all it has."""
    if grant_type != "client_credentials":
        return _refused(400, "unsupported_grant_type", "the only grant_type here is client_credentials")
    client = _client(request, doors, client_id, client_secret)
    if client is None:
        return _refused(401, "invalid_client", "client_id or client_secret is wrong")
    asked = frozenset(scope.split()) or client.scopes
    if not asked <= client.scopes:
        return _refused(400, "invalid_scope", f"this client may ask for {' '.join(sorted(client.scopes))}")
    issued = doors.writer.write(
        lambda conn: issue_token(conn, client, asked, at=doors.now(), random=doors.random(32))
    )
    body = Token(
        access_token=issued,
        token_type="Bearer",
        expires_in=int(TOKEN_LIFE.total_seconds()),
        scope=" ".join(sorted(asked)),
    )
    return JSONResponse(body.model_dump(), headers=NO_STORE)


@router.post("/revoke", status_code=200, response_class=Response, responses=ERRORS)
def revoke(
    request: Request,
    doors: Annotated[Deps, Depends(deps)],
    token: Annotated[str, Form(description="the access token to end")] = "",
    client_id: Annotated[str, Form()] = "",
    client_secret: Annotated[str, Form()] = "",
) -> Response:
    """End a token at once (RFC 7009); a token that is not the client's own is answered alike."""
    client = _client(request, doors, client_id, client_secret)
    if client is None:
        return _refused(401, "invalid_client", "client_id or client_secret is wrong")
    doors.writer.write(lambda conn: withdraw_token(conn, client, token))
    return Response(headers=NO_STORE)


def _client(request: Request, doors: Deps, client_id: str, client_secret: str) -> Client | None:
    """The client by HTTP Basic (RFC 6749, section 2.3.1) or by the form. Problem: rate_limited, before scrypt."""
    named, secret = _basic(request.headers.get("Authorization")) or (client_id, client_secret)
    at, source = doors.now(), source_of(request)
    admit(doors.limits.token_requests, source, at)
    guesser = f"{source} {named}"
    if wait_s := doors.limits.token_failures.wait_s(guesser, at):
        raise too_often(wait_s)
    with reading(doors.engine) as conn:
        client = authenticate(conn, named, secret)
    if client is None:
        doors.limits.token_failures.take(guesser, at)
    return client


def _basic(header: str | None) -> tuple[str, str] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)


def _refused(status: int, error: str, description: str) -> JSONResponse:
    headers = NO_STORE | ({"WWW-Authenticate": 'Basic realm="onecard"'} if status == 401 else {})
    return JSONResponse({"error": error, "error_description": description}, status, headers)

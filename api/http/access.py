"""Who is asking: an institution by its client's token and scope, or a holder by the session of a phone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import HTTPBearer, OAuth2
from fastapi.security.utils import get_authorization_scheme_param
from sqlalchemy import Connection, select

from api.http import tables
from api.http.problems import problem
from api.http.state import Deps, deps
from api.http.tokens_kept import SCOPES, hashed
from ledger.db import reading

INSTITUTION: Final = OAuth2(
    flows=OAuthFlows(clientCredentials=OAuthFlowClientCredentials(tokenUrl="/v1/oauth/token", scopes=SCOPES)),
    scheme_name="institution",
    description="OAuth 2 client credentials (RFC 6749, section 4.4); the token is opaque.",
    auto_error=False,
)
HOLDER: Final = HTTPBearer(
    scheme_name="holder", description="A holder's session, opened by a one-time code.", auto_error=False
)


@dataclass(frozen=True, slots=True)
class Caller:
    """An institution's client; it acts for `participant` and for nobody else."""

    client_id: str
    participant: str
    scopes: frozenset[str]

    @property
    def subject(self) -> str:
        """Whose idempotency keys these are: each client has its own."""
        return f"client:{self.client_id}"


@dataclass(frozen=True, slots=True)
class Session:
    """A holder's session; every `/v1/me` address is about this holder."""

    holder: str
    token_hash: bytes
    expires_at: datetime

    @property
    def subject(self) -> str:
        """Whose idempotency keys these are: a holder keeps theirs from session to session."""
        return f"holder:{self.holder}"


@cache
def institution(scope: str) -> Callable[..., Caller]:
    """The dependency that lets in clients whose token carries `scope`, and gives the Caller.

    Problems: credentials_missing, credentials_invalid, scope_missing. Raises ValueError for an unknown scope.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope {scope!r} is not one; add it to SCOPES")

    def caller(
        request: Request,
        doors: Annotated[Deps, Depends(deps)],
        _header: Annotated[str | None, Security(INSTITUTION, scopes=[scope])],
    ) -> Caller:
        token_hash = hashed(_bearer(request))
        with reading(doors.engine) as conn:
            found = find_caller(conn, token_hash, doors.now())
        if found is None:
            raise problem(
                "credentials_invalid", "the access token is not valid; ask /v1/oauth/token for another"
            )
        if scope not in found.scopes:
            raise problem("scope_missing", f"this needs the scope {scope}; ask for a token that carries it")
        return found

    return caller


def holder_session(
    request: Request,
    doors: Annotated[Deps, Depends(deps)],
    _header: Annotated[object, Security(HOLDER)],
) -> Session:
    """The dependency that lets in holders with a session, and gives it.

    Problems: credentials_missing, credentials_invalid.
    """
    token_hash = hashed(_bearer(request))
    with reading(doors.engine) as conn:
        found = find_session(conn, token_hash, doors.now())
    if found is None:
        raise problem("credentials_invalid", "the session is over or was never opened; sign in again")
    return found


def find_caller(conn: Connection, token_hash: bytes, now: datetime) -> Caller | None:
    """The client of a token that is valid now."""
    token, client = tables.token.c, tables.client.c
    row = conn.execute(
        select(client.client_id, client.participant, token.scopes)
        .join(tables.token, token.client_id == client.client_id)
        .where(token.token_hash == token_hash, token.expires_at > now, client.disabled_at.is_(None))
    ).one_or_none()
    return None if row is None else Caller(row[0], row[1], frozenset(row[2].split()))


def find_session(conn: Connection, token_hash: bytes, now: datetime) -> Session | None:
    """The session of a token that is valid now."""
    columns = tables.session.c
    row = conn.execute(
        select(columns.holder, columns.expires_at).where(
            columns.token_hash == token_hash, columns.expires_at > now
        )
    ).one_or_none()
    return None if row is None else Session(row[0], token_hash, row[1])


def _bearer(request: Request) -> str:
    scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
    if scheme.lower() != "bearer" or not token:
        raise problem("credentials_missing", "send the header Authorization: Bearer with your token")
    return token

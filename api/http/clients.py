"""The clients of institutions: registered, their secrets kept as scrypt hashes, tokens issued and withdrawn."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from api.http import tables
from api.http.tokens_kept import SCOPES, hashed
from ledger.accounts import Conflict

TOKEN_LIFE: Final = timedelta(minutes=30)
LEAST_SECRET_CHARACTERS: Final = 16
_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_PARTICIPANT = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")
_NOBODY_SALT: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client; `scopes` is the most that its tokens may carry."""

    client_id: str
    participant: str
    scopes: frozenset[str]


def register_client(
    conn: Connection, client_id: str, secret: str, participant: str, scopes: Iterable[str], at: datetime
) -> Client:
    """Let an institution's program in; the same again, with the same secret, changes nothing.

    Raises ValueError for a field that is not possible, and Conflict where the client is there with another
    participant, other scopes or another secret.
    """
    wanted = Client(client_id, participant, frozenset(scopes))
    _require(wanted, secret)
    held = conn.execute(select(tables.client).where(tables.client.c.client_id == client_id)).one_or_none()
    if held is None:
        salt = secrets.token_bytes(16)
        conn.execute(
            insert(tables.client).values(
                client_id=client_id,
                secret_salt=salt,
                secret_hash=scrypt(secret, salt),
                participant=participant,
                scopes=" ".join(sorted(wanted.scopes)),
                registered_at=at,
            )
        )
        return wanted
    ours = Client(client_id, held.participant, frozenset(held.scopes.split()))
    if ours != wanted:
        raise Conflict(f"client {client_id}", ours, wanted)
    if not hmac.compare_digest(scrypt(secret, held.secret_salt), held.secret_hash):
        raise Conflict(f"client {client_id}", "known with another secret", "this secret")
    return wanted


def disable_client(conn: Connection, client_id: str, at: datetime) -> None:
    """Shut a client out at once, with every token it holds; again, it changes nothing.

    Raises LookupError where there is no such client.
    """
    columns = tables.client.c
    if conn.execute(select(columns.client_id).where(columns.client_id == client_id)).one_or_none() is None:
        raise LookupError(f"no client {client_id}; register it first")
    conn.execute(
        update(tables.client)
        .where(columns.client_id == client_id, columns.disabled_at.is_(None))
        .values(disabled_at=at)
    )


def scrypt(secret: str, salt: bytes) -> bytes:
    """The secret as it is kept: scrypt with N 16384, r 8, p 1 (RFC 7914), 32 bytes."""
    return hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)


def authenticate(conn: Connection, client_id: str, secret: str) -> Client | None:
    """The client whose secret this is. An unknown client takes as long to refuse as a wrong secret."""
    columns = tables.client.c
    query = select(tables.client).where(columns.client_id == client_id, columns.disabled_at.is_(None))
    # An id that cannot be one is not asked for: it might hold what no database takes.
    row = conn.execute(query).one_or_none() if _CLIENT_ID.fullmatch(client_id) else None
    given = scrypt(secret, _NOBODY_SALT if row is None else row.secret_salt)
    if row is None or not hmac.compare_digest(given, row.secret_hash):
        return None
    return Client(client_id, row.participant, frozenset(row.scopes.split()))


def issue_token(
    conn: Connection, client: Client, scopes: frozenset[str], *, at: datetime, random: bytes
) -> str:
    """A new access token of 32 random bytes, stored only as its hash; the client's expired ones are dropped."""
    token = "oci_" + urlsafe_b64encode(random).rstrip(b"=").decode()
    columns = tables.token.c
    conn.execute(delete(tables.token).where(columns.client_id == client.client_id, columns.expires_at <= at))
    conn.execute(
        insert(tables.token).values(
            token_hash=hashed(token),
            client_id=client.client_id,
            scopes=" ".join(sorted(scopes)),
            issued_at=at,
            expires_at=at + TOKEN_LIFE,
        )
    )
    return token


def withdraw_token(conn: Connection, client: Client, token: str) -> None:
    """End one of the client's own tokens; a token of another client, or none, is left as it is."""
    columns = tables.token.c
    conn.execute(
        delete(tables.token).where(columns.token_hash == hashed(token), columns.client_id == client.client_id)
    )


def _require(wanted: Client, secret: str) -> None:
    if not _CLIENT_ID.fullmatch(wanted.client_id):
        raise ValueError(
            f"client_id {wanted.client_id!r} is not possible; use 1 to 32 letters, digits, dots and dashes"
        )
    if not _PARTICIPANT.fullmatch(wanted.participant):
        raise ValueError(
            f"participant {wanted.participant!r} is not possible; use A-Z, 0-9 and -, at most 16"
        )
    if unknown := sorted(wanted.scopes - SCOPES.keys()):
        raise ValueError(f"scopes {', '.join(unknown)} are not known; choose from {', '.join(SCOPES)}")
    if not wanted.scopes:
        raise ValueError(f"client {wanted.client_id} has no scope; choose from {', '.join(SCOPES)}")
    if len(secret) < LEAST_SECRET_CHARACTERS:
        raise ValueError(f"the secret is too short; give at least {LEAST_SECRET_CHARACTERS} characters")


def topup_channels(conn: Connection) -> list[str]:
    """The participants whose programs may confirm top-ups, and so those that one can be ordered from."""
    columns = tables.client.c
    query = select(columns.participant, columns.scopes).where(columns.disabled_at.is_(None))
    return sorted({row.participant for row in conn.execute(query) if "topups:write" in row.scopes.split()})

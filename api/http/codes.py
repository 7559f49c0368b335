"""One-time codes: six digits for the phone we hold, good for five minutes, five tries and one session."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from api.http import tables
from card.holders import holder_by_identity, person_of
from card.identity import normal_identity
from card.vault import Vault

LIFE: Final = timedelta(minutes=5)
TRIES: Final = 5
LEAST_PAUSE: Final = timedelta(minutes=1)
"""Between two codes for the same identity number."""
WINDOW: Final = timedelta(hours=1)
MOST_IN_WINDOW: Final = 5


class CodeRefusal(StrEnum):
    """Why a code opens no session, in order of precedence: the first that applies."""

    CODE_SPENT = "code_spent"
    CODE_EXPIRED = "code_expired"
    CODE_WRONG = "code_wrong"


@dataclass(frozen=True, slots=True)
class Asked:
    """A challenge that waits for its code; `phone` is where to send it, None where nobody is enrolled so."""

    challenge: str
    expires_at: datetime
    phone: str | None


@dataclass(frozen=True, slots=True)
class AskedTooOften:
    """No code is made now; the next may be asked for at `next_at`."""

    next_at: datetime


def ask_code(
    conn: Connection, vault: Vault, identity_no: str, *, challenge: str, code: str, at: datetime
) -> Asked | AskedTooOften:
    """Make a code for whoever has this identity number; one that nobody has is answered and counted alike."""
    asked_index = vault.index("sign-in", normal_identity(identity_no))
    columns = tables.code.c
    times = list(
        conn.scalars(
            select(columns.issued_at)
            .where(columns.asked_index == asked_index, columns.issued_at > at - WINDOW)
            .order_by(columns.issued_at)
        )
    )
    next_at = times[-1] + LEAST_PAUSE if times else at
    if len(times) >= MOST_IN_WINDOW:
        next_at = max(next_at, times[-MOST_IN_WINDOW] + WINDOW)
    if next_at > at:
        return AskedTooOften(next_at)
    conn.execute(delete(tables.code).where(columns.issued_at <= at - WINDOW))
    holder = holder_by_identity(conn, vault, identity_no)
    conn.execute(
        insert(tables.code).values(
            challenge=challenge,
            asked_index=asked_index,
            holder=holder,
            code_hash=_hashed(vault, challenge, code),
            attempts_left=TRIES,
            issued_at=at,
            expires_at=at + LIFE,
        )
    )
    person = None if holder is None else person_of(conn, vault, holder)
    # Who is enrolled without a telephone has no phone to bring a code to.
    return Asked(challenge, at + LIFE, None if person is None else person.phone or None)


def redeem_code(
    conn: Connection, vault: Vault, challenge: str, code: str, *, at: datetime
) -> str | CodeRefusal:
    """The holder whose code this is, and the code is spent; a wrong one costs a try."""
    columns = tables.code.c
    row = conn.execute(select(tables.code).where(columns.challenge == challenge)).one_or_none()
    if row is None:
        return CodeRefusal.CODE_WRONG
    if row.attempts_left == 0:
        return CodeRefusal.CODE_SPENT
    if row.expires_at <= at:
        return CodeRefusal.CODE_EXPIRED
    right = hmac.compare_digest(row.code_hash, _hashed(vault, challenge, code))
    holder: str | None = row.holder
    matches = right and holder is not None
    conn.execute(
        update(tables.code)
        .where(columns.challenge == challenge)
        .values(attempts_left=0 if matches else row.attempts_left - 1)
    )
    if not right or holder is None:
        return CodeRefusal.CODE_WRONG
    return holder


def _hashed(vault: Vault, challenge: str, code: str) -> bytes:
    # Six digits are guessed in no time from a plain hash; under the vault's key a copy of the table tells nothing.
    return vault.index("code", f"{challenge}:{code}")

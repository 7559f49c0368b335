"""Signing in: a code to the phone that the vault holds, then a session of an hour."""

from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, BackgroundTasks, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy import Connection, delete, insert

from api.http import tables
from api.http.access import Session, holder_session
from api.http.codes import Asked, AskedTooOften, CodeRefusal, ask_code, redeem_code
from api.http.fields import Body
from api.http.limits import admit, source_of, too_often
from api.http.problems import documented, problem
from api.http.state import Deps, deps
from api.http.tokens_kept import hashed

router = APIRouter(prefix="/v1/sessions", tags=["access"])

SESSION_LIFE: Final = timedelta(hours=1)
SAYS: Final = {
    CodeRefusal.CODE_SPENT: "the code was used, or tried too often; ask for a new one",
    CodeRefusal.CODE_EXPIRED: "the code is older than five minutes; ask for a new one",
    CodeRefusal.CODE_WRONG: "the code is not the one that was sent; look at the newest message",
}


class CodeOrder(Body):
    """Whose phone the code goes to."""

    identity_no: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{15,18}$")]


class Challenge(BaseModel):
    """What the code answers to; it is the same answer whether anybody is enrolled so or not."""

    challenge: str
    expires_at: datetime


class SignIn(Body):
    """The challenge and the six digits that came to the phone."""

    challenge: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class Opened(BaseModel):
    """A session; `token` goes into Authorization: Bearer."""

    token: str
    holder: str
    expires_at: datetime


@router.post("/codes", status_code=202, response_model=Challenge, responses=documented("rate_limited"))
def ask(
    body: CodeOrder, request: Request, doors: Annotated[Deps, Depends(deps)], after: BackgroundTasks
) -> Challenge:
    """Send a one-time code to the phone on record: once a minute, five times an hour."""
    at = doors.now()
    admit(doors.limits.codes_asked, source_of(request), at)
    challenge = urlsafe_b64encode(doors.random(16)).rstrip(b"=").decode()
    code = f"{int.from_bytes(doors.random(8), 'big') % 1_000_000:06d}"
    asked = doors.writer.write(
        lambda conn: ask_code(conn, doors.vault, body.identity_no, challenge=challenge, code=code, at=at)
    )
    if isinstance(asked, AskedTooOften):
        wait_s = max(1, int((asked.next_at - at).total_seconds() + 0.999))
        raise too_often(wait_s)
    _send_later(after, doors, asked, code)
    return Challenge(challenge=asked.challenge, expires_at=asked.expires_at)


@router.post(
    "",
    status_code=201,
    response_model=Opened,
    responses=documented("code_spent", "code_expired", "code_wrong", "rate_limited"),
)
def sign_in(body: SignIn, request: Request, doors: Annotated[Deps, Depends(deps)]) -> Opened:
    """Open a session with the code; five wrong tries spend it."""
    admit(doors.limits.sign_ins, source_of(request), doors.now())
    at, token = doors.now(), "ocs_" + urlsafe_b64encode(doors.random(32)).rstrip(b"=").decode()

    def work(conn: Connection) -> str | CodeRefusal:
        holder = redeem_code(conn, doors.vault, body.challenge, body.code, at=at)
        if not isinstance(holder, CodeRefusal):
            open_session(conn, holder, token, at=at)
        return holder

    holder = doors.writer.write(work)
    if isinstance(holder, CodeRefusal):
        raise problem(holder.value, SAYS[holder])
    return Opened(token=token, holder=holder, expires_at=at + SESSION_LIFE)


@router.delete("/current", status_code=204, response_class=Response)
def sign_out(
    session: Annotated[Session, Depends(holder_session)], doors: Annotated[Deps, Depends(deps)]
) -> Response:
    """End the session that asks."""
    here = tables.session.c.token_hash == session.token_hash
    doors.writer.write(lambda conn: conn.execute(delete(tables.session).where(here)))
    return Response(status_code=204)


def open_session(conn: Connection, holder: str, token: str, *, at: datetime) -> None:
    """Let the holder in with this token for an hour; only its hash is kept, and expired ones are dropped."""
    columns = tables.session.c
    conn.execute(delete(tables.session).where(columns.holder == holder, columns.expires_at <= at))
    conn.execute(
        insert(tables.session).values(
            token_hash=hashed(token), holder=holder, issued_at=at, expires_at=at + SESSION_LIFE
        )
    )


def end_sessions(conn: Connection, holder: str, *, but: bytes | None = None) -> None:
    """End every session of a holder, as after a loss; the one whose token hash is `but` goes on."""
    columns = tables.session.c
    ended = delete(tables.session).where(columns.holder == holder)
    conn.execute(ended if but is None else ended.where(columns.token_hash != but))


def _send_later(after: BackgroundTasks, doors: Deps, asked: Asked, code: str) -> None:
    """Send after the answer has left, so that its time does not tell who is enrolled."""
    if asked.phone is not None:
        after.add_task(doors.sender.send, asked.phone, code)

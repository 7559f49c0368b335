"""Who looks at a holder's page: the session of the API, in a cookie that no script and no other site can use."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.responses import Response

from api.http.access import Session, find_session
from api.http.sessions import SESSION_LIFE
from api.http.state import Deps, deps
from api.http.tokens_kept import hashed
from ledger.db import reading

COOKIE: Final = "onecard_session"
LONGEST_TOKEN: Final = 128


class SignInNeeded(Exception):
    """There is no session, or it is over; `over` where there was one."""

    def __init__(self, *, over: bool) -> None:
        super().__init__("sign in first")
        self.over = over


def visitor(request: Request, doors: Annotated[Deps, Depends(deps)]) -> Session:
    """The holder who is signed in. Raises SignInNeeded."""
    token = request.cookies.get(COOKIE, "")
    if not token or len(token) > LONGEST_TOKEN:
        raise SignInNeeded(over=False)
    with reading(doors.engine) as conn:
        found = find_session(conn, hashed(token), doors.now())
    if found is None:
        raise SignInNeeded(over=True)
    return found


Visitor = Annotated[Session, Depends(visitor)]
Doors = Annotated[Deps, Depends(deps)]


def let_in(answer: Response, token: str) -> Response:
    """Give the visitor a session's token to keep."""
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(SESSION_LIFE.total_seconds()),
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return answer


def let_out(answer: Response) -> Response:
    """Take the token away again."""
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
    return answer

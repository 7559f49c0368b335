"""Signing in by identity number and one-time code, and out again: the API's sessions, asked by forms."""

from typing import Annotated, Final

from fastapi import APIRouter, BackgroundTasks, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.http import sessions
from api.http.codes import LIFE
from api.http.problems import Problem, problem
from api.pages.page import explained, render
from api.pages.visitor import Doors, Visitor, let_in, let_out

router = APIRouter()
CHALLENGE: Final = "onecard_challenge"
"""The cookie that holds what the code answers to, for as long as a code lives."""


@router.get("/")
def front() -> RedirectResponse:
    """The holder's page, or the way into it."""
    return RedirectResponse("/me", 303)


@router.get("/sign-in", response_class=HTMLResponse)
def ask_who(request: Request, *, over: bool = False) -> HTMLResponse:
    """Ask for the identity number; say why, where a session is over."""
    return render(request, "sign_in.html", over=over)


@router.post("/sign-in")
def send_code(
    request: Request, doors: Doors, after: BackgroundTasks, identity: Annotated[str, Form(max_length=40)] = ""
) -> Response:
    """Send a code to the phone on record and ask for it; the answer is the same whether anybody is enrolled so."""
    try:
        asked = sessions.ask(_code_order(identity), request, doors, after)
    except Problem as refusal:
        return render(request, "sign_in.html", over=False, **explained(request, refusal))
    answer = RedirectResponse("/sign-in/code", 303)
    life_s = int(LIFE.total_seconds())
    answer.set_cookie(
        CHALLENGE,
        asked.challenge,
        max_age=life_s,
        path="/sign-in",
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.get("/sign-in/code", response_class=HTMLResponse)
def ask_code(request: Request) -> Response:
    """Ask for the code that was sent."""
    if CHALLENGE not in request.cookies:
        return RedirectResponse("/sign-in", 303)
    return render(request, "code.html")


@router.post("/sign-in/code")
def open_session(request: Request, doors: Doors, code: Annotated[str, Form(max_length=40)] = "") -> Response:
    """Open a session with the code, and go to the holder's page."""
    try:
        opened = sessions.sign_in(_code_answer(request.cookies.get(CHALLENGE, ""), code), request, doors)
    except Problem as refusal:
        return render(request, "code.html", **explained(request, refusal))
    answer = let_in(RedirectResponse("/me", 303), opened.token)
    answer.delete_cookie(CHALLENGE, path="/sign-in", secure=True, httponly=True, samesite="strict")
    return answer


@router.post("/sign-out")
def close_session(me: Visitor, doors: Doors) -> Response:
    """End the session here and in the books."""
    sessions.sign_out(me, doors)
    return let_out(RedirectResponse("/sign-in", 303))


def _code_order(identity: str) -> sessions.CodeOrder:
    try:
        return sessions.CodeOrder(identity_no="".join(identity.split()).upper())
    except ValidationError:
        raise problem("identity_malformed", "an identity number has 18 characters; copy it again") from None


def _code_answer(challenge: str, code: str) -> sessions.SignIn:
    try:
        return sessions.SignIn(challenge=challenge, code="".join(code.split()))
    except ValidationError:
        raise problem("code_wrong", "the code is six digits; look at the newest message") from None

"""Forms that move money: each is sent under a key of its own, so that sending it twice does it once."""

import json
import re
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from api.http.fields import MOST_FEN
from api.http.idempotency import Once, fingerprint
from api.http.problems import Problem, problem
from api.http.state import Deps
from ledger.money import read_yuan

_KEY: Final = re.compile(r"[0-9A-Za-z-]{1,58}")
"""With the prefix that tells a page's keys from a program's, as long as a key may be."""


def form_key(doors: Deps) -> str:
    """A new key for a form."""
    return doors.random(16).hex()


def once_of(request: Request, doors: Deps, key: str, body: BaseModel) -> Once:
    """The form as a request that is done once. Problem: request_invalid."""
    if not _KEY.fullmatch(key):
        raise problem("request_invalid", "the form has lost its key; open the page again and fill it in")
    content = body.model_dump_json().encode()
    return Once(doors, f"page-{key}", fingerprint("POST", request.url.path, content))


def done(answer: Response) -> dict[str, Any]:
    """What an endpoint of the API answered. Raises the Problem that it answered."""
    body: dict[str, Any] = json.loads(bytes(answer.body))
    if answer.status_code >= 400:
        raise Problem(answer.status_code, str(body["code"]), str(body["detail"]))
    return body


def amount_fen(text: str) -> int:
    """Yuan as a person wrote them, in fen. Problem: amount_unreadable."""
    read_fen = read_yuan(text)
    if read_fen is None or not 0 < read_fen <= MOST_FEN:
        raise problem("amount_unreadable", "the amount is not above zero and to the fen, such as 50 or 50.25")
    return read_fen

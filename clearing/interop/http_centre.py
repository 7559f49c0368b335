"""A centre over HTTP (docs/formats/interop.md): files as they are, the rest JSON; what cannot be read is no answer."""

import json
from datetime import date
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import httpx

from clearing.interop.peer import CentreDay, NoAnswer, Offered, Place, Sent, shortened
from clearing.sectors.bounded import BoundedClient, Unbounded, ask_within
from ledger.entry import MAX_AMOUNT_FEN

TIMEOUT_S: Final = 5.0
LONGEST_ANSWER_TIMEOUTS: Final = 2
LONGEST_FILE_TIMEOUTS: Final = 60
"""How many timeouts a whole answer, and a whole file, may take."""
LONGEST_ANSWER_BYTES: Final = 1 << 16
LONGEST_FILE_BYTES: Final = 1 << 30
_LARGEST: Final = (1 << 32) - 1


class HttpCentre(BoundedClient):
    """A centre at `base_url`; each wait for it is bounded by `timeout_s`, a whole file by sixty times that."""

    def __init__(self, base_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(base_url, timeout_s=timeout_s)

    def file(self, kind: Offered, number: int) -> bytes | None:
        """The file of a kind and number, or None where the centre says that there is none."""
        status, content = self._ask("GET", f"/{kind.value}/{number}", files=True)
        if status == 404 and _object(content).get("code") == "no_such_file":
            return None
        if status != 200:
            raise NoAnswer(f"the centre answered with HTTP status {status} instead of its file")
        return content

    def send(self, name: str, content: bytes) -> Sent:
        """Send a file of ours."""
        status, answered = self._ask("PUT", f"/files/{quote(name, safe='')}", sent=content)
        if status not in (200, 409, 422):
            raise NoAnswer(f"the centre answered with HTTP status {status}")
        told = _object(answered)
        if told.get("name") != name or told.get("sha256") != sha256(content).hexdigest():
            raise NoAnswer("the centre's answer is not about this file")
        message = told.get("message", "")
        if not isinstance(message, str):
            raise NoAnswer("the centre's message is not a text")
        return Sent(status == 200, shortened(message))

    def day(self, business_date: date) -> CentreDay:
        """The centre's day file."""
        status, content = self._ask("GET", f"/days/{business_date.isoformat()}", files=True)
        if status != 200:
            raise NoAnswer(f"the centre answered with HTTP status {status} instead of its day")
        return read_day(business_date, content)

    def _ask(
        self, method: str, path: str, *, sent: bytes | None = None, files: bool = False
    ) -> tuple[int, bytes]:
        timeouts = LONGEST_FILE_TIMEOUTS if files or sent else LONGEST_ANSWER_TIMEOUTS
        most_bytes = LONGEST_FILE_BYTES if files else LONGEST_ANSWER_BYTES
        try:
            return ask_within(
                self._client, method, path, None, file=sent, most_bytes=most_bytes,
                longest_s=self._timeout_s * timeouts,
            )  # fmt: skip
        except (httpx.HTTPError, Unbounded) as error:
            raise NoAnswer(shortened(f"{type(error).__name__}: {error}")) from error


def read_day(business_date: date, content: bytes) -> CentreDay:
    """Read a day file and hold its totals against its lines. Raises NoAnswer where it does not read so."""
    told = _object(content)
    if told.get("business_date") != business_date.isoformat():
        raise NoAnswer("the centre's day is not the one that was asked for")
    return CentreDay(business_date, _side(told, "your_presentments"), _side(told, "our_presentments"))


def _side(told: dict[str, Any], name: str) -> dict[Place, int]:
    side = told.get(name)
    if not isinstance(side, dict) or not isinstance(lines := side.get("lines"), list):
        raise NoAnswer(f"{name} of the centre's day is missing, or has no lines")
    found: dict[Place, int] = {}
    for line in lines:
        if not isinstance(line, list) or len(line) != 3 or not all(type(one) is int for one in line):
            raise NoAnswer(f"a line in {name} is not three whole numbers")
        number, place, amount_fen = line
        if not (1 <= number <= _LARGEST and 0 <= place <= _LARGEST and 0 <= amount_fen <= MAX_AMOUNT_FEN):
            raise NoAnswer(f"line {line} in {name} is not possible")
        if (number, place) in found:
            raise NoAnswer(f"{name} has place {place} of file {number} twice")
        found[number, place] = amount_fen
    totals = (len(found), sum(found.values()))
    if (side.get("count"), side.get("amount_fen")) != totals:
        raise NoAnswer(f"the totals of {name} are not those of its lines, {totals[0]} and {totals[1]} fen")
    return found


def _object(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("the centre's answer is not JSON") from error
    if not isinstance(told, dict):
        raise NoAnswer("the centre's answer is not a JSON object")
    return told

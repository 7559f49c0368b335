"""A biller over HTTP with JSON (docs/formats/biller-file.md); whatever cannot be read is no answer."""

import json
from datetime import UTC, date
from typing import Any, Final
from urllib.parse import quote

import httpx

from clearing.sectors.bounded import BoundedClient, Unbounded, ask_within
from clearing.sectors.utilities.peer import (
    NUMBER,
    REFERENCE,
    Answer,
    Bill,
    BillerAccount,
    NoAnswer,
    Notice,
    shortened,
)
from clearing.sectors.utilities.states import Act
from ledger.entry import MAX_AMOUNT_FEN

TIMEOUT_S: Final = 5.0
LONGEST_ANSWER_TIMEOUTS: Final = 2
LONGEST_FILE_TIMEOUTS: Final = 60
"""How many timeouts a whole answer, and a whole file, may take."""
LONGEST_ANSWER_BYTES: Final = 1 << 20
LONGEST_FILE_BYTES: Final = 256 << 20
PATHS: Final = {Act.WRITE_OFF: "/write-offs", Act.REVERSE: "/reversals"}


class HttpBiller(BoundedClient):
    """A biller at `base_url`; each wait for it is bounded by `timeout_s`, a whole answer by twice that.

    A file may take longer: sixty times. `token` is sent as a bearer token. Safe to use from several threads.
    """

    def __init__(self, base_url: str, *, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        super().__init__(base_url, timeout_s=timeout_s, headers=headers)

    def account(self, account_no: str) -> BillerAccount | None:
        """The account with its bills, or None where the biller says that it has no such account."""
        status, content = self._ask("GET", f"/accounts/{quote(account_no, safe='')}", LONGEST_ANSWER_BYTES)
        told = _object(content)
        if status == 404 and told.get("code") == "account_unknown":
            return None
        if status != 200:
            raise NoAnswer(f"the biller answered with HTTP status {status}")
        return read_account(told, account_no)

    def tell(self, notice: Notice) -> Answer:
        """Tell of a payment or of its reversal."""
        body = {
            "reference": notice.reference,
            "account_no": notice.account_no,
            "bill_no": notice.bill_no,
            "amount_fen": notice.amount_fen,
            "business_date": notice.business_date.isoformat(),
            "paid_at": notice.event_at.astimezone(UTC).isoformat(timespec="seconds"),
        }
        status, content = self._ask("POST", PATHS[notice.act], LONGEST_ANSWER_BYTES, body)
        if status not in (200, 409):
            raise NoAnswer(f"the biller answered with HTTP status {status}")
        return read_answer(_object(content), notice, status)

    def daily_file(self, business_date: date) -> bytes:
        """The newest issue of the biller's file of a business date."""
        path = f"/days/{business_date.isoformat()}/file"
        status, content = self._ask("GET", path, LONGEST_FILE_BYTES, timeouts=LONGEST_FILE_TIMEOUTS)
        if status != 200:
            raise NoAnswer(f"the biller answered with HTTP status {status} instead of its file")
        return content

    def _ask(
        self,
        method: str,
        path: str,
        most_bytes: int,
        body: dict[str, object] | None = None,
        *,
        timeouts: int = LONGEST_ANSWER_TIMEOUTS,
    ) -> tuple[int, bytes]:
        longest_s = self._timeout_s * timeouts
        try:
            return ask_within(self._client, method, path, body, most_bytes=most_bytes, longest_s=longest_s)
        except (httpx.HTTPError, Unbounded) as error:
            raise NoAnswer(shortened(f"{type(error).__name__}: {error}")) from error


def read_account(told: dict[str, Any], account_no: str) -> BillerAccount:
    """Read an account's JSON. Raises NoAnswer where a field is missing, not possible, or of another account."""
    if told.get("account_no") != account_no:
        raise NoAnswer(f"the biller's answer is not about account {account_no}")
    customer, bills = told.get("customer"), told.get("bills")
    if not isinstance(customer, str) or not isinstance(bills, list):
        raise NoAnswer("the biller's account has no customer or no bills")
    read = tuple(_bill(one) for one in bills)
    if len({bill.bill_no for bill in read}) != len(read):
        raise NoAnswer("the biller's account has one bill twice")
    return BillerAccount(account_no, shortened(customer), read)


def read_answer(told: dict[str, Any], notice: Notice, status: int) -> Answer:
    """Read the answer to a notice. Raises NoAnswer where it is not one, or is about something else."""
    if told.get("reference") != notice.reference:
        raise NoAnswer("the biller's answer is not about this payment")
    reason, message = told.get("reason", ""), told.get("message", "")
    if not isinstance(reason, str) or not isinstance(message, str):
        raise NoAnswer("the biller's reason is not a text")
    standing = (status, told.get("status"))
    if standing == (409, "refused"):
        return Answer(False, shortened(reason), shortened(message))
    if standing != (200, "written_off" if notice.act is Act.WRITE_OFF else "reversed"):
        said = standing[1] if isinstance(standing[1], str) else type(standing[1]).__name__
        raise NoAnswer(shortened(f"status {said!r} with HTTP status {status} is not an answer"))
    return Answer(True)


def _bill(told: Any) -> Bill:
    if not isinstance(told, dict):
        raise NoAnswer("a bill of the biller is not a JSON object")
    number, period = told.get("bill_no"), told.get("period")
    amount_fen, open_fen = told.get("amount_fen"), told.get("open_fen")
    references = told.get("written_off")
    if not isinstance(number, str) or not NUMBER.fullmatch(number) or not isinstance(period, str):
        raise NoAnswer(shortened(f"bill_no {number!r} of the biller is not possible"))
    if (
        type(amount_fen) is not int
        or type(open_fen) is not int
        or not 0 <= open_fen <= amount_fen <= MAX_AMOUNT_FEN
    ):
        raise NoAnswer(
            shortened(f"amounts {amount_fen!r} and {open_fen!r} of bill {number} are not possible")
        )
    if not isinstance(references, list) or not all(
        isinstance(one, str) and REFERENCE.fullmatch(one) for one in references
    ):
        raise NoAnswer(f"written_off of bill {number} is not a list of references")
    try:
        due_on = date.fromisoformat(told.get("due_on", ""))
    except (TypeError, ValueError) as error:
        raise NoAnswer(f"due_on of bill {number} is not a date") from error
    return Bill(number, shortened(period), amount_fen, open_fen, due_on, frozenset(references))


def _object(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("the biller's answer is not JSON") from error
    if not isinstance(told, dict):
        raise NoAnswer("the biller's answer is not a JSON object")
    return told

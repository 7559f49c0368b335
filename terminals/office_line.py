"""The counter's line to a back office elsewhere: HTTP, asked again under the same key until it answers.

What is asked is done once, however often it is asked: the office keeps its first answer to a key.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from terminals.answers import AnswerTooLong, body_of
from terminals.loads import OfficeGone

TRIES: Final = 3
PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0
MOST_BYTES: Final = 1 << 20
SCOPE: Final = "counter:write"
_BUSY_CODES: Final = frozenset({"idempotency_in_progress", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """The client that the office has let this counter in as, and its secret."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer of the office: a status below 500, the members of its body."""

    status: int
    members: Mapping[str, Any]

    @property
    def done(self) -> bool:
        """Whether it is what was asked for; else a problem with `code` and `detail`."""
        return self.status < 300

    @property
    def code(self) -> str:
        """The name of the problem."""
        return str(self.members.get("code", ""))

    @property
    def detail(self) -> str:
        """What the problem says to a person."""
        return str(self.members.get("detail", "")) or f"it answered {self.status}"


class OfficeLine:
    """A line to the office at the client's base address. `pause` waits for so many seconds between tries."""

    def __init__(
        self, client: httpx.Client, credentials: Credentials, pause: Callable[[float], None]
    ) -> None:
        self._client, self._credentials, self._pause = client, credentials, pause
        self._token = ""

    @property
    def address(self) -> str:
        """Where the office is."""
        return str(self._client.base_url).rstrip("/")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str = "") -> Heard:
        """Ask until there is an answer, TRIES times at most. Raises OfficeGone with what a clerk can do."""
        wait_s, why = PAUSE_S, ""
        for again in range(TRIES):
            if again:
                self._pause(min(wait_s, LONGEST_PAUSE_S))
            try:
                heard, wait_s = self._ask_once(method, path, body, key)
            except (httpx.HTTPError, httpx.InvalidURL, AnswerTooLong, ValueError, RecursionError) as error:
                why, wait_s = f"{type(error).__name__} {error}".strip(), PAUSE_S
                continue
            if heard.status < 500 and heard.code not in _BUSY_CODES:
                return self._let_in(heard)
            why = heard.detail
        raise OfficeGone(
            f"the office at {self.address} does not answer: {why}; look at the network, then ask again"
        )

    def _ask_once(
        self, method: str, path: str, body: Mapping[str, Any] | None, key: str
    ) -> tuple[Heard, float]:
        """One try, with a new token where the last is over; and how long to wait before the next."""
        for _ in range(2):
            if not self._token:
                refused = self._sign_in()
                if refused is not None:
                    return refused
            headers = {"Authorization": f"Bearer {self._token}"} | ({"Idempotency-Key": key} if key else {})
            heard, wait_s = self._send(method, path, headers, json=body)
            if heard.status != 401:
                break
            self._token = ""
        return heard, wait_s

    def _sign_in(self) -> tuple[Heard, float] | None:
        """Get a token; the office's answer where it gives none."""
        form = {
            "grant_type": "client_credentials", "scope": SCOPE, "client_id": self._credentials.client_id,
            "client_secret": self._credentials.secret,
        }  # fmt: skip
        heard, wait_s = self._send("POST", "/v1/oauth/token", {}, data=form)
        if not heard.done:
            # RFC 6749 names its errors otherwise; either way this counter is not let in.
            said = {"code": heard.code, "detail": heard.members.get("error_description", heard.detail)}
            return Heard(401 if heard.status in (400, 401) else heard.status, said), wait_s
        self._token = str(heard.members["access_token"])
        return None

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], **content: Any
    ) -> tuple[Heard, float]:
        with self._client.stream(method, path, headers=headers, **content) as answer:
            members = json.loads(body_of(answer, MOST_BYTES) or b"{}")
            after = answer.headers.get("Retry-After", "")
            wait_s = float(after) if after.isdecimal() else PAUSE_S
            if not isinstance(members, dict):
                raise ValueError(f"{path} is answered by no JSON object; is this the office's address?")
            return Heard(answer.status_code, members), wait_s

    def _let_in(self, heard: Heard) -> Heard:
        if heard.status not in (401, 403):
            return heard
        raise OfficeGone(
            f"the office at {self.address} does not let client {self._credentials.client_id!r} in: {heard.detail};"
            f" look at ONECARD_OFFICE_CLIENT and ONECARD_OFFICE_SECRET, and that the client has {SCOPE}"
        )


@contextmanager
def connected_line(
    address: str, credentials: Credentials, pause: Callable[[float], None], **options: Any
) -> Iterator[OfficeLine]:
    """A line that is closed in the end; `options` are the HTTP client's, such as its timeout."""
    # Whom to trust takes longer to load than an answer takes, and says nothing of a line in the clear.
    trusted = {"verify": False} if httpx.URL(address).scheme == "http" else {}
    with httpx.Client(base_url=address, trust_env=False, **(trusted | options)) as client:
        yield OfficeLine(client, credentials, pause)

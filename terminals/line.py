"""The terminal's line to its depot, when there is one: signed files come down, the health report goes up.

Nothing waits for it: a terminal that cannot reach its depot goes on with what it holds, for as long as its
settings allow.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from terminals.answers import AnswerTooLong, body_of
from terminals.holdings import Holdings, Receipt

MOST_BYTES = 16 << 20
KINDS = ("tariff", "settings", "hotlist", "hotlist_change")


class LineGone(Exception):
    """The depot cannot be reached, or does not speak as a depot does; try again later."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A file that the depot has; what it is worth, its signature tells."""

    name: str
    kind: str
    version: int


class DepotLine:
    """A client of the depot, which is named by the client's base address."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    @property
    def address(self) -> str:
        """Where the depot is."""
        return str(self._client.base_url).rstrip("/")

    def report(self, report: Mapping[str, Any], *, at: datetime) -> timedelta:
        """Tell how the terminal is; how far the depot's clock is ahead of `at`. Raises LineGone."""
        try:
            theirs = datetime.fromisoformat(self._json("POST", "/health", report)["at"])
            return theirs - at
        except (KeyError, TypeError, ValueError) as error:
            raise LineGone(f"the depot's answer tells no time: {error}") from error

    def refresh(self, holdings: Holdings) -> dict[str, Receipt]:
        """Take what is newer than what is held; what became of each file, by name. Raises LineGone.

        Changes of the hotlist are taken one after another; where one does not fit, the newest whole list is.
        """
        offered, receipts = self._offered(), dict[str, Receipt]()
        for file in offered:
            if file.kind in ("tariff", "settings") and file.version > holdings.versions[file.kind]:
                receipts[file.name] = holdings.take(self._bytes(file.name))
        for file in offered:
            if file.kind == "hotlist_change" and file.version > holdings.hotlist.version:
                receipts[file.name] = holdings.take(self._bytes(file.name))
                if receipts[file.name] is not Receipt.TAKEN:
                    break
        whole = [file for file in offered if file.kind == "hotlist"]
        if whole and whole[-1].version > holdings.hotlist.version:
            receipts[whole[-1].name] = holdings.take(self._bytes(whole[-1].name))
        return receipts

    def _offered(self) -> list[Offered]:
        try:
            files = [
                Offered(str(one["name"]), str(one["kind"]), int(one["version"]))
                for one in self._json("GET", "/files")
            ]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise LineGone(f"the depot's list of files cannot be read: {error}") from error
        return sorted((one for one in files if one.kind in KINDS), key=lambda one: (one.version, one.name))

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            return json.loads(self._ask(method, path, body))
        except (ValueError, RecursionError) as error:
            raise LineGone(f"the depot's answer to {path} is no JSON: {error}") from error

    def _bytes(self, name: str) -> bytes:
        return self._ask("GET", f"/files/{name}")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """The whole body of an answer, not more than MOST_BYTES of it."""
        try:
            with self._client.stream(method, path, json=body) as answer:
                answer.raise_for_status()
                return body_of(answer, MOST_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL, AnswerTooLong) as error:
            raise LineGone(f"{path}: {error}") from error

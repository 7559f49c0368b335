"""Asking the API until it has answered, with a diary of what was asked and answered."""

from dataclasses import dataclass
from typing import Any

import httpx

from city.diary import Diary, pause

MOST_TRIES = 400
NOT_YET = ("idempotency_in_progress", "rate_limited")


class Unanswered(Exception):
    """Something was asked over and over and not answered; the message says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer for good: the HTTP status and the JSON body."""

    status: int
    body: dict[str, Any]

    @property
    def done(self) -> bool:
        """Whether it was done as asked, rather than refused."""
        return self.status < 400


class Caller:
    """Asks the API by names that are used once: the same name again gets the answer that the diary holds."""

    def __init__(self, client: httpx.Client, diary: Diary) -> None:
        self._client = client
        self._diary = diary
        self._asked = {line["asked"] for line in diary.lines if "asked" in line}
        self._answers = {
            line["answered"]: Answer(line["status"], line["body"])
            for line in diary.lines
            if "answered" in line
        }

    def ask(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """The answer to a question, asked until there is one. Raises Unanswered after many tries."""
        if name in self._answers:
            return self._answers[name]
        if name not in self._asked:
            self._diary.note(asked=name, method=method, path=path, body=body)
        for tries in range(MOST_TRIES):
            answer = self._try(name, method, path, body)
            if answer is not None:
                self._diary.note(answered=name, status=answer.status, body=answer.body)
                self._answers[name] = answer
                return answer
            pause(tries)
        raise Unanswered(f"{method} {path} ({name}) was asked {MOST_TRIES} times and not answered")

    def _try(self, name: str, method: str, path: str, body: dict[str, Any] | None) -> Answer | None:
        """The answer, or None where it is lost, cannot be read, or is that it cannot be answered now."""
        try:
            response = self._client.request(method, path, json=body, headers={"Idempotency-Key": name})
            told = response.json()
        except (httpx.HTTPError, ValueError):
            return None
        if response.status_code >= 500 or not isinstance(told, dict) or told.get("code") in NOT_YET:
            return None
        return Answer(response.status_code, told)

"""What a counter has asked its office and not been answered yet: the key under which it is asked again."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from terminals.durable_file import Sync, opened

ASKED_AGAIN_WITHIN: Final = timedelta(hours=1)
"""Whoever asks later than that means something that has happened since, such as another loss of the same card."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS unanswered (
    digest TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, asked_s INTEGER NOT NULL
) WITHOUT ROWID;
"""


def digest_of(address: str, body: Mapping[str, Any]) -> str:
    """SHA-256 of what is asked where, in 64 hex characters: the same question has the same."""
    return sha256(json.dumps([address, body], sort_keys=True).encode()).hexdigest()


class Questions:
    """The counter's durable list of questions without an answer. `fresh` makes a key that was never used.

    A question that is asked again, by a person or by a program that was killed meanwhile, goes out under its
    first key, so that the office gives its first answer. Once it is answered, or ASKED_AGAIN_WITHIN by the clock
    `now` is over, the same is a new question: the office decides it by how the card stands then.
    """

    def __init__(
        self, path: Path, fresh: Callable[[], str], now: Callable[[], datetime], sync: Sync = "full"
    ) -> None:
        self._fresh, self._now = fresh, now
        self._db = opened(path, _SCHEMA, sync)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def key_of(self, digest: str) -> str:
        """The key of a question, kept before it is asked for the first time."""
        (key,) = self._db.execute(
            "INSERT INTO unanswered VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE"
            " SET key = CASE WHEN abs(excluded.asked_s - asked_s) <= ? THEN key ELSE excluded.key END,"
            " asked_s = CASE WHEN abs(excluded.asked_s - asked_s) <= ? THEN asked_s ELSE excluded.asked_s END"
            " RETURNING key",
            (digest, self._fresh(), int(self._now().timestamp()), *[ASKED_AGAIN_WITHIN.total_seconds()] * 2),
        ).fetchone()
        return str(key)

    def answered(self, digest: str) -> None:
        """It has its answer."""
        self._db.execute("DELETE FROM unanswered WHERE digest = ?", (digest,))

    def open(self) -> int:
        """How many have no answer yet."""
        (count,) = self._db.execute("SELECT count(*) FROM unanswered").fetchone()
        return int(count)

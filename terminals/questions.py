"""What a counter has asked its office and not been answered yet: the key under which it is asked again."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from terminals.durable_file import Sync, opened

_SCHEMA = """
CREATE TABLE IF NOT EXISTS question (digest TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE) WITHOUT ROWID;
"""


def digest_of(address: str, body: Mapping[str, Any]) -> str:
    """SHA-256 of what is asked where, in 64 hex characters: the same question has the same."""
    return sha256(json.dumps([address, body], sort_keys=True).encode()).hexdigest()


class Questions:
    """The counter's durable list of questions without an answer. `fresh` makes a key that was never used.

    A question that is asked again, by a person or by a program that was killed meanwhile, goes out under its
    first key, so that the office gives its first answer. Once it is answered, the same is a new question.
    """

    def __init__(self, path: Path, fresh: Callable[[], str], sync: Sync = "full") -> None:
        self._fresh = fresh
        self._db = opened(path, _SCHEMA, sync)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def key_of(self, digest: str) -> str:
        """The key of a question, kept before it is asked for the first time."""
        self._db.execute("INSERT OR IGNORE INTO question VALUES (?, ?)", (digest, self._fresh()))
        (key,) = self._db.execute("SELECT key FROM question WHERE digest = ?", (digest,)).fetchone()
        return str(key)

    def answered(self, digest: str) -> None:
        """It has its answer."""
        self._db.execute("DELETE FROM question WHERE digest = ?", (digest,))

    def open(self) -> int:
        """How many have no answer yet."""
        (count,) = self._db.execute("SELECT count(*) FROM question").fetchone()
        return int(count)

"""Numbers of accounts by their codes, kept in memory: what an account is never changes, so it may be remembered.

Only what is committed is kept. An account opened in a transaction that is still running is looked up in it anew.
"""

import json
from collections.abc import Sequence
from threading import Lock
from typing import Final

from sqlalchemy import Connection, Engine

from ledger.db import reading
from ledger.packed import unpacked
from ledger.questions import array_of, by_key_where_few

_AT_ONCE: Final = 100_000
"""Codes in one query: some 10 MB of texts."""


class Directory:
    """The numbers of the accounts asked for so far; may be shared by threads. About 200 bytes an account."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ids: dict[str, int] = {}
        self._lock = Lock()

    def numbers(self, codes: Sequence[str]) -> list[int]:
        """The number of each code, 0 where no such account has been committed."""
        known = self._ids
        found = [known.get(code, 0) for code in codes]
        if all(found):
            return found
        with reading(self._engine) as committed:
            learnt = _read(committed, _without(codes, found))
        with self._lock:
            known.update(learnt)
        return [number or learnt.get(code, 0) for code, number in zip(codes, found, strict=True)]

    def numbers_within(self, conn: Connection, codes: Sequence[str]) -> list[int]:
        """The same, and of accounts opened in a transaction that is still running."""
        found = self.numbers(codes)
        if all(found):
            return found
        new = _read(conn, _without(codes, found))
        return [number or new.get(code, 0) for code, number in zip(codes, found, strict=True)]


def _without(codes: Sequence[str], found: Sequence[int]) -> list[str]:
    return [code for code, number in zip(codes, found, strict=True) if not number]


def _read(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """The numbers of those that there are: two values for a whole query, and not a row for each."""
    found: dict[str, int] = {}
    for start in range(0, len(codes), _AT_ONCE):
        some = codes[start : start + _AT_ONCE]
        with by_key_where_few(conn, len(some)):
            names, numbers = conn.exec_driver_sql(*_asked(conn, some)).one()
        if names:
            found.update(zip(names.split(), unpacked(numbers).tolist(), strict=True))
    return found


def _asked(conn: Connection, codes: Sequence[str]) -> tuple[str, tuple[str]]:
    if conn.dialect.name == "postgresql":
        return _IN_POSTGRESQL, (array_of(codes),)
    return _IN_SQLITE, (json.dumps(codes),)


# No code has a blank in it.
_IN_POSTGRESQL: Final = (
    "SELECT string_agg(code, ' '), string_agg(int8send(id), '') FROM ledger_account"
    " WHERE code = ANY (CAST(%s AS text[]))"
)
_IN_SQLITE: Final = (
    "SELECT group_concat(code, ' '), group_concat(id) FROM ledger_account"
    " WHERE code IN (SELECT value FROM json_each(?))"
)

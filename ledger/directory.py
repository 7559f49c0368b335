"""Numbers of accounts by their codes, kept in memory: what an account is never changes, so it may be remembered.

Only what is committed is kept. An account opened in a transaction that is still running is looked up in it anew.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Final

from sqlalchemy import Connection, Engine, select

from ledger import tables
from ledger.bulk import one_of
from ledger.db import reading

_AT_ONCE: Final = 50_000
"""Codes in one query: the rows of an answer take several times what is kept of them."""


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
        missing = [code for code, number in zip(codes, found, strict=True) if not number]
        if not missing:
            return found
        with reading(self._engine) as committed:
            learnt = _read(committed, missing)
        with self._lock:
            known.update(learnt)
        return [number or learnt.get(code, 0) for code, number in zip(codes, found, strict=True)]

    def numbers_within(self, conn: Connection, codes: Sequence[str]) -> list[int]:
        """The same, and of accounts opened in a transaction that is still running."""
        found = self.numbers(codes)
        missing = [code for code, number in zip(codes, found, strict=True) if not number]
        new = _read(conn, missing) if missing else {}
        return [number or new.get(code, 0) for code, number in zip(codes, found, strict=True)]


def _read(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    account = tables.account.c
    found: dict[str, int] = {}
    for start in range(0, len(codes), _AT_ONCE):
        some = one_of(conn, account.code, codes[start : start + _AT_ONCE])
        found.update(conn.execute(select(account.code, account.id).where(some)).all())
    return found

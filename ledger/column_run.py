"""Totals of a run of calls, renewed once at its end: an account that many calls move would else be written as often."""

from collections import Counter
from dataclasses import fields
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from ledger import tables
from ledger.bulk import insert_rows
from ledger.column_store import TotalsRefused, lay_ready, newest_lines, renew_accounts
from ledger.column_walk import Accounts, Moved
from ledger.moved import controls_of
from ledger.standing import MAX_TOTAL_FEN
from ledger.totals import add_to_totals

Numbers = NDArray[np.int64]

_NOWHERE: Final = np.iinfo(np.int64).min
"""How far an account goes that no entry has moved yet: wherever the first one takes it, that is further."""


class Run:
    """What calls of one business date have done to accounts so far, all in one transaction; some 70 bytes an account.

    In between others may post on other dates. What they book on an account of the run comes before the run's lines.
    """

    def __init__(self) -> None:
        none = np.empty(0, np.int64)
        self._moved = Accounts(*(none for _ in fields(Accounts)))
        self._stood = none
        """The newest line of each account when the run first met it."""
        self._debits_fen, self._credits_fen = Counter[str](), Counter[str]()
        self._business_date: date | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a call was taken."""
        return self._business_date is not None

    def take(self, conn: Connection, moved: Moved, business_date: date) -> Numbers:
        """Remember what a call does to totals (see Renew). Raises ValueError where another was of another date."""
        if self._business_date not in (None, business_date):
            raise ValueError(f"a run is of one date, not of {self._business_date} and {business_date}")
        self._business_date = business_date
        self._debits_fen.update(moved.debits_fen)
        self._credits_fen.update(moved.credits_fen)
        return self._add(conn, moved.accounts)

    def lay_ready(self, conn: Connection) -> None:
        """Give the database all of it, so that it need only be added."""
        lay_ready(conn, self._moved)

    def renew(self, conn: Connection) -> None:
        """Add all of it, laid ready, to the totals, as the one writer, and tell which lines others overtook with which.

        Raises TotalsRefused where an account cannot take it.
        """
        if self._business_date is None:
            return
        newest = renew_accounts(conn, self._moved, self._business_date)
        add_to_totals(conn, {}, controls_of(self._debits_fen, self._credits_fen))
        overtaken = np.flatnonzero(newest != self._stood)
        if len(overtaken):
            columns = self._moved.first_line_id, self._moved.account_id, newest
            rows = zip(*(column[overtaken].tolist() for column in columns), strict=True)
            insert_rows(conn, tables.overtaken, rows)

    def _add(self, conn: Connection, moved: Accounts) -> Numbers:
        self._widen(conn, moved)
        known = self._moved
        places = np.searchsorted(known.account_id, moved.account_id)
        stood = known.last_line_id[places]
        net_fen = known.debits_fen[places] - known.credits_fen[places]
        for need, more in (
            (known.need_debit_fen, net_fen + moved.need_debit_fen),
            (known.need_credit_fen, moved.need_credit_fen - net_fen),
        ):
            need[places] = np.maximum(need[places], more)
        known.debits_fen[places] += moved.debits_fen
        known.credits_fen[places] += moved.credits_fen
        known.last_line_id[places] = moved.last_line_id
        if known.debits_fen.sum(dtype=np.float64) > MAX_TOTAL_FEN:
            raise TotalsRefused
        return stood

    def _widen(self, conn: Connection, moved: Accounts) -> None:
        """Know these accounts, too: one that is new has its newest line, its first of the run, and has not moved."""
        known = self._moved
        at = np.searchsorted(known.account_id, moved.account_id)
        is_known = at < len(known)
        is_known[is_known] = known.account_id[at[is_known]] == moved.account_id[is_known]
        if is_known.all():
            return
        at, new = at[~is_known], moved.account_id[~is_known]
        newest = newest_lines(conn, new)
        self._stood = np.insert(self._stood, at, newest)
        self._moved = Accounts(
            account_id=np.insert(known.account_id, at, new),
            debits_fen=np.insert(known.debits_fen, at, 0),
            credits_fen=np.insert(known.credits_fen, at, 0),
            need_debit_fen=np.insert(known.need_debit_fen, at, _NOWHERE),
            need_credit_fen=np.insert(known.need_credit_fen, at, _NOWHERE),
            first_line_id=np.insert(known.first_line_id, at, moved.first_line_id[~is_known]),
            last_line_id=np.insert(known.last_line_id, at, newest),
        )

"""Totals of a run of calls, renewed once at its end: an account that many calls move would else be written as often."""

from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from ledger.column_store import TotalsRefused, newest_lines, renew_totals
from ledger.column_walk import Accounts
from ledger.standing import MAX_TOTAL_FEN

Numbers = NDArray[np.int64]

_NOWHERE: Final = np.iinfo(np.int64).min
"""How far an account goes that no entry has moved yet: wherever the first one takes it, that is further."""


class Run:
    """What calls of one business date have done to accounts so far, all in one transaction; some 50 bytes an account.

    In between nothing else may move an account: there is one writer, and it is at this.
    """

    def __init__(self) -> None:
        none = np.empty(0, np.int64)
        self._moved = Accounts(none, none, none, none, none, none)
        self._business_date: date | None = None

    def take(self, conn: Connection, moved: Accounts, business_date: date) -> Numbers:
        """Remember what a call does to accounts (see Renew). Raises ValueError where another was of another date."""
        if self._business_date not in (None, business_date):
            raise ValueError(f"a run is of one date, not of {self._business_date} and {business_date}")
        self._business_date = business_date
        known = self._widened(conn, moved.account_id)
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
        self._moved = known
        return stood

    def renew(self, conn: Connection) -> None:
        """Add all of it to the totals. Raises TotalsRefused where an account cannot take it."""
        if self._business_date is not None:
            renew_totals(conn, self._moved, self._business_date)

    def _widened(self, conn: Connection, account_id: Numbers) -> Accounts:
        """What is known, with these accounts among it: one that is new has its newest line, and has not moved."""
        known = self._moved
        new = np.setdiff1d(account_id, known.account_id, assume_unique=True)
        if not len(new):
            return known
        at = np.searchsorted(known.account_id, new)
        return Accounts(
            np.insert(known.account_id, at, new),
            np.insert(known.debits_fen, at, 0),
            np.insert(known.credits_fen, at, 0),
            np.insert(known.need_debit_fen, at, _NOWHERE),
            np.insert(known.need_credit_fen, at, _NOWHERE),
            np.insert(known.last_line_id, at, newest_lines(conn, new)),
        )

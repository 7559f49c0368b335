"""Bulk posting from columns: hundreds of thousands of lines in one set-based call, with all that `post` guarantees.

Nothing here runs once a line: texts are made by Arrow, sums and walks by NumPy, and the database renews all totals
in one statement. It is hopeful: where an account turns out to be closed or past its limit, the whole call is decided
again, entry by entry, by `ledger.decision`.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from ledger.column_run import Run
from ledger.column_store import Renew, TotalsRefused, renew_totals, store_columns
from ledger.day import DayState, day_state
from ledger.db import lock_writers
from ledger.decision import decide
from ledger.directory import Directory
from ledger.entry import Posted, Refused
from ledger.facts import Facts, are_forestalled, load_facts
from ledger.orders import Order
from ledger.post import expire_holds, post
from ledger.prepared import Prepared, entry_of, walk_of, with_new_accounts
from ledger.standing import MAX_TOTAL_FEN, Decision
from ledger.store import entry_row

Numbers = NDArray[np.int64]


def post_columns(
    conn: Connection, prepared: Prepared, directory: Directory, *, at: datetime, closing: bool = False
) -> list[Posted | Refused]:
    """Book one entry a heading, with its lines, and answer each in order; `conn` comes from `ledger.db.writing`.

    Answers are those of `ledger.post.post` on the same entries.
    """
    prepared = with_new_accounts(conn, prepared, directory)
    try:
        with conn.begin_nested():
            expire_holds(conn, at=at)
            facts = load_facts(conn, _booking(prepared), at=at)
            return _posted(conn, prepared, facts, renew_totals, at=at, closing=closing)
    except TotalsRefused:
        entries = [
            entry_of(heading, prepared.numbered, place, prepared.business_date)
            for place, heading in enumerate(prepared.headings)
        ]
        return post(conn, entries, at=at, closing=closing)


def _at_once() -> None:
    """There is nothing to wait for."""


def post_pieces(
    conn: Connection,
    pieces: Callable[[], AbstractContextManager[Iterable[Prepared]]],
    directory: Directory,
    *,
    at: datetime,
    closing: bool = False,
    when_written: Callable[[], object] = _at_once,
) -> list[Posted | Refused]:
    """`post_columns` of some pieces, one after the other, all of one business date.

    An account that many pieces move is renewed once, at the end, and only then is the writer's lock needed where the
    day is closing, as nobody but its night, which is the caller, books on it: until all lines are there, and
    `when_written` has returned, others go on. Where an account cannot take it all, or an entry was taken back
    meanwhile, `pieces` is asked for them again under the lock, and each is booked by itself.
    """
    run = Run()
    answers: list[Posted | Refused] = []
    try:
        with conn.begin_nested(), pieces() as several:
            for prepared in several:
                if not run.has_begun:
                    _lock_unless_closing(conn, prepared.business_date)
                known = with_new_accounts(conn, prepared, directory)
                facts = load_facts(conn, _booking(known), at=at, ahead=True)
                answers += _posted(conn, known, facts, run.take, at=at, closing=closing)
            run.lay_ready(conn)
            when_written()
            lock_writers(conn)
            expire_holds(conn, at=at)
            if are_forestalled(conn, _new(answers)):
                raise TotalsRefused
            run.renew(conn)
            return answers
    except TotalsRefused:
        lock_writers(conn)  # a savepoint that is gone back to takes it along
        with pieces() as several:
            return [
                answer
                for prepared in several
                for answer in post_columns(conn, prepared, directory, at=at, closing=closing)
            ]


def _lock_unless_closing(conn: Connection, business_date: date) -> None:
    """The numbers of a day that is closing are its night's; on another day whoever holds the lock has the next."""
    if day_state(conn, business_date) is not DayState.CLOSING:
        lock_writers(conn)


def _new(answers: Sequence[Posted | Refused]) -> list[str]:
    return [answer.reference for answer in answers if isinstance(answer, Posted) and answer.first_time]


def _booking(prepared: Prepared) -> list[Order]:
    return [offer.order for offer in prepared.offers if offer.flaw is None]


def _posted(
    conn: Connection, prepared: Prepared, facts: Facts, renew: Renew, *, at: datetime, closing: bool
) -> list[Posted | Refused]:
    """What `post_columns` answers where every account can take its part; else this raises TotalsRefused."""
    # Whatever accounts may say is left to the totals: here they are asked for by no line.
    decision = decide(prepared.offers, facts, closing=closing, at=at)
    if decision.accepted:
        _store(conn, prepared, decision, facts, renew, at=at)
    return [answer for answer in decision.answers if isinstance(answer, Posted | Refused)]


def _store(
    conn: Connection, prepared: Prepared, decision: Decision, facts: Facts, renew: Renew, *, at: datetime
) -> None:
    numbered, business_date = prepared.numbered, prepared.business_date
    # Beyond 64 bits sums wrap round. Where all lines come to less than an account may ever hold, none does.
    if numbered.lines.amount_fen.sum(dtype=np.float64) > MAX_TOTAL_FEN:
        raise TotalsRefused
    places = _places(decision)
    counts = numbered.ends[places] - numbered.starts[places]
    first = facts.days[business_date].last_line_id + 1
    first_line_ids = first + np.r_[0, np.cumsum(counts)[:-1]]
    chosen = np.isin(numbered.lines.entry, places)
    entry_ids = np.array([taken.entry_id for taken in decision.accepted], np.int64)
    moved = prepared.moved if prepared.moved and chosen.all() else walk_of(numbered, chosen)
    entries = [
        entry_row(taken, at, first_line_id=int(first_line_id), line_count=int(count))
        for taken, first_line_id, count in zip(decision.accepted, first_line_ids, counts, strict=True)
    ]
    placed = moved.numbered(first, np.repeat(entry_ids, counts))
    store_columns(conn, entries, placed, business_date, renew)


def _places(decision: Decision) -> Numbers:
    """The places of the accepted headings: the first of each reference that was answered as new."""
    places = [
        place
        for place, answer in enumerate(decision.answers)
        if isinstance(answer, Posted) and answer.first_time
    ]
    return np.array(places, np.int64)

"""The night's verdicts into the books: entries, taps, where each card stands; all of it or nothing."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, Engine, insert, select, update

from card.hotlist import hotlist_cards
from clearing.columns import numbers, texts
from clearing.context import Night, StepProgress, StepRefused, StepResult
from clearing.free_memory import give_back
from clearing.interop.centres import centre_codes
from clearing.judged import Judged, fresh_taps, judged_taps
from clearing.postings import Shares, batch_columns, from_purses, shares
from clearing.records import are_kept, keep_positions, keep_taps, renew_taps, short_purses
from clearing.tables import batch_file, card_position, cleared_night, tap
from clearing.tap_accounts import OVERCHARGE, SHORTFALL, owed_account
from clearing.verdict import Verdict
from ledger.accounts import find_accounts, open_accounts
from ledger.ahead import ahead
from ledger.bulk import count_anew
from ledger.chart import account
from ledger.columns import post_pieces
from ledger.db import nothing_to_write, reading
from ledger.directory import Directory
from ledger.entry import Refused
from ledger.partitions import partition_of
from ledger.prepared import Prepared, in_pieces, prepare_columns
from ledger.tables import total

HOTLIST_DEADLINE = timedelta(days=1)
"""How long devices have to take up a list."""


def post(engine: Engine, night: Night, *, meanwhile: Callable[[], object]) -> StepResult:
    """Book one entry an operator batch, keep every tap with its verdict, and hotlist cloned cards.

    `meanwhile` is done while lines wait for the last of their taps, where there are lines to be booked.
    Writing refuses with StepRefused where the ledger does; then nothing is written but accounts that had to be opened.
    """
    with judged_taps(night) as judged:
        clones, paid = judged.clones(), judged.total()
        counts = {
            "taps": judged.taps(),
            "entries": paid.batches,
            "paid_taps": paid.taps,
            "paid_fen": paid.paid_fen,
            "overcharge_fen": paid.amount_fen - paid.paid_fen,
            "alarms": len(clones),
        }
        operators = judged.operators()
    with reading(engine) as conn:
        centres = centre_codes(conn)
        first = _opening(conn, night, operators, centres)

    progress = StepProgress(night, "rows", counts["paid_taps"] + counts["taps"])
    brought = Event()

    def bring(conn: Connection) -> None:
        # They may be there without their lines, where a night was killed as it had just kept them.
        if not are_kept(conn, night.business_date):
            keep_taps(conn, fresh_taps(night), night.business_date, progress.add)
            count_anew(conn, tap.name)

    def written(conn: Connection) -> None:
        count_anew(conn, partition_of(night.business_date))
        # What pieces of lines have taken is free, and would be held beside what is done meanwhile.
        give_back()
        meanwhile()
        brought.wait()

    def write(conn: Connection) -> None:
        if _is_booked(conn, night):
            return
        with judged_taps(night) as judged:
            keep_positions(conn, judged.positions())
        _book(conn, engine, night, centres, progress, partial(written, conn))
        # So is by now what numbers of accounts have taken.
        give_back()
        with judged_taps(night) as judged:
            renew_taps(conn, _passing(judged.retried(), progress), night.business_date)
        conflict = Verdict.COUNTER_CONFLICT.value
        hotlist_cards(conn, clones, night.at, night.at + HOTLIST_DEADLINE, conflict)
        conn.execute(
            update(batch_file).where(batch_file.c.cleared_on.is_(None)).values(cleared_on=night.business_date)
        )
        conn.execute(
            insert(cleared_night).values(
                business_date=night.business_date, booked_at=night.at, taps=counts["taps"]
            )
        )
        count_anew(conn, card_position.name, total.name)

    return StepResult(counts, (), write, first, bring, brought, ahead=True)


def _is_booked(conn: Connection, night: Night) -> bool:
    booked = select(cleared_night.c.taps).where(cleared_night.c.business_date == night.business_date)
    return conn.execute(booked).one_or_none() is not None


def _passing(pieces: Iterable[pa.Table], progress: StepProgress) -> Iterator[pa.Table]:
    """The same pieces, each counted when the next is wanted: a tap that is paid, and again as it is kept."""
    for piece in pieces:
        yield piece
        progress.add(piece.num_rows)


def _opening(
    conn: Connection, night: Night, operators: Collection[str], centres: Collection[str]
) -> Callable[[Connection], None]:
    """What opens the accounts for taps that are not there yet, as that of an operator who has its first batch.

    Accounts are numbered without gaps, by the one writer: whoever opened one on the way would be that to the end.
    """
    codes = {OVERCHARGE, SHORTFALL, *(owed_account(operator, centres) for operator in operators)}
    wanted = sorted(codes - {one.code for one in find_accounts(conn, sorted(codes))})

    def opening(conn: Connection) -> None:
        open_accounts(conn, [account(code) for code in wanted], at=night.at)

    return opening if wanted else nothing_to_write


def _book(
    conn: Connection,
    engine: Engine,
    night: Night,
    centres: Collection[str],
    progress: StepProgress,
    when_written: Callable[[], object],
) -> None:
    """Book the lines; from when they and their taps are there, this transaction is the one writer's."""
    directory, made_at = Directory(engine), _made_at(conn)

    @contextmanager
    def made() -> Iterator[Iterable[Prepared]]:
        # Asked anew where lines are made anew: a purse may have paid out meanwhile.
        with judged_taps(night) as judged:
            short = _short(conn, judged)
        # Opened anew, since DuckDB would keep what it has freed of the sums by card while all lines go in.
        with judged_taps(night) as judged, ahead(
            prepare_columns(some, own, directory, business_date=night.business_date)
            for taps in _passing(judged.paid(), progress)
            for some, own in in_pieces(
                *batch_columns(taps, short.parts(taps), made_at, night.business_date, centres)
            )
        ) as pieces:  # fmt: skip
            yield pieces

    answers = post_pieces(conn, made, directory, at=night.at, closing=True, when_written=when_written)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    if refused:
        raise StepRefused(
            "post",
            f"the ledger refuses {len(refused)} entries, first {refused[0].reference}: {refused[0].message}",
            "clear its reason, then run the night again",
        )


@dataclass(frozen=True, slots=True)
class _Short:
    """The taps, by `no`, of cards whose purses do not hold enough for all of theirs, and how their money parts."""

    no: npt.NDArray[np.int64]
    shares: Shares

    def parts(self, taps: pa.Table) -> Shares:
        """How the money of some paid taps parts, these among them."""
        parts = from_purses(numbers(taps, "amount_fen"), numbers(taps, "paid_fen"))
        if not len(self.no):
            return parts
        no = numbers(taps, "no")
        first, last = np.searchsorted(self.no, (no[0], no[-1] + 1))
        here = np.searchsorted(no, self.no[first:last])
        for one in fields(Shares):
            getattr(parts, one.name)[here] = getattr(self.shares, one.name)[first:last]
        return parts


def _short(conn: Connection, judged: Judged) -> _Short:
    purses_fen = short_purses(conn, judged.costs())
    taps = judged.paid_of(sorted(purses_fen))
    counters, amounts, paid = (numbers(taps, name) for name in ("counter", "amount_fen", "paid_fen"))
    return _Short(numbers(taps, "no"), shares(texts(taps, "card_no"), counters, amounts, paid, purses_fen))


def _made_at(conn: Connection) -> Mapping[tuple[str, int], datetime]:
    columns = batch_file.c
    rows = conn.execute(select(columns.operator, columns.sequence, columns.made_at))
    return {(operator, sequence): made_at.astimezone(UTC) for operator, sequence, made_at in rows}

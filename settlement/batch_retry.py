"""A booked batch's taps in suspense, judged again between two nights by what is known now (docs/decisions/0052).

All taps in suspense are judged, as the night would judge them: a copy or a clone shows only beside the other one.
Only those of the batch get what comes of it, booked on the open day as an entry of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

import pyarrow as pa
from sqlalchemy import Connection, Engine, func, select

from clearing import steps as clearing
from clearing.context import Night
from clearing.judged import Judged, judged_taps
from clearing.late_booking import book_late
from clearing.presented import lay_out
from clearing.records import keep_positions, renew_taps
from clearing.retried import retried_taps
from clearing.tables import batch_file
from ledger.day import current_day
from ledger.db import reading, writing
from ledger.directory import Directory
from ledger.prepared import Heading
from ledger.tables import entry as entry_table
from settlement.night_lock import exclusive
from settlement.night_log import unfinished_before


class RetryRefusal(StrEnum):
    """Why a batch is not judged again now, in order of precedence: the first that applies is told."""

    BATCH_UNKNOWN = "batch_unknown"
    NOT_BOOKED = "not_booked"
    NIGHT_UNFINISHED = "night_unfinished"
    NOTHING_SUSPENDED = "nothing_suspended"


@dataclass(frozen=True, slots=True)
class RetryRefused:
    """A batch that is not judged again, and what to do."""

    refusal: RetryRefusal
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a batch's taps in suspense: how many by verdict, and what was booked for its operator."""

    business_date: date
    verdicts: Mapping[str, int]
    paid_taps: int
    paid_fen: int


def retry_batch(engine: Engine, night: Night, operator: str, sequence: int) -> Retried | RetryRefused:
    """Judge a booked batch's taps in suspense now. `night` is of the open day, with a folder and inbox of its own.

    Raises NightRunning while a night runs, StepRefused where a step or the ledger refuses; then nothing is written.
    """
    with exclusive(engine, night.folder.parent):
        with reading(engine) as conn:
            refused = refusal_to_retry(conn, operator, sequence)
            night = replace(night, business_date=current_day(conn)) if refused is None else night
            suspended = retried_taps(conn)
        if refused is not None:
            return refused
        lay_out(night, [], suspended)
        for step in (clearing.verify, clearing.match, clearing.price):
            step(engine, night)
        with judged_taps(night, (operator, sequence)) as judged, writing(engine) as conn:
            paid = judged.total()
            if paid.taps:
                _book(conn, Directory(engine), night, judged)
            renew_taps(conn, judged.retried(), night.business_date)
            keep_positions(conn, judged.positions())
            return Retried(night.business_date, judged.verdicts(), paid.taps, paid.paid_fen)


def refusal_to_retry(conn: Connection, operator: str, sequence: int) -> RetryRefused | None:
    """The first reason why a batch cannot be judged again now, or None."""
    columns = batch_file.c
    query = select(columns.cleared_on).where(columns.operator == operator, columns.sequence == sequence)
    row = conn.execute(query).one_or_none()
    name = f"batch {sequence} of {operator}"
    if row is None:
        return RetryRefused(RetryRefusal.BATCH_UNKNOWN, f"{name} never came", "give a batch that did")
    if row.cleared_on is None:
        remedy = "run its night; a wrong file is replaced by `onecard night replace-batch`"
        return RetryRefused(RetryRefusal.NOT_BOOKED, f"{name} is not booked yet", remedy)
    unfinished = unfinished_before(conn, date.max)
    if unfinished is not None:
        remedy = f"run the night of {unfinished} to its end first"
        return RetryRefused(
            RetryRefusal.NIGHT_UNFINISHED, f"the night of {unfinished} is not finished", remedy
        )
    if not any((one.operator, one.sequence) == (operator, sequence) for one in retried_taps(conn)):
        remedy = "what is decided stays: what is to be corrected comes as a batch under a new number"
        return RetryRefused(RetryRefusal.NOTHING_SUSPENDED, f"{name} has no tap in suspense", remedy)
    return None


def _book(conn: Connection, directory: Directory, night: Night, judged: Judged) -> None:
    def named(heading: Heading) -> Heading:
        # The night of this day may book others of the batch out of suspense, under the reference without a number.
        earlier = select(func.count()).where(entry_table.c.reference.startswith(f"{heading.reference}:"))
        return replace(heading, reference=f"{heading.reference}:{conn.execute(earlier).scalar_one() + 1}")

    paid = pa.concat_tables(judged.paid())
    book_late(conn, directory, paid, named, business_date=night.business_date, at=night.at)

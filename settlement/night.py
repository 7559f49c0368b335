"""The night: a list of named steps from the last word of the day to its seal, killed anywhere and taken up again.

Every step reads, computes and writes files first; what it writes to the database is written together
with the record that it is done, in one transaction. So a step is either done or has left nothing but
files that the next attempt replaces; or, killed as it had just kept them, the taps that `post` brings beside
on PostgreSQL, which the next attempt finds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

import duckdb
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from clearing import steps as clearing
from clearing.context import Night, Step, StepRefused, StepResult
from clearing.free_memory import give_back
from ledger.day import DayState, day_state
from ledger.db import lock_writers, reading, writing
from ledger.room import out_of_room
from ledger.tables import day as day_table
from settlement.books import check_books_after, check_books_before
from settlement.night_lock import NightRunning, exclusive
from settlement.night_log import (
    Run,
    RunState,
    StepRecord,
    changed_file,
    finish_run,
    last_entry_ids,
    mark_files,
    record_step,
    recorded_steps,
    references_after,
    refuse_run,
    run_of,
    start_run,
    step_digest,
    unfinished_before,
)
from settlement.peers import reconcile_peers
from settlement.reconcile import reconcile
from settlement.report_files import report
from settlement.steps import close_day, instruct, net, seal
from settlement.work_found import hand_over_work, refused
from settlement.work_queue import Kind, clear, hand_over

STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("check_books_before", check_books_before),
    ("ask_insurer", clearing.ask_insurer),
    ("withdraw_claims", clearing.withdraw_claims),
    ("tell_billers", clearing.tell_billers),
    ("close_day", close_day),
    ("hear_centres", clearing.hear_centres),
    ("collect", clearing.collect),
    ("verify", clearing.verify),
    ("match", clearing.match),
    ("price", clearing.price),
    ("post", clearing.post),
    ("route", clearing.route),
    ("tell_centres", clearing.tell_centres),
    ("net", net),
    ("instruct", instruct),
    ("report", report),
    ("reconcile_peers", reconcile_peers),
    ("reconcile", reconcile),
    ("hand_over", hand_over_work),
    ("check_books_after", check_books_after),
    ("seal", seal),
)

MAY_LACK_ROOM: Final = (OSError, SQLAlchemyError, duckdb.Error)
"""What files, books and rules raise where they cannot be written."""

Observe = Callable[[str, str, StepResult | None], None]
"""Told (step, "started" | "done" | "already", result); "done" comes after the step is committed."""

Clock = Callable[[], float]
"""Seconds that only go on, by which steps are timed; it says nothing of the time of day."""


class NightRefused(Exception):
    """The night stopped, or never started: at which step, why, and what to do before running it again."""

    def __init__(self, step: str, reason: str, remedy: str) -> None:
        self.step, self.reason, self.remedy = step, reason, remedy
        super().__init__(f"{step}: {reason}; {remedy}")


@dataclass(frozen=True, slots=True)
class NightReport:
    """A finished night, booked at the instant of its first start, which is `at`."""

    business_date: date
    at: datetime
    already_finished: bool  # finished before: nothing was done
    steps: tuple[StepRecord, ...]


def unobserved(_step: str, _state: str, _result: StepResult | None) -> None:
    """Watch nothing."""


def run_night(
    engine: Engine, night: Night, *, observe: Observe = unobserved, clock: Clock | None = None
) -> NightReport:
    """Run the night of `night.business_date` from the first step that is not done yet, timed by `clock`.

    Raises NightRefused where another night runs, an earlier one is not finished, the business date is not
    one that can be closed, or a step refuses; run again after the remedy, it goes on where it stopped.
    """
    try:
        with exclusive(engine, night.folder.parent):
            return _run(engine, night, observe, clock)
    except NightRunning as running:
        raise NightRefused(
            "start", f"a night is already running: {running}", "wait until it ends, then run this one again"
        ) from running


def _run(engine: Engine, night: Night, observe: Observe, clock: Clock | None) -> NightReport:
    run, done = _start(engine, night)
    for position, (name, _) in enumerate(STEPS):
        if position < len(done):
            if run.state is not RunState.FINISHED:
                _require_untouched(done[position], name, night)
            observe(name, "already", None)
            continue
        # The booking instant is that of the first start, so that a resumed night books what it would have.
        booked = replace(night, at=run.started_at)
        observe(name, "started", None)
        with _in_plain_words(engine, booked, name, finished_at=night.at):
            result = _do(engine, booked, position, finished_at=night.at, clock=clock)
        give_back()
        observe(name, "done", result)
    with reading(engine) as conn:
        steps = tuple(recorded_steps(conn, night.business_date))
    return NightReport(night.business_date, run.started_at, run.state is RunState.FINISHED, steps)


def _start(engine: Engine, night: Night) -> tuple[Run, list[StepRecord]]:
    with writing(engine) as conn:
        known = run_of(conn, night.business_date)
        if known is None or known.state is not RunState.FINISHED:
            _require_turn(conn, night.business_date)
        return start_run(conn, night.business_date, at=night.at), recorded_steps(conn, night.business_date)


def _require_turn(conn: Connection, business_date: date) -> None:
    refusal = refusal_to_start(conn, business_date)
    if refusal is not None:
        raise NightRefused("start", *refusal)


def refusal_to_start(conn: Connection, business_date: date) -> tuple[str, str] | None:
    """Why the night of a business date cannot begin or go on now, and the remedy; None where it can."""
    earlier = unfinished_before(conn, business_date)
    if earlier is not None:
        return f"the night of {earlier} was started and is not finished", f"run the night of {earlier} first"
    state = day_state(conn, business_date)
    if state is None:
        return f"business date {business_date} was never opened", "give a business date that is open"
    if state is DayState.CLOSED:
        return f"business date {business_date} is closed already", "give a business date that is open"
    older = conn.scalar(
        select(func.min(day_table.c.business_date)).where(
            day_table.c.business_date < business_date, day_table.c.state != DayState.CLOSED
        )
    )
    if older is not None:
        return f"business date {older} is not closed yet", f"run the night of {older} first"
    return None


def _require_untouched(record: StepRecord, name: str, night: Night) -> None:
    if record.step != name:
        raise NightRefused(
            name,
            f"this night recorded {record.step!r} in its place",
            "finish it with the release that began it",
        )
    changed = changed_file(record, night.folder)
    if changed is not None:
        raise NightRefused(
            name,
            f"{night.folder / changed} is not the file that this step left",
            "bring the file back from the copy of the night's folder; the steps after it were made from it",
        )


def _do(
    engine: Engine, night: Night, position: int, *, finished_at: datetime, clock: Clock | None
) -> StepResult:
    name, step = STEPS[position]
    began_s = clock() if clock else 0.0
    result = step(engine, night)
    marks = mark_files(result.files, night.folder)
    with result.transaction(engine) as conn:
        newest = last_entry_ids(conn)
        if result.ahead:  # meanwhile others book on the day that is open
            newest = {night.business_date: newest[night.business_date]}
        known, result = len(result.files), result.written(conn)
        lock_writers(conn)  # where it began ahead, and had no need of it
        marks = mark_files(result.files[known:], night.folder, marks)
        references = references_after(conn, newest)
        digest = step_digest(result.counts, marks, references)
        took_ms = int((clock() - began_s) * 1000) if clock else None
        record = StepRecord(name, result.counts, marks, len(references), digest, took_ms)
        record_step(conn, night.business_date, position, record, at=finished_at)
        if position == len(STEPS) - 1:
            _finish(conn, night.business_date, at=finished_at)
    return result


@contextmanager
def _in_plain_words(engine: Engine, night: Night, name: str, *, finished_at: datetime) -> Iterator[None]:
    """Whatever stops a step that a person can mend is written down and raised as NightRefused."""
    try:
        yield
    except StepRefused as stop:
        _write_down(engine, night, name, stop, finished_at=finished_at)
        raise NightRefused(name, stop.reason, stop.remedy) from stop
    except MAY_LACK_ROOM as error:
        said = out_of_room(error)
        if said is None:
            raise
        full = StepRefused(
            name,
            f"there is no room: {said}",
            f"make room on the disk of {night.folder} and on the database's (or raise its quota or `ulimit -f`) "
            "and run the night again: it goes on at this step",
        )
        # The books may lie on the disk that is full. Then the refusal is only told, and the next start finds
        # a night that was interrupted.
        with suppress(SQLAlchemyError):
            _write_down(engine, night, name, full, finished_at=finished_at)
        raise NightRefused(name, full.reason, full.remedy) from error


def _write_down(engine: Engine, night: Night, name: str, stop: StepRefused, *, finished_at: datetime) -> None:
    with writing(engine) as conn:
        refuse_run(conn, night.business_date, name, f"{stop.reason}; {stop.remedy}")
        found = refused(night.business_date, name, stop.reason, stop.remedy)
        hand_over(conn, [found], (), night.business_date, at=finished_at)


def _finish(conn: Connection, business_date: date, *, at: datetime) -> None:
    finish_run(conn, business_date, at=at)
    # All nights before this one are finished: whatever stopped one of them is over.
    clear(conn, lambda item: item.kind is Kind.NIGHT_REFUSED, f"night {business_date}", at=at)

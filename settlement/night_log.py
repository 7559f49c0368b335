"""What a night has done so far: its run, and each finished step with its counts, files and digest."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, bindparam, func, insert, select, update

from ledger.day import DayState
from ledger.ids import numbers_of
from ledger.tables import day as day_table
from ledger.tables import entry as entry_table
from settlement.tables import night_run, night_step

_READ_BYTES = 1 << 20
_OUTSIDE = "../"
# Asked twice a step and day: made once.
_UNFINISHED = (
    select(day_table.c.business_date)
    .where(day_table.c.state != DayState.CLOSED)
    .order_by(day_table.c.business_date)
)
_BETWEEN = (entry_table.c.id > bindparam("after"), entry_table.c.id < bindparam("end"))
_NEWEST = select(entry_table.c.id).where(*_BETWEEN).order_by(entry_table.c.id.desc()).limit(1)
_REFERENCES = select(entry_table.c.reference).where(*_BETWEEN).order_by(entry_table.c.id)


class RunState(StrEnum):
    """Where a night stands."""

    RUNNING = "running"
    REFUSED = "refused"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Run:
    """A night that was started; `started_at` is the booking instant of all its entries, resumed or not."""

    business_date: date
    started_at: datetime
    state: RunState
    refused_step: str | None
    refused_reason: str | None


@dataclass(frozen=True, slots=True)
class FileMark:
    """A file that a step left: its path below the night's folder, its SHA-256 in hex, its size."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step. `digest` covers counts, files' bytes and the references of the entries it booked.

    `duration_ms` is what it took, where somebody took the time; it is no part of what the step did.
    """

    step: str
    counts: Mapping[str, int]
    files: tuple[FileMark, ...]
    entries: int
    digest: bytes
    duration_ms: int | None = None


def run_of(conn: Connection, business_date: date) -> Run | None:
    """The night of that business date, if it was ever started."""
    row = conn.execute(select(night_run).where(night_run.c.business_date == business_date)).one_or_none()
    if row is None:
        return None
    state = RunState(row.state)
    return Run(row.business_date, row.started_at, state, row.refused_step, row.refused_reason)


def newest_night(conn: Connection) -> date | None:
    """The last business date whose night was started."""
    found: date | None = conn.execute(select(func.max(night_run.c.business_date))).scalar_one()
    return found


def unfinished_before(conn: Connection, business_date: date) -> date | None:
    """The oldest earlier night that was started and not finished."""
    table = night_run.c
    return conn.scalars(
        select(table.business_date)
        .where(table.business_date < business_date, table.state != RunState.FINISHED)
        .order_by(table.business_date)
        .limit(1)
    ).one_or_none()


def last_done(conn: Connection, step: str, *, before: date) -> date | None:
    """The newest earlier business date whose night has done that step."""
    table = night_step.c
    return conn.scalars(
        select(table.business_date)
        .where(table.step == step, table.business_date < before)
        .order_by(table.business_date.desc())
        .limit(1)
    ).one_or_none()


def start_run(conn: Connection, business_date: date, *, at: datetime) -> Run:
    """Start the night, or take it up again with the instant it was first started with, in UTC as it is kept."""
    known, at = run_of(conn, business_date), at.astimezone(UTC)
    if known is None:
        row = {"business_date": business_date, "started_at": at, "state": RunState.RUNNING}
        conn.execute(insert(night_run), row)
        return Run(business_date, at, RunState.RUNNING, None, None)
    if known.state is RunState.REFUSED:
        _set_state(conn, business_date, state=RunState.RUNNING, refused_step=None, refused_reason=None)
        return Run(business_date, known.started_at, RunState.RUNNING, None, None)
    return known


def refuse_run(conn: Connection, business_date: date, step: str, reason: str) -> None:
    """Record that the night stopped at `step`, and why."""
    _set_state(conn, business_date, state=RunState.REFUSED, refused_step=step, refused_reason=reason[:2000])


def finish_run(conn: Connection, business_date: date, *, at: datetime) -> None:
    """Record that every step is done."""
    _set_state(conn, business_date, state=RunState.FINISHED, finished_at=at)


def record_step(
    conn: Connection, business_date: date, position: int, record: StepRecord, *, at: datetime
) -> None:
    """Record a finished step; `at` is the instant of the run that finished it."""
    conn.execute(
        insert(night_step),
        {
            "business_date": business_date,
            "position": position,
            "step": record.step,
            "counts": dict(record.counts),
            "files": [[mark.path, mark.sha256, mark.size_bytes] for mark in record.files],
            "entries": record.entries,
            "digest": record.digest,
            "finished_at": at,
            "duration_ms": record.duration_ms,
        },
    )


def recorded_steps(conn: Connection, business_date: date) -> list[StepRecord]:
    """The finished steps of a night, in the order they were done."""
    query = select(night_step).where(night_step.c.business_date == business_date)
    return [
        StepRecord(
            row.step,
            row.counts,
            tuple(FileMark(*mark) for mark in row.files),
            row.entries,
            bytes(row.digest),
            row.duration_ms,
        )
        for row in conn.execute(query.order_by(night_step.c.position))
    ]


def last_entry_ids(conn: Connection) -> Mapping[date, int]:
    """The newest entry's number of each day that is not closed; in one transaction, later ones are ours."""
    newest: dict[date, int] = {}
    for business_date in conn.scalars(_UNFINISHED).all():
        first, end = numbers_of(business_date)
        newest[business_date] = conn.scalar(_NEWEST, {"after": first, "end": end}) or first
    return newest


def references_after(conn: Connection, newest: Mapping[date, int]) -> list[str]:
    """References of the entries booked after the `newest` of each day, in posting order a day."""
    found: list[str] = []
    for business_date, entry_id in newest.items():
        _, end = numbers_of(business_date)
        found += conn.scalars(_REFERENCES, {"after": entry_id, "end": end})
    return found


def mark_files(files: Iterable[Path], folder: Path, marked: Iterable[FileMark] = ()) -> tuple[FileMark, ...]:
    """Read what a step left; with what was `marked` before in the order of the names. Files outside go as `../NAME`."""
    marks = [*marked]
    for path in files:
        name = (
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else f"{_OUTSIDE}{path.name}"
        )
        marks.append(FileMark(name, _sha256(path), path.stat().st_size))
    return tuple(sorted(marks, key=lambda mark: mark.path))


def step_digest(counts: Mapping[str, int], files: Sequence[FileMark], references: Sequence[str]) -> bytes:
    """SHA-256 over everything that tells whether a step did the same again."""
    content = {
        "counts": dict(counts),
        "files": [[mark.path, mark.sha256] for mark in files],
        "entries": list(references),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).digest()


def changed_file(record: StepRecord, folder: Path) -> str | None:
    """The first of a step's files below `folder` that is gone or no longer what the step left."""
    for mark in record.files:
        path = folder / mark.path
        if mark.path.startswith(_OUTSIDE):
            continue  # an archive or an inbox, where others may move it
        if not path.is_file() or path.stat().st_size != mark.size_bytes or _sha256(path) != mark.sha256:
            return mark.path
    return None


def _set_state(conn: Connection, business_date: date, **values: object) -> None:
    conn.execute(update(night_run).where(night_run.c.business_date == business_date).values(**values))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()

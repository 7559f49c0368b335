"""What a night has before it, before it starts: files by their headers, taps, time, space, and what stops it.

Nothing is written, and of a file only its first and last bytes are read: its checksum and MAC are the night's to check.
"""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from clearing.intake import missing, pending_files, registered
from clearing.interop.files import Kind, digests_of
from clearing.interop.results import result_inbox
from clearing.interop.waiting import OpenFile, odd_lines, open_files
from clearing.qr_intake import held_batches, qr_inbox
from clearing.suspense import awaits_judgement
from clearing.tables import batch_file, tap
from clearing.wire.batch import FRAME, BatchError
from clearing.wire.frame import BatchFrame, BatchHeader
from clearing.wire.interop import RESULT
from clearing.wire.qr_batch import QR_FRAME
from ledger.day import DayState
from ledger.tables import day as day_table
from settlement.night import STEPS, refusal_to_start
from settlement.night_log import recorded_steps
from settlement.night_pace import PastNight, paces, past_nights

BYTES_PER_TAP: Final = 1_000
"""What a night leaves in files for each tap, where no past night tells."""
BOOK_BYTES_PER_TAP: Final = 1_500
"""What a tap takes in the books, with its lines and indexes."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of the inbox by its header; `standing` is new, repeated or number_taken."""

    name: str
    operator: str
    sequence: int
    business_date: date
    records: int
    amount_fen: int
    size_bytes: int
    standing: str


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file that the night will turn away, and why; `remedy` is its sender's."""

    name: str
    size_bytes: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class NightPlan:
    """A night before it starts, or before it is taken up again after `steps_done`.

    `result_files` are other cities' results; `open_files` wait for their centres, `odd_lines` for a tap that they fit.

    `refusal` is (reason, remedy) of what would stop it at once; `nights_before` have to be run first.
    `expected_ms` is by step, of those still to come, from `experience` past nights (0: defaults).
    """

    business_date: date
    refusal: tuple[str, str] | None
    nights_before: tuple[date, ...]
    steps_done: tuple[str, ...]
    files: tuple[PlannedFile, ...]
    code_files: tuple[PlannedFile, ...]
    result_files: tuple[PlannedFile, ...]
    bad: tuple[BadFile, ...]
    uncleared_taps: int  # collected by this night before it was interrupted, and not yet booked
    retried_taps: int
    missing: tuple[tuple[str, int], ...]
    open_files: tuple[OpenFile, ...]
    odd_lines: int
    expected_ms: Mapping[str, int]
    experience: int
    needed_bytes: int

    @property
    def taps(self) -> int:
        """Taps that will be judged, new and retried."""
        fresh = sum(one.records for one in self.files if one.standing == "new")
        return fresh + self.uncleared_taps + self.retried_taps

    @property
    def total_ms(self) -> int:
        """What the steps to come are expected to take."""
        return sum(self.expected_ms.values())


def plan_night(conn: Connection, business_date: date, inbox: Path) -> NightPlan:
    """Look at the inbox and the books; a plan is out of date as soon as another file comes."""
    known = registered(conn).digests
    files, bad = look_at(pending_files(inbox), FRAME, known)
    code_files, bad_codes = look_at(pending_files(qr_inbox(inbox)), QR_FRAME, held_batches(conn))
    result_files, bad_results = look_at(
        pending_files(result_inbox(inbox)), RESULT, digests_of(conn, Kind.RESULT)
    )
    done = tuple(one.step for one in recorded_steps(conn, business_date))
    past = past_nights(conn, before=business_date)
    uncleared = select(func.coalesce(func.sum(batch_file.c.record_count), 0)).where(
        batch_file.c.cleared_on.is_(None)
    )
    retried = select(func.count()).select_from(tap).where(awaits_judgement())
    uncleared_taps, retried_taps = (
        int(conn.execute(uncleared).scalar_one()),
        conn.execute(retried).scalar_one(),
    )
    taps = uncleared_taps + retried_taps + sum(one.records for one in files if one.standing == "new")
    ahead = [name for name, _ in STEPS if name not in done]
    return NightPlan(
        business_date=business_date,
        refusal=refusal_to_start(conn, business_date),
        nights_before=_nights_before(conn, business_date),
        steps_done=done,
        files=tuple(files),
        code_files=tuple(code_files),
        result_files=tuple(result_files),
        bad=(*bad, *bad_codes, *bad_results),
        uncleared_taps=uncleared_taps,
        retried_taps=retried_taps,
        missing=tuple(missing({*known, *((one.operator, one.sequence) for one in files)})),
        open_files=tuple(open_files(conn)),
        odd_lines=len(odd_lines(conn)),
        expected_ms={step: pace.expected_ms(taps) for step, pace in paces(past, ahead).items()},
        experience=len(past),
        needed_bytes=sum(one.size_bytes for one in (*files, *code_files, *result_files))
        + _needed(past, taps),
    )


def look_at(
    paths: Sequence[Path], frame: BatchFrame, known: Mapping[tuple[str, int], str]
) -> tuple[list[PlannedFile], list[BadFile]]:
    """Files of one kind by their headers, and those that show from outside that they are none.

    `known` are the digests of registered batches: only a file under a number that is taken is read whole.
    """
    good: list[PlannedFile] = []
    bad: list[BadFile] = []
    for path in paths:
        size = path.stat().st_size
        try:
            header = header_of(path, frame)
        except BatchError as error:
            bad.append(BadFile(path.name, size, str(error).removesuffix(f"; {error.remedy}"), error.remedy))
            continue
        expected = frame.name(header.operator, header.sequence)
        if path.name != expected:
            bad.append(BadFile(path.name, size, f"its header says {expected}", f"name it {expected}"))
            continue
        key = header.operator, header.sequence
        standing = "new"
        if key in known:
            same = sha256(path.read_bytes()).hexdigest() == known[key]
            standing = "repeated" if same else "number_taken"
        good.append(
            PlannedFile(
                path.name, *key, header.business_date, header.count, header.amount_fen, size, standing
            )
        )
    return good, bad


def header_of(path: Path, frame: BatchFrame) -> BatchHeader:
    """The header of a file whose length and ends are right. Raises BatchError with the first flaw that shows."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return frame.header(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return frame.header(data)


def _nights_before(conn: Connection, business_date: date) -> tuple[date, ...]:
    columns = day_table.c
    query = select(columns.business_date).where(
        columns.business_date < business_date, columns.state != DayState.CLOSED
    )
    return tuple(conn.scalars(query.order_by(columns.business_date)))


def _needed(past: Sequence[PastNight], taps: int) -> int:
    """Bytes that the night will leave in files and in the books."""
    seen, left = sum(night.taps for night in past), sum(night.left_bytes for night in past)
    return taps * ((left // seen if seen else BYTES_PER_TAP) + BOOK_BYTES_PER_TAP)

"""What is open between the bank and us: payments that did not arrive, lines that nothing of ours explains, files.

Nothing of it is kept on its own: a point is read from what the bank said and what became of it, and is gone when that
is in order. Each has an id that people name it by: an instruction's end-to-end id, `S3:5` a line, `S3` what is missing
before a statement, `F7` a file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from ledger.money import yuan
from settlement.bank.matching import Fate
from settlement.bank.statement_checks import gaps
from settlement.bank.store import files_where, lines_where, statements_where
from settlement.bank.tables import bank_file, bank_line, bank_proposal
from settlement.instructions import UNDECIDED, Instructed, State, instructions_where, not_done
from settlement.tables import instruction as instruction_table
from settlement.work_queue import DAYS, Found
from settlement.work_queue import Kind as Work

EXPECTED_WITHIN: Final = 3
"""Calendar days after its value date within which a payment stands on a statement, weekends and all."""


class PointKind(StrEnum):
    """What is open, the most urgent first."""

    REJECTED = "rejected"
    RETURNED = "returned"
    SHORT = "short"
    DIFFERS = "differs"
    TWICE = "twice"
    CONTRADICTS = "contradicts"
    THEIRS_ONLY = "theirs_only"
    OURS_ONLY = "ours_only"
    GAP = "gap"
    FILE = "file"


WORK: Final = {
    PointKind.REJECTED: Work.BANK_REJECTED,
    PointKind.RETURNED: Work.BANK_REJECTED,
    PointKind.SHORT: Work.BANK_REJECTED,
    PointKind.DIFFERS: Work.BANK_DIFFERS,
    PointKind.TWICE: Work.BANK_DIFFERS,
    PointKind.CONTRADICTS: Work.BANK_DIFFERS,
    PointKind.THEIRS_ONLY: Work.BANK_DIFFERS,
    PointKind.OURS_ONLY: Work.BANK_MISSING,
    PointKind.GAP: Work.BANK_FILE,
    PointKind.FILE: Work.BANK_FILE,
}
"""The kind of work in the queue that a point is."""

WORK_KINDS: Final = tuple(dict.fromkeys(WORK.values()))


@dataclass(frozen=True, slots=True)
class Point:
    """Something open since a day, and what it is about; `proposal` is the one that waits for a second person."""

    id: str
    kind: PointKind
    since: date
    amount_fen: int
    participant: str
    what: str
    remedy: str
    proposal: int | None = None

    def age_days(self, day: date) -> int:
        """How old it is on a day."""
        return max(0, (day - self.since).days)


def morning_after(business_date: date) -> date:
    """The calendar day on which a business date's night runs, by which its points are old."""
    return business_date + timedelta(days=1)


def points_of(conn: Connection, day: date) -> list[Point]:
    """Everything that is open on a day, the oldest first, among equals the most urgent kind."""
    waiting = _proposals(conn)
    found = [
        *_to_pay_again(conn, waiting),
        *_lines(conn, waiting),
        *_missing(conn, day, waiting),
        *_gaps(conn, waiting),
        *_files(conn, waiting),
    ]
    order = tuple(PointKind)
    return sorted(found, key=lambda one: (one.since, order.index(one.kind), one.id))


def point_of(conn: Connection, point_id: str, day: date) -> Point | None:
    """The open point of an id."""
    return next((one for one in points_of(conn, day) if one.id == point_id), None)


def work_of(points: Sequence[Point]) -> list[Found]:
    """Points as work in the queue."""
    return [
        Found(
            WORK[one.kind], one.id, one.since + timedelta(days=DAYS[WORK[one.kind]]), 1, one.amount_fen,
            f"{one.id}: {one.what}"[:2000], one.remedy,
        )
        for one in points
    ]  # fmt: skip


def _to_pay_again(conn: Connection, waiting: dict[str, int]) -> Iterator[Point]:
    for one in not_done(conn):
        if one.state in UNDECIDED:
            continue
        kind = {State.REJECTED: PointKind.REJECTED, State.RETURNED: PointKind.RETURNED}.get(
            State(one.state), PointKind.SHORT
        )
        again = f"`onecard bank pay-again {one.end_to_end_id}`"
        remedy = f"when the participant's particulars are right, {again}; another person approves it"
        yield _of_instruction(one, kind, one.state_on or one.value_date, _why(one, kind), remedy, waiting)


def _why(one: Instructed, kind: PointKind) -> str:
    said = f": {one.reason}" if one.reason else ""
    if kind is PointKind.SHORT:
        return f"{one.participant} was paid {yuan(one.paid_fen)} of {yuan(one.amount_fen)} yuan"
    done = "was rejected" if kind is PointKind.REJECTED else "came back"
    return f"the payment of {yuan(one.amount_fen)} yuan to {one.participant} {done}{said}"


def _missing(conn: Connection, day: date, waiting: dict[str, int]) -> Iterator[Point]:
    columns = instruction_table.c
    differing = select(bank_line.c.instruction).where(
        bank_line.c.open_fen > 0, bank_line.c.fate == Fate.DIFFERS
    )
    last = day - timedelta(days=EXPECTED_WITHIN)
    query = (
        columns.state.in_(UNDECIDED),
        columns.value_date <= last,
        columns.end_to_end_id.not_in(differing.where(bank_line.c.instruction.is_not(None))),
    )
    for one in instructions_where(conn, *query):
        what = f"{yuan(one.amount_fen)} yuan to {one.participant}, to be paid on {one.value_date}, are on no statement"
        denied = f"`onecard bank resolve {one.end_to_end_id} reject`"
        remedy = f"ask the bank; where it says in writing that it has not paid: {denied}"
        yield _of_instruction(one, PointKind.OURS_ONLY, one.value_date, what, remedy, waiting)


def _lines(conn: Connection, waiting: dict[str, int]) -> Iterator[Point]:
    named = {
        one.end_to_end_id: one.participant
        for one in instructions_where(
            conn,
            instruction_table.c.end_to_end_id.in_(
                select(bank_line.c.instruction).where(bank_line.c.open_fen > 0)
            ),
        )
    }
    for one in lines_where(conn, bank_line.c.open_fen > 0):
        remedy = (
            f"find out with the bank what it is, then `onecard bank resolve {one.id}`: settle, book or offset"
        )
        left = "" if one.open_fen == one.amount_fen else f"; {yuan(one.open_fen)} of it are still in suspense"
        what = f"{one.what} (statement {one.statement_id}){left}"
        yield Point(
            one.id, PointKind(one.fate.value), one.bank_day, one.open_fen, named.get(one.instruction or "", ""), what,
            remedy, waiting.get(one.id),
        )  # fmt: skip


def _gaps(conn: Connection, waiting: dict[str, int]) -> Iterator[Point]:
    for gap in gaps(statements_where(conn)):
        point_id = f"S{gap.after.number}"
        moved_fen = gap.after.opening_fen - gap.before.closing_fen
        what = (
            f"{gap} between {gap.before.statement_id} and {gap.after.statement_id} never came; "
            f"{yuan(moved_fen)} yuan moved meanwhile"
        )
        none = f"`onecard bank resolve {point_id} explain`"
        remedy = f"have the bank send it; where it says that there is none: {none}"
        yield Point(
            point_id, PointKind.GAP, gap.after.day, abs(moved_fen), "", what, remedy, waiting.get(point_id)
        )


def _files(conn: Connection, waiting: dict[str, int]) -> Iterator[Point]:
    for file in files_where(conn, bank_file.c.state == "refused"):
        point_id = f"F{file.number}"
        what = f"{file.name} was not taken: {file.message}"
        again, ended = f"`onecard bank retry {point_id}`", f"`onecard bank resolve {point_id} explain`"
        remedy = f"{file.remedy}; then {again}, or where it needs nothing more: {ended}"
        yield Point(point_id, PointKind.FILE, file.read_on, 0, "", what, remedy, waiting.get(point_id))


def _of_instruction(
    one: Instructed, kind: PointKind, since: date, what: str, remedy: str, waiting: dict[str, int]
) -> Point:
    proposal = waiting.get(one.end_to_end_id)
    return Point(one.end_to_end_id, kind, since, one.due_fen, one.participant, what, remedy, proposal)


def _proposals(conn: Connection) -> dict[str, int]:
    columns = bank_proposal.c
    query = select(columns.point, columns.other, columns.number).where(columns.state == "proposed")
    found: dict[str, int] = {}
    for point, other, number in conn.execute(query):
        found[point] = number
        if other:
            found[other] = number
    return found

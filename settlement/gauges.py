"""Figures of what waits for people, for whoever watches the city's programs: counted from the books when asked for.

Every label that there can be has a figure, so that an alert sees a 0 and not silence.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, func, select

from clearing.wire.bcd import CITY_ZONE
from settlement.bank.points import Point, PointKind, points_of
from settlement.bank.tables import bank_file, bank_statement
from settlement.instructions import UNDECIDED, Instructed, instructions_where
from settlement.tables import instruction
from settlement.waiting_proposals import Room, Waiting, waiting_proposals
from settlement.work_queue import Item, Kind, State, items_of

AGES: Final[Mapping[str, int]] = {"0": 0, "1-3": 3, "4-7": 7, "8+": 1 << 30}
"""Ages in calendar days by which points are counted, with the last day of each."""
FILE_STATES: Final = ("taken", "refused", "explained")

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure by name, what it says, and its values by labels; the unit is the end of the name, if it has one."""

    name: str
    what: str
    values: Sequence[tuple[Labels, int]]


def gauges_of(conn: Connection, at: datetime) -> list[Gauge]:
    """All figures as they stand at an instant; ages in days are by the city's calendar."""
    today = at.astimezone(CITY_ZONE).date()
    return [
        *_of_points(points_of(conn, today), today),
        *_of_payments(instructions_where(conn, instruction.c.state.in_(UNDECIDED)), today),
        *_of_files(conn, today),
        *_of_approvals(waiting_proposals(conn), at),
        *_of_work(items_of(conn), today),
    ]


def _of_points(points: Sequence[Point], today: date) -> Iterator[Gauge]:
    counts = Counter((one.kind, _age(one.age_days(today))) for one in points)
    by_kind = {kind: [one for one in points if one.kind is kind] for kind in PointKind}
    yield Gauge(
        "onecard_bank_points",
        "Points open with the bank, by kind and age in days.",
        [({"kind": kind, "age_days": age}, counts[kind, age]) for kind in PointKind for age in AGES],
    )
    yield Gauge(
        "onecard_bank_points_fen",
        "What points open with the bank amount to, by kind.",
        [({"kind": kind}, sum(one.amount_fen for one in found)) for kind, found in by_kind.items()],
    )
    yield Gauge(
        "onecard_bank_points_oldest_days",
        "Age of the oldest point open with the bank, by kind; 0 where none is.",
        [({"kind": kind}, _most(one.age_days(today) for one in found)) for kind, found in by_kind.items()],
    )


def _of_payments(payments: Sequence[Instructed], today: date) -> Iterator[Gauge]:
    by_state = {state: [one for one in payments if one.state == state] for state in UNDECIDED}
    yield Gauge(
        "onecard_payments_unanswered",
        "Payments that no statement has spoken of, by what the bank has said so far.",
        [({"state": state}, len(found)) for state, found in by_state.items()],
    )
    yield Gauge(
        "onecard_payments_unanswered_fen",
        "What they amount to.",
        [({"state": state}, sum(one.amount_fen for one in found)) for state, found in by_state.items()],
    )
    yield Gauge(
        "onecard_payments_unanswered_oldest_days",
        "Days since the earliest value date of any of them; 0 where none is due yet.",
        [({}, _most((today - one.value_date).days for one in payments))],
    )


def _of_files(conn: Connection, today: date) -> Iterator[Gauge]:
    query = select(bank_file.c.state, func.count().label("files")).group_by(bank_file.c.state)
    counts = Counter({row.state: row.files for row in conn.execute(query)})
    yield Gauge(
        "onecard_bank_files",
        "Files of the bank's, by what became of them.",
        [({"state": state}, counts[state]) for state in FILE_STATES],
    )
    newest: date | None = conn.scalar(select(func.max(bank_statement.c.day)))
    yield Gauge(
        "onecard_bank_statement_age_days",
        "Days since the day of the newest statement in the books; no value before the first.",
        [] if newest is None else [({}, max(0, (today - newest).days))],
    )


def _of_approvals(waiting: Sequence[Waiting], at: datetime) -> Iterator[Gauge]:
    by_room = {room: [one for one in waiting if one.room is room] for room in Room}
    yield Gauge(
        "onecard_approvals_waiting",
        "Proposals that wait for a second person: accounts (city), points (bank), taps (suspense).",
        [({"room": room}, len(found)) for room, found in by_room.items()],
    )
    yield Gauge(
        "onecard_approvals_waiting_oldest_seconds",
        "How long the oldest of them has waited; 0 where none waits.",
        [
            ({"room": room}, _most(int((at - one.proposed_at).total_seconds()) for one in found))
            for room, found in by_room.items()
        ],
    )


def _of_work(items: Sequence[Item], today: date) -> Iterator[Gauge]:
    counts = Counter((one.kind, one.state) for one in items)
    late = Counter(one.kind for one in items if one.late_on(today))
    yield Gauge(
        "onecard_work_items",
        "Items of the work queue that are not done, by kind and state.",
        [
            ({"kind": kind, "state": state}, counts[kind, state])
            for kind in Kind
            for state in (State.OPEN, State.TAKEN)
        ],
    )
    yield Gauge(
        "onecard_work_items_late",
        "Those of them whose deadline has passed.",
        [({"kind": kind}, late[kind]) for kind in Kind],
    )


def _age(days: int) -> str:
    return next(name for name, last in AGES.items() if days <= last)


def _most(values: Iterable[int]) -> int:
    return max(0, max(values, default=0))

"""What is open with centres: files that they do not have, taps that they have not answered, lines that fit no tap."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, and_, func, select, update

from clearing.interop.files import FRAMES, Kind
from clearing.interop.tables import SAME_TAP, centre_file, centre_odd_line, centre_tap
from clearing.tables import tap
from clearing.verdict import Verdict
from clearing.wire.interop import RESULT
from clearing.wire.result_code import ResultCode
from ledger.snapshots import total_fen

REASON_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file of ours that a centre has not said to have, or of whose taps some are not answered."""

    centre: str
    waits_for: str
    name: str
    since: date
    amount_fen: int
    state: str
    attempts: int
    last_word: str


@dataclass(frozen=True, slots=True)
class OddLine:
    """A line of a result file that fits no tap, and why."""

    centre: str
    result: int
    line: int
    number: int
    place: int
    amount_fen: int
    code: int
    why: str
    found_on: date

    @property
    def file(self) -> str:
        """The result file that it stands in."""
        return RESULT.name(self.centre, self.result)


def open_files(conn: Connection) -> list[OpenFile]:
    """Files that are not delivered, and those whose taps wait for an answer, by centre and number."""
    columns, told = centre_file.c, centre_tap.c
    waiting = (
        select(told.centre, told.number, func.count().label("taps"), total_fen(told.amount_fen).label("fen"))
        .where(told.code.is_(None))
        .group_by(told.centre, told.number)
        .subquery()
    )
    query = (
        select(centre_file, waiting.c.taps, waiting.c.fen)
        .outerjoin(
            waiting,
            and_(
                columns.kind == Kind.PRESENTED.value,
                waiting.c.centre == columns.centre,
                waiting.c.number == columns.number,
            ),
        )
        .where(
            columns.kind != Kind.RESULT.value,
            columns.delivered_at.is_(None) | waiting.c.taps.is_not(None),
        )
        .order_by(columns.centre, columns.kind, columns.number)
    )
    found = []
    for row in conn.execute(query):
        name = FRAMES[Kind(row.kind)].name(row.centre, row.number)
        taps = f"{row.taps} of {row.record_count} taps not answered" if row.taps else "not delivered"
        state = taps if row.delivered_at is not None else "not delivered"
        amount_fen = row.amount_fen if row.fen is None else int(row.fen)
        waits_for = "receipt" if row.delivered_at is None else "result"
        found.append(
            OpenFile(
                row.centre, waits_for, name, row.registered_on, amount_fen, state, row.attempts, row.last_word
            )
        )
    return found


def odd_lines(conn: Connection, centre: str | None = None) -> list[OddLine]:
    """Lines that are odd still, of one centre or of all, in order."""
    columns = centre_odd_line.c
    names = ("centre", "result", "line", "number", "place", "amount_fen", "code", "why", "found_on")
    query = select(*(columns[name] for name in names)).where(columns.settled_on.is_(None))
    if centre is not None:
        query = query.where(columns.centre == centre)
    return [
        OddLine(*row) for row in conn.execute(query.order_by(columns.centre, columns.result, columns.line))
    ]


def settle_line(
    conn: Connection, centre: str, result: int, line: int, *, by: str, why: str, on: date
) -> bool:
    """Call an odd line settled, as when the centre has said that it was its mistake; whether there was one."""
    columns = centre_odd_line.c
    settled = conn.execute(
        update(centre_odd_line)
        .where(
            columns.centre == centre,
            columns.result == result,
            columns.line == line,
            columns.settled_on.is_(None),
        )
        .values(settled_on=on, settled_by=by, settled_why=why)
    )
    return bool(settled.rowcount)


@dataclass(frozen=True, slots=True)
class RefusedTaps:
    """Taps of an operator that a centre refused on a date, for one reason."""

    operator: str
    centre: str
    reason: str
    taps: int
    amount_fen: int


def refused_taps(conn: Connection, business_date: date) -> Iterator[RefusedTaps]:
    """What centres refused on a date, by operator, centre and reason."""
    columns, told = tap.c, centre_tap.c
    keys = (columns.operator, told.centre, told.code)
    query = (
        select(*keys, func.count(), total_fen(columns.amount_fen))
        .join(centre_tap, SAME_TAP)
        .where(told.answered_on == business_date, columns.verdict == Verdict.ISSUER_REFUSED.value)
        .group_by(*keys)
        .order_by(*keys)
    )
    for operator, centre, code, taps, amount_fen in conn.execute(query):
        yield RefusedTaps(operator, centre, ResultCode(code).name.lower(), taps, amount_fen)


def accepted_fen(conn: Connection, centre: str, business_date: date) -> int:
    """What a centre accepted on a date of its cards' taps here."""
    told = centre_tap.c
    query = select(total_fen(told.amount_fen)).where(
        told.centre == centre,
        told.answered_on == business_date,
        told.code == int(ResultCode.ACCEPTED),
    )
    return int(conn.execute(query).scalar_one())

"""Centres' day files held against our books: totals first, then tap by tap, both ways; differences on both sides.

A day is that of the result files that accepted its taps. It is compared from the night after it on, as results of
a day come in the night after; a day that differs, or of which nothing was heard, is asked for again every night.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, and_, func, insert, or_, select, update

from clearing.context import Night
from clearing.interop.centres import centre_codes
from clearing.interop.files import Kind
from clearing.interop.peer import CentreClient, CentreDay, NoAnswer, Place, shortened
from clearing.interop.tables import centre_day, centre_file, centre_tap
from clearing.peers import SILENT_IN_A_ROW
from clearing.sectors.peer_day import Compared, LineDifference, Outcome, PeerDay, PeerDays, Totals
from clearing.tables import batch_file, tap
from clearing.verdict import Money
from clearing.wire.result_code import ResultCode
from ledger.db import reading
from ledger.tables import day as day_table


class Way(StrEnum):
    """Whose cards' taps a line is about; its reference begins so."""

    HERE = "here"  # the centre's cards here, which it owes us
    THERE = "there"  # our cards there, which we owe it


class DifferenceKind(StrEnum):
    """How a tap differs."""

    OURS_ONLY = "ours_only"
    THEIRS_ONLY = "theirs_only"
    OTHER_AMOUNT = "other_amount"


MESSAGES: Final[Mapping[DifferenceKind, str]] = {
    DifferenceKind.OURS_ONLY: "accepted in our books and not in the centre's; compare the result file",
    DifferenceKind.THEIRS_ONLY: "accepted in the centre's books and not in ours; see whether its result file came",
    DifferenceKind.OTHER_AMOUNT: "the amounts differ; one side has to correct",
}


def compare(ours: CentreDay, theirs: CentreDay) -> Compared:
    """Hold a day in our books against the centre's account of it."""
    ways = ((Way.HERE, ours.theirs, theirs.theirs), (Way.THERE, ours.ours, theirs.ours))
    found = [one for way, held, told in ways for one in _differing(way, held, told)]
    totals = [
        Totals(len(side.ours) + len(side.theirs), sum(side.ours.values()) + sum(side.theirs.values()))
        for side in (ours, theirs)
    ]
    return Compared(theirs.business_date, totals[0], totals[1], tuple(found))


def _differing(way: Way, ours: Mapping[Place, int], theirs: Mapping[Place, int]) -> Iterator[LineDifference]:
    for place in sorted(ours.keys() | theirs.keys()):
        held, told = ours.get(place), theirs.get(place)
        if held == told:
            continue
        kind = DifferenceKind.OTHER_AMOUNT
        if held is None:
            kind = DifferenceKind.THEIRS_ONLY
        elif told is None:
            kind = DifferenceKind.OURS_ONLY
        reference = f"{way.value}:{place[0]}:{place[1]}"
        yield LineDifference(reference, kind.value, held, told, MESSAGES[kind])


def our_day(conn: Connection, centre: str, business_date: date) -> CentreDay:
    """What our books say that result files of a date have accepted, of either side's taps."""
    told, files, columns = centre_tap.c, centre_file.c, tap.c
    here = (
        select(told.number, told.place, told.amount_fen)
        .join(
            centre_file,
            and_(
                files.centre == told.centre,
                files.kind == Kind.RESULT.value,
                files.number == told.result,
            ),
        )
        .where(
            told.centre == centre,
            told.code == int(ResultCode.ACCEPTED),
            files.business_date == business_date,
        )
    )
    there = select(columns.sequence, columns.position, columns.paid_fen).where(
        columns.operator == centre, columns.decided_on == business_date, columns.money == Money.PAID.value
    )
    return CentreDay(business_date, _places(conn, here), _places(conn, there))


def reconcile_centres(engine: Engine, night: Night) -> PeerDays:
    """Ask every centre for the days before the night's own that do not agree yet; `write` keeps how they stand."""
    with reading(engine) as conn:
        wanted = {centre: days_to_compare(conn, centre, night.business_date) for centre in centre_codes(conn)}
    told = {
        centre: _ask_each(night.peers.centres.get(centre), centre, days)
        for centre, days in wanted.items()
        if days
    }
    days: list[PeerDay] = []
    compared: list[tuple[str, Compared]] = []
    with reading(engine) as conn:
        for centre, answers in told.items():
            for answer in answers:
                if isinstance(answer, PeerDay):
                    days.append(answer)
                    continue
                found = compare(our_day(conn, centre, answer.business_date), answer)
                compared.append((centre, found))
                days.append(_day_of(centre, found))

    def write(conn: Connection) -> None:
        for centre, found in compared:
            keep_day(conn, centre, found, night.business_date)

    return PeerDays(tuple(days), write)


def days_to_compare(conn: Connection, centre: str, before: date) -> list[date]:
    """Business days since anything was exchanged with a centre, that were not compared yet or do not agree."""
    firsts = conn.scalars(
        select(func.min(batch_file.c.collected_on))
        .where(batch_file.c.operator == centre)
        .union_all(select(func.min(centre_file.c.registered_on)).where(centre_file.c.centre == centre))
    )
    known = [first for first in firsts if first is not None]
    if not known:
        return []
    columns = day_table.c
    query = (
        select(columns.business_date)
        .outerjoin(
            centre_day,
            and_(centre_day.c.business_date == columns.business_date, centre_day.c.centre == centre),
        )
        .where(
            columns.business_date >= min(known),
            columns.business_date < before,
            or_(centre_day.c.agreed.is_(None), ~centre_day.c.agreed),
        )
        .order_by(columns.business_date)
    )
    return list(conn.scalars(query))


def keep_day(conn: Connection, centre: str, found: Compared, business_date: date) -> None:
    """Keep how a day stands, in place of how it stood."""
    columns = centre_day.c
    values: dict[str, Any] = {
        "ours_count": found.ours.count,
        "ours_fen": found.ours.amount_fen,
        "theirs_count": found.theirs.count,
        "theirs_fen": found.theirs.amount_fen,
        "differing": len(found.differences),
        "agreed": found.agrees,
        "compared_on": business_date,
    }
    key = {"centre": centre, "business_date": found.business_date}
    here = [columns[name] == value for name, value in key.items()]
    if not conn.execute(update(centre_day).where(*here).values(values)).rowcount:
        conn.execute(insert(centre_day).values(**key, **values))


def compared_on(conn: Connection, business_date: date) -> list[tuple[str, Totals, Totals, int]]:
    """The days that this night compared with centres, summed by centre: ours, theirs, lines differing."""
    columns = centre_day.c
    sums = [
        func.sum(columns[name])
        for name in ("ours_count", "ours_fen", "theirs_count", "theirs_fen", "differing")
    ]
    query = select(columns.centre, *sums).where(columns.compared_on == business_date)
    return [
        (centre, Totals(int(row[0]), int(row[1])), Totals(int(row[2]), int(row[3])), int(row[4]))
        for centre, *row in conn.execute(query.group_by(columns.centre).order_by(columns.centre))
    ]


def _ask_each(
    client: CentreClient | None, centre: str, days: Sequence[date]
) -> Iterator[CentreDay | PeerDay]:
    if client is None:
        why = f"no address of {centre} is set; set it in ONECARD_CENTRES"
        yield from (PeerDay(centre, day, Outcome.NOT_CONNECTED, why) for day in days)
        return
    silent = 0
    for day in days:
        if silent == SILENT_IN_A_ROW:
            why = "the centre is silent tonight; it is asked again the next night"
            yield PeerDay(centre, day, Outcome.NOT_TRIED, why)
            continue
        try:
            yield client.day(day)
            silent = 0
        except NoAnswer as error:
            silent += 1
            yield PeerDay(centre, day, Outcome.NO_ANSWER, shortened(str(error)))


def _places(conn: Connection, query: Select[Any]) -> dict[Place, int]:
    return {(number, place): fen for number, place, fen in conn.execute(query)}


def _day_of(centre: str, found: Compared) -> PeerDay:
    outcome = Outcome.AGREES if found.agrees else Outcome.DIFFERS
    return PeerDay(centre, found.business_date, outcome, "", found.ours, found.theirs, found.differences)

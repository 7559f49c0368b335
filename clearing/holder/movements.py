"""What moved a holder's pockets and stands in no table of its own: it is read from the ledger, and from its archive."""

import heapq
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, not_, or_, select

from card.holders import POCKETS
from clearing.holder.happening import Happening, Place, Sort, Standing
from clearing.holder.sources import newest, place_of
from ledger import tables as ledger
from ledger.archive import Archive, lines_begin
from ledger.bulk import one_of, one_of_numbers
from ledger.history import Movement, beyond_the_books, happened_by, walks

_TOLD_ELSEWHERE: Final = ("clearing", "qr_clearing", "load", "load_confirmed", "load_returned")
_TOLD_BY_REFERENCE: Final = ("pay:", "topup:")
"""Kinds and beginnings of references of entries whose happenings come from a table of their own."""


def movements(
    conn: Connection, holder: str, limit: int, before: Place | None, archive: Archive | None = None
) -> list[Happening]:
    """Whatever else moved a pocket: benefits, shares of contributions, refunds and reversals, rides taken back.

    Raises LinesArchived where the page goes into archived months and no archive is named.
    """
    own = one_of(conn, ledger.account.c.code, [f"{pocket}:{holder}" for pocket in POCKETS])
    found = _in_books(conn, own, limit, before)
    begin = lines_begin(conn)
    # Most pages end long before the archive begins, and do not ask it.
    if begin is None or (len(found) == limit and found[-1].place.at >= happened_by(begin)):
        return found
    return _newest([*found, *_archived(conn, own, limit, before, archive)], limit)


def _in_books(
    conn: Connection, own: ColumnElement[bool], limit: int, before: Place | None
) -> list[Happening]:
    line, entry, account = ledger.line.c, ledger.entry.c, ledger.account.c
    codes = dict(conn.execute(select(account.id, account.code).where(own)).all())
    told = or_(
        entry.kind.in_(_TOLD_ELSEWHERE),
        *(entry.reference.startswith(start, autoescape=True) for start in _TOLD_BY_REFERENCE),
    )
    walk = walks(own)
    came_in = line.credit_id == walk.c.account_id
    moved = (
        select(
            line.id.label("line_id"),
            line.entry_id,
            walk.c.account_id.label("own"),
            case((came_in, line.amount_fen), else_=-line.amount_fen).label("amount_fen"),
        )
        .join(walk, walk.c.line_id == line.id)
        .subquery()
    )
    query: Select[Any] = (
        select(moved, entry.event_at, entry.kind, entry.narrative)
        .join(ledger.entry, entry.id == moved.c.entry_id)
        .where(not_(told))
    )
    rows = newest(conn, query, Sort.MOVEMENT, entry.event_at, (moved.c.line_id,), limit, before)
    return [
        Happening(
            place_of(Sort.MOVEMENT, row.event_at, row.line_id),
            kind=row.kind,
            amount_fen=row.amount_fen,
            standing=Standing.CLEARED,
            note=row.narrative,
            pockets=((codes[row.own].partition(":")[0], row.amount_fen),),
        )
        for row in rows
    ]


def _archived(
    conn: Connection, own: ColumnElement[bool], limit: int, before: Place | None, archive: Archive | None
) -> list[Happening]:
    """The newest of each pocket after a place that are beyond the books, and a few more."""
    found: list[tuple[str, Movement]] = []
    for code, walk in beyond_the_books(conn, archive, own):
        of_pocket: list[Movement] = []
        for one in walk:
            enough = heapq.nlargest(limit, (each.event_at for each in of_pocket))
            if len(enough) == limit and happened_by(one.business_date) <= enough[-1]:
                break  # and so has all that was booked before
            place = place_of(Sort.MOVEMENT, one.event_at, one.line_id)
            told = one.kind in _TOLD_ELSEWHERE or one.reference.startswith(_TOLD_BY_REFERENCE)
            if not told and (before is None or _rank(place) < _rank(before)):
                of_pocket.append(one)
        found += [(code, one) for one in of_pocket]
    notes = _narratives(conn, [one.entry_id for _, one in found])
    return [
        Happening(
            place_of(Sort.MOVEMENT, one.event_at, one.line_id),
            kind=one.kind,
            amount_fen=one.amount_fen,
            standing=Standing.CLEARED,
            note=notes[one.entry_id],
            pockets=((code.partition(":")[0], one.amount_fen),),
        )
        for code, one in found
    ]


def _newest(found: Sequence[Happening], limit: int) -> list[Happening]:
    return heapq.nlargest(limit, found, key=lambda one: _rank(one.place))


def _rank(place: Place) -> tuple[Any, ...]:
    """Sorts descending as the list does, and within this source as well."""
    return *place.order, *place.key


def _narratives(conn: Connection, entry_ids: Sequence[int]) -> dict[int, str]:
    """What entries say, by number; they stay in the books when their lines are archived."""
    entry = ledger.entry.c
    query = select(entry.id, entry.narrative).where(one_of_numbers(conn, entry.id, entry_ids))
    return dict(conn.execute(query).all())

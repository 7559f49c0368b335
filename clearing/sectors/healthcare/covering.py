"""The list of who is insured how, entered for the holders that are enrolled here; the rest waits for the next list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, bindparam, update

from clearing.sectors.healthcare.cover_file import CoverLine
from clearing.sectors.healthcare.registers import Cover, covers_of, register_covers
from clearing.sectors.healthcare.tables import medical_cover


class Directory(Protocol):
    """Who an identity number belongs to here."""

    def holders(self, conn: Connection, identity_nos: Sequence[str]) -> Mapping[str, str]:
        """The holder of each identity number that is enrolled."""


@dataclass(frozen=True, slots=True)
class Covered:
    """What came of a list: how many periods began, how many ended, who is not enrolled, what clashes with what."""

    new: int
    ended: int
    strangers: tuple[CoverLine, ...]
    clashing: tuple[tuple[CoverLine, Cover], ...]


def enter_covers(
    conn: Connection, directory: Directory, lines: Sequence[CoverLine], *, at: datetime
) -> Covered:
    """Enter a list. A period that begins ends the open one before it with the day before, and an open one gets the end
    that its line has now. The same list again changes nothing.

    What clashes with a period that has an end, or begins later, is left out and told.
    """
    holders = directory.holders(conn, [one.identity_no for one in lines])
    held = covers_of(conn, sorted(set(holders.values())))
    new: list[Cover] = []
    ended: list[Cover] = []
    clashing: list[tuple[CoverLine, Cover]] = []
    for one in lines:
        holder = holders.get(one.identity_no)
        if holder is None:
            continue
        given = Cover(holder, one.category, one.valid_from, one.valid_to)
        ours = held.get(holder, [])
        if replace(given, valid_to=None) in ours and given.valid_to is not None:
            ended.append(given)
            continue
        before = next((other for other in ours if _succeeds(given, other)), None)
        rest = [other for other in ours if other is not before]
        rival = next((other for other in rest if other.overlaps(given) and other != given), None)
        if rival is not None:
            clashing.append((one, rival))
        elif given not in ours:
            new.append(given)
            if before is not None:
                ended.append(replace(before, valid_to=given.valid_from - timedelta(days=1)))
    _end(conn, ended)
    return Covered(
        register_covers(conn, new, at=at),
        len(ended),
        tuple(one for one in lines if one.identity_no not in holders),
        tuple(clashing),
    )


def _succeeds(given: Cover, other: Cover) -> bool:
    """Whether `other` is open and began before, so that `given` ends it."""
    return other.valid_to is None and other.valid_from < given.valid_from


def _end(conn: Connection, covers: Sequence[Cover]) -> None:
    columns = medical_cover.c
    mine = (columns.holder == bindparam("whose")) & (columns.valid_from == bindparam("begin"))
    rows = [{"whose": one.holder, "begin": one.valid_from, "last": one.valid_to} for one in covers]
    if rows:
        conn.execute(update(medical_cover).where(mine).values(valid_to=bindparam("last")), rows)

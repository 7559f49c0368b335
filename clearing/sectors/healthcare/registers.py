"""Who takes part in healthcare: hospitals with their level, and holders with how they are insured."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, insert, or_, select

from clearing.sectors.healthcare.policy import LEVELS, Category, Policy
from clearing.sectors.healthcare.tables import hospital, medical_cover
from ledger.accounts import Conflict, open_accounts
from ledger.bulk import one_of
from ledger.chart import account


@dataclass(frozen=True, slots=True)
class Hospital:
    """A participant that presents hospital bills; `level` 1 to 3."""

    participant: str
    level: int


@dataclass(frozen=True, slots=True)
class Cover:
    """How a holder is insured, from `valid_from` through `valid_to` (None: no end yet)."""

    holder: str
    category: Category
    valid_from: date
    valid_to: date | None = None

    def overlaps(self, other: "Cover") -> bool:
        """Whether the two hold on one day."""
        return (self.valid_to is None or other.valid_from <= self.valid_to) and (
            other.valid_to is None or self.valid_from <= other.valid_to
        )


def register_hospitals(conn: Connection, hospitals: Sequence[Hospital], *, at: datetime) -> int:
    """Register hospitals and open their clearing accounts; how many were new.

    The same again changes nothing. Raises Conflict where one has another level, ValueError where the level
    is not 1, 2 or 3.
    """
    held = {one.participant: one for one in hospitals_of(conn)}
    new: list[Hospital] = []
    for given in hospitals:
        if given.level not in LEVELS:
            raise ValueError(f"level {given.level} of {given.participant} is not 1, 2 or 3; give its grade")
        ours = held.setdefault(given.participant, given)
        if ours != given:
            raise Conflict(f"hospital {given.participant}", ours, given)
        if ours is given:
            new.append(given)
    if new:
        open_accounts(conn, [account(f"clearing:{one.participant}") for one in new], at=at)
        rows = [{"participant": one.participant, "level": one.level, "registered_at": at} for one in new]
        conn.execute(insert(hospital), rows)
    return len(new)


def hospitals_of(conn: Connection) -> list[Hospital]:
    """All hospitals, by participant."""
    query = select(hospital.c.participant, hospital.c.level).order_by(hospital.c.participant)
    return [Hospital(*row) for row in conn.execute(query)]


def level_of(conn: Connection, participant: str) -> int | None:
    """A hospital's level, or None where the participant is not a hospital."""
    found: int | None = conn.scalar(select(hospital.c.level).where(hospital.c.participant == participant))
    return found


def register_covers(conn: Connection, covers: Sequence[Cover], *, at: datetime) -> int:
    """Record how holders are insured; how many records were new.

    The same again changes nothing. Raises Conflict where a record overlaps another of the same holder.
    """
    held = covers_of(conn, [given.holder for given in covers])
    new: list[Cover] = []
    for given in covers:
        ours = held.setdefault(given.holder, [])
        if given in ours:
            continue
        for other in ours:
            if other.overlaps(given):
                raise Conflict(f"cover of {given.holder}", other, given)
        ours.append(given)
        new.append(given)
    if new:
        conn.execute(
            insert(medical_cover),
            [
                {
                    "holder": one.holder,
                    "valid_from": one.valid_from,
                    "valid_to": one.valid_to,
                    "category": one.category.value,
                    "registered_at": at,
                }
                for one in new
            ],
        )
    return len(new)


def covers_of(conn: Connection, holders: Sequence[str]) -> dict[str, list[Cover]]:
    """How holders are or were insured, each one's in order; who never was is left out."""
    columns = medical_cover.c
    query = select(columns.holder, columns.category, columns.valid_from, columns.valid_to).where(
        one_of(conn, columns.holder, holders)
    )
    held: dict[str, list[Cover]] = {}
    for holder, category, valid_from, valid_to in conn.execute(query.order_by(columns.valid_from)):
        held.setdefault(holder, []).append(Cover(holder, Category(category), valid_from, valid_to))
    return held


def category_on(conn: Connection, holder: str, day: date) -> Category | None:
    """How a holder was insured on a day, or None."""
    columns = medical_cover.c
    query = select(columns.category).where(
        columns.holder == holder,
        columns.valid_from <= day,
        or_(columns.valid_to.is_(None), columns.valid_to >= day),
    )
    found = conn.scalar(query)
    return None if found is None else Category(found)


def open_pools(conn: Connection, policies: Sequence[Policy], *, at: datetime) -> int:
    """Open the accounts of what the pools owe the city; how many were new."""
    return open_accounts(conn, {account(f"fund:{policy.pool}") for policy in policies}, at=at)

"""A month that is over: its days sealed, its lines in the archive and, where they can be, out of the books."""

from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select

from ledger import tables
from ledger.archive import Archive
from ledger.archiving import archive_month
from ledger.db import reading
from ledger.ids import next_month
from tests.ledger.sealed_books import at, seal_day, sign


def over(engine: Engine, first: date) -> date:
    """Close and seal every day of the month from `first` on; the first day of the next, which is open."""
    following = next_month(first)
    for number in range((following - first).days):
        seal_day(engine, first + timedelta(days=number))
    return following


def archived(engine: Engine, month: date, folder: Path) -> Archive:
    """Archive a month that is over, and be sure that its lines are gone where the database can drop them."""
    archive_month(engine, month, folder, sign, at=at(next_month(month)))
    start, end = (tables.line.c.id >= int(f"{day:%Y%m%d}") * 10**10 for day in (month, next_month(month)))
    with reading(engine) as conn:
        left = conn.execute(select(func.count()).select_from(tables.line).where(start, ~end)).scalar_one()
    assert (left == 0) == (engine.dialect.name == "postgresql")
    return Archive(folder)

"""Books over two months that can be archived, and what is asked of them."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from ledger.archive import Archive
from ledger.archiving import archive_month
from ledger.balances import balances
from ledger.day import begin_close
from ledger.db import reading, writing
from ledger.entry import Entry, mirrored
from ledger.history import Movement, history
from ledger.verify import verify_books
from tests.ledger.sealed_books import PUBLIC_KEY, at, book, load, open_books, ride, seal_day, seal_until, sign
from tests.ledger.some_books import unguard

AUGUST, SEPTEMBER, OCTOBER = date(2018, 8, 1), date(2018, 9, 1), date(2018, 10, 1)
FIRST, LAST, NOW = date(2018, 8, 30), date(2018, 9, 30), date(2018, 10, 2)
CARDS = ("1", "2", "3", "4")


@dataclass(frozen=True)
class Shelf:
    """Books whose September crosses into October by a late booking, and the folder of their archive."""

    engine: Engine
    folder: Path

    def archive(self, month: date) -> bool:
        return archive_month(self.engine, month, self.folder, sign, at=at(NOW))[1]

    @property
    def archived(self) -> Archive:
        return Archive(self.folder)

    def findings(self, archive: Archive | None = None) -> list[str]:
        with reading(self.engine) as conn:
            keys = {3: PUBLIC_KEY}
            return [
                f"{one.check}: {one.message}"
                for one in verify_books(conn, keys.__getitem__, archive or self.archived)
            ]

    def walks(self, limit: int = 50) -> dict[str, list[Movement]]:
        with reading(self.engine) as conn:
            return {
                one.code: history(conn, one.code, limit=limit, archive=self.archived)
                for one in balances(conn)
            }


def shelved(engine: Engine) -> None:
    """Two months and a bit, with a night that books into the last of September when October is open."""
    open_books(engine, FIRST)
    book(engine, *(load(FIRST, card, 10_000) for card in CARDS))
    seal_until(engine, FIRST, FIRST)
    august = FIRST + timedelta(days=1)
    book(engine, ride(august, "batch:1", ("1", 200), ("2", 300), ("1", 150)))
    seal_until(engine, date(2018, 9, 2), august)
    middle = date(2018, 9, 3)
    book(engine, load(middle, "2", 700, "load:2b"), ride(middle, "batch:2", ("2", 250), ("3", 90)))
    book(
        engine,
        Entry(
            "back", "reversal", middle, at(middle, 6), mirrored(load(middle, "2", 700).lines), "", "load:2b"
        ),
    )
    seal_until(engine, date(2018, 9, 29), middle)
    with writing(engine) as conn:
        begin_close(conn, LAST, at=at(LAST, 15))
    book(engine, ride(OCTOBER, "batch:4", ("1", 111), ("4", 44)))
    book(engine, ride(LAST, "batch:3", ("1", 333), ("2", 33)), closing=True)
    book(engine, ride(OCTOBER, "batch:5", ("1", 55)))
    seal_day(engine, LAST)
    seal_day(engine, OCTOBER)
    book(engine, ride(NOW, "batch:6", ("1", 66), ("3", 6)))


def drops_lines(engine: Engine) -> bool:
    return engine.dialect.name == "postgresql"


def line_count(engine: Engine) -> int:
    with reading(engine) as conn:
        return int(conn.execute(text("SELECT count(*) FROM ledger_line")).scalar_one())


def tamper(engine: Engine, *statements: str) -> None:
    with writing(engine) as conn:
        unguard(conn)
        if drops_lines(engine):
            conn.execute(text("ALTER TABLE ledger_archive DISABLE TRIGGER USER"))
        for statement in statements:
            conn.execute(text(statement))

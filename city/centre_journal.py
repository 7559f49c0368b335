"""The simulated centre's own books: files that came and went, its cards' taps and what it said of them."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists received (
    name text primary key,
    sha256 text not null
);
create table if not exists offered (
    kind text not null check (kind in ('presentments', 'results')),
    number integer not null,
    content blob not null,
    primary key (kind, number)
);
create table if not exists line (
    side text not null check (side in ('your_presentments', 'our_presentments')),
    number integer not null,       -- the file that presented the tap, and its place there
    place integer not null,
    amount_fen integer not null,
    code integer not null,
    business_date text not null,   -- of the result file that answered it
    primary key (side, number, place)
);
create table if not exists ride (
    number integer primary key,
    record blob not null
);
create table if not exists blunder (
    side text not null,
    number integer not null,
    place integer not null,
    amount_fen integer,            -- null: left out of the day file
    business_date text not null,
    primary key (side, number, place)
);
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A tap that was answered: where it stands, what it cost, the code."""

    side: str
    number: int
    place: int
    amount_fen: int
    code: int
    business_date: date

    def row(self) -> tuple[object, ...]:
        """As the journal keeps it."""
        day = self.business_date.isoformat()
        return (self.side, self.number, self.place, self.amount_fen, self.code, day)


class CentreJournal:
    """A SQLite file; every call is one transaction of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as db:
            db.executescript(_SCHEMA)

    def received(self, name: str) -> str | None:
        """The SHA-256 of a file that came before under a name; None where none did."""
        with closing(self._open()) as db:
            row = db.execute("select sha256 from received where name = ?", [name]).fetchone()
            return None if row is None else str(row[0])

    def take(self, name: str, sha256: str, lines: Iterable[Line], results: tuple[int, bytes] | None) -> None:
        """Take a file with its lines, and offer the results on it where there are any; all of it or nothing."""
        with closing(self._open()) as db, db:
            db.execute("begin immediate")
            db.execute("insert into received values (?, ?)", [name, sha256])
            self._keep_lines(db, lines)
            if results is not None:
                db.execute("insert into offered values ('results', ?, ?)", results)

    def answer(self, lines: Iterable[Line], number: int, content: bytes) -> None:
        """Offer a result file of lines that are already known, or are said now."""
        with closing(self._open()) as db, db:
            db.execute("begin immediate")
            self._keep_lines(db, lines)
            db.execute("insert into offered values ('results', ?, ?)", [number, content])

    def offer(self, kind: str, number: int, content: bytes) -> None:
        """Have a file for the city; another one under a number takes the place of the first."""
        with closing(self._open()) as db, db:
            db.execute("insert or replace into offered values (?, ?, ?)", [kind, number, content])

    def offered(self, kind: str, number: int) -> bytes | None:
        """A file for the city; None where there is none of that number."""
        with closing(self._open()) as db:
            query = "select content from offered where kind = ? and number = ?"
            row = db.execute(query, [kind, number]).fetchone()
            return None if row is None else bytes(row[0])

    def next_number(self, kind: str) -> int:
        """The number of the next file for the city."""
        with closing(self._open()) as db:
            query = "select coalesce(max(number), 0) from offered where kind = ?"
            return int(db.execute(query, [kind]).fetchone()[0]) + 1

    def ride(self, records: Sequence[bytes]) -> None:
        """Note taps of the city's cards here, to be presented."""
        with closing(self._open()) as db, db:
            db.executemany("insert into ride (record) values (?)", [[record] for record in records])

    def rides(self) -> list[bytes]:
        """Taps that are to be presented."""
        with closing(self._open()) as db:
            return [bytes(row[0]) for row in db.execute("select record from ride order by number")]

    def presented(self, number: int, content: bytes) -> None:
        """All taps that were to be presented are in this file."""
        with closing(self._open()) as db, db:
            db.execute("begin immediate")
            db.execute("insert into offered values ('presentments', ?, ?)", [number, content])
            db.execute("delete from ride")

    def blunder(self, line: Line, amount_fen: int | None) -> None:
        """Say in the day file that a tap cost this, or leave it out."""
        with closing(self._open()) as db, db:
            row = [line.side, line.number, line.place, amount_fen, line.business_date.isoformat()]
            db.execute("insert or replace into blunder values (?, ?, ?, ?, ?)", row)

    def repair(self) -> None:
        """Take all blunders back."""
        with closing(self._open()) as db, db:
            db.execute("delete from blunder")

    def day(self, business_date: date) -> dict[str, Any]:
        """The day file: what was accepted by results of a date, each way, with totals."""
        told: dict[str, Any] = {"business_date": business_date.isoformat()}
        query = (
            "select number, place, amount_fen from line"
            " where side = ? and business_date = ? and code = 0 order by number, place"
        )
        wrong = "select number, place, amount_fen from blunder where side = ? and business_date = ?"
        with closing(self._open()) as db:
            for side in ("your_presentments", "our_presentments"):
                asked = [side, business_date.isoformat()]
                found = {(row[0], row[1]): row[2] for row in db.execute(query, asked)}
                found |= {(row[0], row[1]): row[2] for row in db.execute(wrong, asked)}
                lines = [[*place, fen] for place, fen in sorted(found.items()) if fen is not None]
                told[side] = {
                    "count": len(lines),
                    "amount_fen": sum(line[2] for line in lines),
                    "lines": lines,
                }
        return told

    def codes(self) -> dict[str, list[list[int]]]:
        """Every tap that was answered, by side: number, place and code."""
        query = "select number, place, code from line where side = ? order by number, place"
        with closing(self._open()) as db:
            return {
                side: [list(row) for row in db.execute(query, [side])]
                for side in ("your_presentments", "our_presentments")
            }

    def _keep_lines(self, db: sqlite3.Connection, lines: Iterable[Line]) -> None:
        db.executemany("insert or replace into line values (?, ?, ?, ?, ?, ?)", [one.row() for one in lines])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, timeout=10)

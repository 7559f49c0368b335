"""Books to try things on: short ways to post, to look, and to tamper."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Engine, text

from ledger.balances import balances, free
from ledger.columns import post_pieces
from ledger.db import reading, writing
from ledger.directory import Directory
from ledger.entry import Entry, Line, Posted, Refused
from ledger.ids import before_first
from ledger.orders import Answer, Order
from ledger.post import post
from ledger.prepared import Heading, Lines, prepare_columns

DAY = date(2018, 9, 1)
AT = datetime(2018, 9, 1, 3, 4, 5, 678901, tzinfo=UTC)
GUARDED = (
    "account", "total", "control", "day", "entry", "line", "hold", "hold_line", "open_hold", "event", "forestalled",
    "overtaken", "snapshot", "seal",
)  # fmt: skip


@dataclass(frozen=True)
class Books:
    """An engine on books of which one day is open, and the accounts that tests speak of."""

    engine: Engine
    day: date = DAY
    at: datetime = AT

    def entry(self, reference: str, *lines: Line, kind: str = "test", reverses: str | None = None) -> Entry:
        return Entry(reference, kind, self.day, self.at, lines, reverses=reverses)

    def load(self, card: str, amount_fen: int, reference: str = "") -> Entry:
        line = Line("agent:A", f"purse:{card}", amount_fen, card)
        return self.entry(reference or f"load:{card}", line, kind="load")

    def tap(self, card: str, amount_fen: int, reference: str) -> Entry:
        return self.entry(
            reference, Line(f"purse:{card}", "clearing:METRO-1", amount_fen, reference), kind="tap"
        )

    def post(self, *entries: Entry, closing: bool = False) -> list[Posted | Refused]:
        with writing(self.engine) as conn:
            return post(conn, entries, at=self.at, closing=closing)

    def ask(self, *orders: Order, minutes: float = 0, closing: bool = False) -> list[Answer]:
        """Post orders of any kind, some minutes after the books' instant."""
        with writing(self.engine) as conn:
            return post(conn, orders, at=self.at + timedelta(minutes=minutes), closing=closing)

    def free_fen(self, code: str) -> int:
        """What an account has free to spend."""
        with reading(self.engine) as conn:
            return free(conn, code).free_fen

    def nets(self) -> dict[str, int]:
        with reading(self.engine) as conn:
            return {
                found.code: found.net_fen for found in balances(conn) if found.debits_fen or found.credits_fen
            }

    def on(self, day: date) -> "Books":
        return replace(self, day=day)


def as_columns(entries: Sequence[Entry]) -> tuple[list[Heading], Lines]:
    """Entries as headings and columns of lines."""
    rows = [(place, line) for place, entry in enumerate(entries) for line in entry.lines]
    return (
        [Heading(one.reference, one.kind, one.event_at, one.narrative) for one in entries],
        Lines(
            np.array([place for place, _ in rows], np.int64),
            pa.array([line.debit for _, line in rows], pa.string()),
            pa.array([line.credit for _, line in rows], pa.string()),
            np.array([line.amount_fen for _, line in rows], np.int64),
            pa.array([line.item for _, line in rows], pa.string()),
        ),
    )


def overtake(engine: Engine, late: Entry, noon: Entry, *, at: datetime) -> None:
    """Book an entry of a closing day as its night does, and another one on the next while that is being written."""
    directory = Directory(engine)
    prepared = prepare_columns(*as_columns([late]), directory, business_date=late.business_date)
    found: list[Answer] = []
    with writing(engine) as conn:
        found += post_pieces(
            conn, lambda: nullcontext([prepared]), directory, at=at, closing=True,
            when_written=lambda: found.extend(post(conn, [noon], at=at)),
        )  # fmt: skip
    assert answers(found) == ["posted", "posted"]


def numbered(place: int, day: date = DAY) -> int:
    """The number of an entry or a line by its place on a day, from 1 on."""
    return before_first(day) + place


def unguard(conn: Connection) -> None:
    """Take the triggers away, as someone with the database's password could."""
    if conn.dialect.name == "postgresql":
        for table in GUARDED:
            conn.execute(text(f"ALTER TABLE ledger_{table} DISABLE TRIGGER USER"))
        return
    triggers = conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
    for name in triggers:
        conn.execute(text(f"DROP TRIGGER {name}"))


@dataclass(frozen=True)
class Tamper:
    """Statements run with the triggers gone."""

    books: Books

    def __call__(self, *statements: str) -> None:
        with writing(self.books.engine) as conn:
            unguard(conn)
            for statement in statements:
                conn.execute(text(statement))


def answers(found: Sequence[Answer]) -> list[str]:
    """What became of each order, in short."""
    return [one.reason.value if isinstance(one, Refused) else type(one).__name__.lower() for one in found]

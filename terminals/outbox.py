"""What a depot's terminals must not forget: SAM counters, rides begun and taken, batches on their way.

One SQLite file an operator's depot, used by one process. A method returns when its change is on the disk,
unless the caller groups changes with `together`.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from clearing.wire.batch import TapRecord
from clearing.wire.bcd import moment_of
from terminals.shelf import CAPACITY, MAX_TERMINAL_SEQUENCE, BatchShelf, BatchState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sam (terminal TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    card_no TEXT PRIMARY KEY, record BLOB NOT NULL, rnd BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unresolved (
    id INTEGER PRIMARY KEY, card_no TEXT NOT NULL, record BLOB NOT NULL, counter_found INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT, terminal TEXT NOT NULL, terminal_sequence INTEGER NOT NULL,
    body BLOB NOT NULL CHECK (length(body) = 64), batch INTEGER REFERENCES batch (sequence),
    UNIQUE (terminal, terminal_sequence)
);
CREATE TABLE IF NOT EXISTS owed (card_no TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_of_card ON record (terminal, substr(body, 7, 12));
CREATE INDEX IF NOT EXISTS record_waiting ON record (id) WHERE batch IS NULL;
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """A debit asked for: the record it will make, its TAC still zero, and the card's random number."""

    record: TapRecord
    rnd: bytes


class Outbox(BatchShelf):
    """The depot's durable memory. `sync="off"` gives up durability against power loss, for simulations."""

    def __init__(
        self, path: Path, sync: Literal["full", "off"] = "full", *, capacity: int = CAPACITY
    ) -> None:
        super().__init__(path, sync, schema=_SCHEMA, capacity=capacity)

    def take_sequence(self, terminal: str) -> int | None:
        """The terminal's next transaction number, from 1, never given twice; None when they are exhausted."""
        with self._atomically():
            row = self._db.execute(
                "INSERT INTO sam VALUES (?, 1) ON CONFLICT (terminal) DO UPDATE SET sequence = sequence + 1"
                " WHERE sequence < ? RETURNING sequence",
                (terminal, MAX_TERMINAL_SEQUENCE),
            ).fetchone()
        return None if row is None else int(row[0])

    def advance_sequence(self, terminal: str, last: int) -> None:
        """Never give the terminal a number up to `last` again: for a SAM that was in use before."""
        with self._atomically():
            self._db.execute(
                "INSERT INTO sam VALUES (?, ?) ON CONFLICT (terminal)"
                " DO UPDATE SET sequence = max(sequence, excluded.sequence)",
                (terminal, last),
            )

    def remember(self, pending: Pending) -> None:
        """Keep a debit about to be asked for; raises sqlite3.IntegrityError if the card has one open."""
        with self._atomically():
            self._db.execute(
                "INSERT INTO pending VALUES (?, ?, ?)",
                (pending.record.card_no, pending.record.pack(), pending.rnd),
            )

    def pending_of(self, card_no: str) -> Pending | None:
        """The debit of this card whose answer never came, if there is one."""
        row = self._db.execute("SELECT record, rnd FROM pending WHERE card_no = ?", (card_no,)).fetchone()
        return None if row is None else Pending(TapRecord.unpack(row[0]), row[1])

    def pendings(self) -> list[Pending]:
        """Every debit whose answer never came, by card number."""
        rows = self._db.execute("SELECT record, rnd FROM pending ORDER BY card_no")
        return [Pending(TapRecord.unpack(record), rnd) for record, rnd in rows]

    def take(self, record: TapRecord, *, passage: bool = False) -> None:
        """Keep a paid ride and close its pending debit, in one step; with `passage` the gate is owed for it."""
        body = record.pack()
        with self._atomically():
            self._db.execute(
                "INSERT INTO record (terminal, terminal_sequence, body) VALUES (?, ?, ?)",
                (record.terminal, record.terminal_sequence, body),
            )
            self._db.execute("DELETE FROM pending WHERE card_no = ?", (record.card_no,))
            if passage:
                self._db.execute("INSERT OR REPLACE INTO owed VALUES (?, ?)", (record.card_no, body))
        self._took_one()

    def owed_to(self, card_no: str) -> TapRecord | None:
        """The paid ride of this card whose gate is not known to have opened, if there is one."""
        row = self._db.execute("SELECT record FROM owed WHERE card_no = ?", (card_no,)).fetchone()
        return None if row is None else TapRecord.unpack(row[0])

    def settle(self, card_no: str) -> None:
        """Owe this card no passage any more."""
        with self._atomically():
            self._db.execute("DELETE FROM owed WHERE card_no = ?", (card_no,))

    def forget(self, pending: Pending) -> None:
        """Close a pending debit that certainly did not happen."""
        with self._atomically():
            self._db.execute("DELETE FROM pending WHERE card_no = ?", (pending.record.card_no,))

    def give_up(self, pending: Pending, *, counter_found: int) -> None:
        """Close a pending debit that the card, at another counter by now, cannot prove; it stays listed."""
        with self._atomically():
            self._db.execute(
                "INSERT INTO unresolved (card_no, record, counter_found) VALUES (?, ?, ?)",
                (pending.record.card_no, pending.record.pack(), counter_found),
            )
            self._db.execute("DELETE FROM pending WHERE card_no = ?", (pending.record.card_no,))

    def unresolved(self) -> list[tuple[TapRecord, int]]:
        """Debits that can no longer be proven, with the counter the card had moved to, for a person."""
        rows = self._db.execute("SELECT record, counter_found FROM unresolved ORDER BY id")
        return [(TapRecord.unpack(record), counter) for record, counter in rows]

    def last_counter(self, terminal: str, card_no: str) -> int | None:
        """The counter of the card's newest ride on this terminal: no card that goes on has it or a lower one."""
        card = bytes.fromhex(card_no)
        (last,) = self._db.execute(
            "SELECT max(substr(body, 7, 12)) FROM record WHERE terminal = ? AND substr(body, 7, 12) BETWEEN ? AND ?",
            (terminal, card + b"\0\0", card + b"\xff\xff"),
        ).fetchone()
        return None if last is None else int.from_bytes(last[10:], "big")

    def newest_moment(self) -> datetime | None:
        """When the last ride was taken; None before the first."""
        row = self._db.execute("SELECT body FROM record ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else moment_of(TapRecord.unpack(row[0]).moment)

    def depth(self) -> dict[str, int]:
        """How much is kept, and for what: rides in no batch, not acknowledged, and what is not settled with cards."""
        counts = self._db.execute(
            "SELECT (SELECT count(*) FROM record WHERE batch IS NULL) AS waiting,"
            " (SELECT count(*) FROM pending) AS pending, (SELECT count(*) FROM owed) AS owed,"
            " (SELECT count(*) FROM unresolved) AS unresolved,"
            " (SELECT count(*) FROM batch WHERE state = ?) AS batches_held",
            (BatchState.HELD,),
        )
        names = [column[0] for column in counts.description]
        return {"unacknowledged": self.unacknowledged, **dict(zip(names, counts.fetchone(), strict=True))}

    def records(self) -> list[TapRecord]:
        """Every ride taken, in the order they were."""
        return [TapRecord.unpack(body) for (body,) in self._db.execute("SELECT body FROM record ORDER BY id")]

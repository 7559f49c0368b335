"""What a depot's terminals must not forget: SAM counters, rides begun and taken, batches on their way.

One SQLite file an operator's depot, used by one process. A method returns when its change is on the disk,
unless the caller groups changes with `together`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from clearing.wire.batch import TapRecord

CAPACITY = 1_000_000
MAX_TERMINAL_SEQUENCE = 0xFFFFFFFF
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sam (terminal TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    card_no TEXT PRIMARY KEY, record BLOB NOT NULL, rnd BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unresolved (
    id INTEGER PRIMARY KEY, card_no TEXT NOT NULL, record BLOB NOT NULL, counter_found INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY, operator TEXT NOT NULL, business_date TEXT NOT NULL,
    records INTEGER NOT NULL, body BLOB, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT, terminal TEXT NOT NULL, terminal_sequence INTEGER NOT NULL,
    body BLOB NOT NULL CHECK (length(body) = 64), batch INTEGER REFERENCES batch (sequence),
    UNIQUE (terminal, terminal_sequence)
);
CREATE INDEX IF NOT EXISTS record_waiting ON record (id) WHERE batch IS NULL;
"""


class OutboxError(Exception):
    """The outbox does not hold what the caller takes for granted; the message says what to do."""


class BatchState(StrEnum):
    """Where a batch stands: it is sent again until it is acknowledged, or held for a person."""

    SENDING = "sending"
    ACKNOWLEDGED = "acknowledged"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Pending:
    """A debit asked for: the record it will make, its TAC still zero, and the card's random number."""

    record: TapRecord
    rnd: bytes


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as the depot made it; `body` is the file, None once it has been acknowledged."""

    sequence: int
    operator: str
    business_date: date
    records: int
    state: BatchState
    reason: str
    body: bytes | None


class Outbox:
    """The depot's durable memory. `sync="off"` gives up durability against power loss, for simulations."""

    def __init__(
        self, path: Path, sync: Literal["full", "off"] = "full", *, capacity: int = CAPACITY
    ) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._grouped = False
        self._capacity = capacity
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={sync.upper()}",
            "foreign_keys=ON",
            "busy_timeout=10000",
        ):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._unacknowledged = self._count_unacknowledged()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; nothing is lost by not calling it."""
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit everything written inside at once, at the end.

        What was written before an exception is committed all the same: cards have been debited for it.
        """
        if self._grouped:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._grouped = True
        try:
            yield
        finally:
            self._grouped = False
            self._db.execute("COMMIT")

    def is_full(self) -> bool:
        """Whether as many rides wait for their acknowledgement as the depot is to hold."""
        return self._unacknowledged >= self._capacity

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

    def take(self, record: TapRecord) -> None:
        """Keep a paid ride and close its pending debit, in one step."""
        with self._atomically():
            self._db.execute(
                "INSERT INTO record (terminal, terminal_sequence, body) VALUES (?, ?, ?)",
                (record.terminal, record.terminal_sequence, record.pack()),
            )
            self._db.execute("DELETE FROM pending WHERE card_no = ?", (record.card_no,))
        self._unacknowledged += 1

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

    def records(self) -> list[TapRecord]:
        """Every ride taken, in the order they were."""
        return [TapRecord.unpack(body) for (body,) in self._db.execute("SELECT body FROM record ORDER BY id")]

    def waiting(self, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` rides that are in no batch yet, oldest first, each with its number."""
        rows = self._db.execute(
            "SELECT id, body FROM record WHERE batch IS NULL ORDER BY id LIMIT ?", (limit,)
        )
        return [(number, body) for number, body in rows]

    def next_batch(self) -> int:
        """The number of the next batch, from 1."""
        (last,) = self._db.execute("SELECT coalesce(max(sequence), 0) FROM batch").fetchone()
        return int(last) + 1

    def store_batch(
        self, *, sequence: int, operator: str, business_date: date, body: bytes, numbers: Sequence[int]
    ) -> None:
        """Keep a batch file and mark its rides as presented, in one step.

        Raises OutboxError where the number is taken, a ride is already in a batch, or the depot has
        presented under another operator's name.
        """
        with self._atomically():
            others = self._db.execute("SELECT operator FROM batch WHERE operator <> ? LIMIT 1", (operator,))
            if (other := others.fetchone()) is not None:
                raise OutboxError(
                    f"this depot presents as {other[0]}, not {operator}: give {operator} its own outbox"
                )
            if sequence != (expected := self.next_batch()):
                raise OutboxError(f"batch {sequence} is not the next one, {expected}: make it anew")
            self._db.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, '')",
                (sequence, operator, business_date.isoformat(), len(numbers), body, BatchState.SENDING),
            )
            marked = self._db.executemany(
                "UPDATE record SET batch = ? WHERE id = ? AND batch IS NULL",
                ((sequence, number) for number in numbers),
            ).rowcount
            if marked != len(numbers):
                raise OutboxError(
                    f"{len(numbers) - marked} rides are in a batch already: make batch {sequence} anew"
                )

    def batches(self, state: BatchState | None = None) -> list[StoredBatch]:
        """The batches in the order of their numbers, all or those of one state."""
        rows = self._db.execute(
            "SELECT sequence, operator, business_date, records, state, reason, body FROM batch"
            " WHERE ? IS NULL OR state = ? ORDER BY sequence",
            (state, state),
        )
        return [
            StoredBatch(sequence, operator, date.fromisoformat(day), records, BatchState(found), reason, body)
            for sequence, operator, day, records, found, reason, body in rows
        ]

    def acknowledge(self, sequence: int) -> bool:
        """The clearing house has the batch: its file need not be kept. True the first time."""
        with self._atomically():
            row = self._db.execute(
                "UPDATE batch SET state = ?, reason = '', body = NULL WHERE sequence = ? AND state <> ?"
                " RETURNING records",
                (BatchState.ACKNOWLEDGED, sequence, BatchState.ACKNOWLEDGED),
            ).fetchone()
        if row is not None:
            self._unacknowledged -= row[0]
        return row is not None

    def hold(self, sequence: int, reason: str) -> None:
        """Do not send the batch again until a person has looked at it; an acknowledged one stays so."""
        self._move(sequence, BatchState.HELD, reason)

    def release(self, sequence: int) -> None:
        """Send a held batch again."""
        self._move(sequence, BatchState.SENDING, "")

    def _move(self, sequence: int, state: BatchState, reason: str) -> None:
        with self._atomically():
            self._db.execute(
                "UPDATE batch SET state = ?, reason = ? WHERE sequence = ? AND state <> ?",
                (state, reason, sequence, BatchState.ACKNOWLEDGED),
            )

    def _count_unacknowledged(self) -> int:
        (count,) = self._db.execute(
            "SELECT count(*) FROM record LEFT JOIN batch ON batch.sequence = record.batch"
            " WHERE batch.state IS NULL OR batch.state <> ?",
            (BatchState.ACKNOWLEDGED,),
        ).fetchone()
        return int(count)

    @contextmanager
    def _atomically(self) -> Iterator[None]:
        """One step: all of it or nothing, committed now or, within `together`, at its end."""
        self._db.execute("SAVEPOINT step" if self._grouped else "BEGIN IMMEDIATE")
        whole = False
        try:
            yield
            whole = True
        finally:
            if not whole:
                self._db.execute("ROLLBACK TO step" if self._grouped else "ROLLBACK")
            if self._grouped:
                self._db.execute("RELEASE step")
            elif whole:
                self._db.execute("COMMIT")

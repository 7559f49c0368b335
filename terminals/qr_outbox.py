"""What a depot's terminals must not forget of rides on codes: the rides, the codes used, batches on their way.

One SQLite file an operator's depot, used by one process. A method returns when its change is on the disk.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Literal, Self

from clearing.wire.qr_record import QrRide
from terminals.outbox import CAPACITY, MAX_TERMINAL_SEQUENCE, BatchState, OutboxError, StoredBatch

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY, operator TEXT NOT NULL, business_date TEXT NOT NULL,
    records INTEGER NOT NULL, body BLOB, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT, terminal TEXT NOT NULL, terminal_sequence INTEGER NOT NULL,
    serial BLOB NOT NULL, nonce BLOB NOT NULL, body BLOB NOT NULL CHECK (length(body) = 384),
    batch INTEGER REFERENCES batch (sequence),
    UNIQUE (terminal, terminal_sequence), UNIQUE (terminal, serial, nonce)
);
CREATE INDEX IF NOT EXISTS record_waiting ON record (id) WHERE batch IS NULL;
"""


class QrOutbox:
    """The depot's durable memory. `sync="off"` gives up durability against power loss, for simulations."""

    def __init__(
        self, path: Path, sync: Literal["full", "off"] = "full", *, capacity: int = CAPACITY
    ) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._capacity = capacity
        for pragma in ("journal_mode=WAL", f"synchronous={sync.upper()}", "foreign_keys=ON"):
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

    def is_full(self) -> bool:
        """Whether as many rides wait for their acknowledgement as the depot is to hold."""
        return self._unacknowledged >= self._capacity

    def next_terminal_sequence(self, terminal: str) -> int | None:
        """The number of the terminal's next ride, from 1; None when they are exhausted."""
        (last,) = self._db.execute(
            "SELECT coalesce(max(terminal_sequence), 0) FROM record WHERE terminal = ?", (terminal,)
        ).fetchone()
        return int(last) + 1 if last < MAX_TERMINAL_SEQUENCE else None

    def has_taken(self, terminal: str, serial: bytes, nonce: bytes) -> bool:
        """Whether this terminal has taken a ride for the code before; another terminal cannot know."""
        query = "SELECT 1 FROM record WHERE terminal = ? AND serial = ? AND nonce = ?"
        return self._db.execute(query, (terminal, serial, nonce)).fetchone() is not None

    def take(self, record: QrRide, *, serial: bytes, nonce: bytes) -> None:
        """Keep a ride and that its code is used, in one step.

        Raises sqlite3.IntegrityError where the terminal has taken the code or used the number before.
        """
        self._db.execute(
            "INSERT INTO record (terminal, terminal_sequence, serial, nonce, body) VALUES (?, ?, ?, ?, ?)",
            (record.terminal, record.terminal_sequence, serial, nonce, record.pack()),
        )
        self._unacknowledged += 1

    def records(self) -> list[QrRide]:
        """Every ride taken, in the order they were."""
        return [QrRide.unpack(body) for (body,) in self._db.execute("SELECT body FROM record ORDER BY id")]

    def waiting(self, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` rides that are in no batch yet, oldest first, each with its number."""
        query = "SELECT id, body FROM record WHERE batch IS NULL ORDER BY id LIMIT ?"
        return [(number, body) for number, body in self._db.execute(query, (limit,))]

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

    def acknowledge(self, sequence: int) -> None:
        """The clearing house has the batch: its file need not be kept."""
        row = self._db.execute(
            "UPDATE batch SET state = ?, reason = '', body = NULL WHERE sequence = ? AND state <> ?"
            " RETURNING records",
            (BatchState.ACKNOWLEDGED, sequence, BatchState.ACKNOWLEDGED),
        ).fetchone()
        if row is not None:
            self._unacknowledged -= row[0]

    def hold(self, sequence: int, reason: str) -> None:
        """Do not send the batch again until a person has looked at it; an acknowledged one stays so."""
        self._move(sequence, BatchState.HELD, reason)

    def release(self, sequence: int) -> None:
        """Send a held batch again."""
        self._move(sequence, BatchState.SENDING, "")

    def _move(self, sequence: int, state: BatchState, reason: str) -> None:
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
        """One step: all of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        whole = False
        try:
            yield
            whole = True
        finally:
            self._db.execute("COMMIT" if whole else "ROLLBACK")

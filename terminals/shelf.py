"""A depot's shelf of batches: rides wait on it until they are in a batch, batches until they are acknowledged.

One SQLite file, used by one process. A method returns when its change is on the disk, unless the caller
groups changes with `together`. Which rides these are, and what else must not be forgotten of them, is for
the outbox that is built on it to say.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Self

from terminals.durable_file import Sync, opened

CAPACITY = 1_000_000
MAX_TERMINAL_SEQUENCE = 0xFFFFFFFF
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY, operator TEXT NOT NULL, business_date TEXT NOT NULL,
    records INTEGER NOT NULL, body BLOB, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT ''
);
"""


class OutboxError(Exception):
    """The outbox does not hold what the caller takes for granted; the message says what to do."""


class NoRoom(Exception):
    """The disk or the file has no room: nothing of this step was kept. Have the depot upload, or free space."""


class BatchState(StrEnum):
    """Where a batch stands: it is sent again until it is acknowledged, or held for a person."""

    SENDING = "sending"
    ACKNOWLEDGED = "acknowledged"
    HELD = "held"


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


class BatchShelf:
    """Batches and the rides in them. `sync="off"` gives up durability against power loss, for simulations.

    `schema` makes the table `record`, which has at least `id`, `body` and `batch`, and whatever else the
    outbox keeps; `_took_one` is to be called for each ride that comes into it.
    """

    def __init__(self, path: Path, sync: Sync = "full", *, schema: str, capacity: int = CAPACITY) -> None:
        self._db = opened(path, _SCHEMA + schema, sync)
        self._grouped = False
        self._numbered: Callable[[int], int] = int
        self._capacity = capacity
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

    @property
    def unacknowledged(self) -> int:
        """How many rides the clearing house is not known to have."""
        return self._unacknowledged

    def file_bytes(self) -> int:
        """How large the file is, its write-ahead log taken in."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
        return int(pages) * int(page_bytes)

    def is_full(self, capacity: int | None = None) -> bool:
        """Whether as many rides wait for their acknowledgement as the depot, or this terminal, is to hold."""
        return self._unacknowledged >= (self._capacity if capacity is None else capacity)

    def _took_one(self) -> None:
        """Count a ride that has just been written down."""
        self._unacknowledged += 1

    def waiting(self, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` rides that are in no batch yet, oldest first, each with its number."""
        rows = self._db.execute(
            "SELECT id, body FROM record WHERE batch IS NULL ORDER BY id LIMIT ?", (limit,)
        )
        return [(number, body) for number, body in rows]

    def next_batch(self) -> int:
        """The number of the next batch, from 1."""
        (last,) = self._db.execute("SELECT coalesce(max(sequence), 0) FROM batch").fetchone()
        return self._numbered(int(last) + 1)

    def number_by(self, numbered: Callable[[int], int]) -> None:
        """Number batches from now on by what is made of the number after this shelf's last, that or a higher one.

        It is asked twice for a batch, and gives the same until the batch is kept.
        """
        self._numbered = numbered

    def require_operator(self, operator: str) -> None:
        """Raise OutboxError where the depot has presented under another operator's name."""
        others = self._db.execute("SELECT operator FROM batch WHERE operator <> ? LIMIT 1", (operator,))
        if (other := others.fetchone()) is not None:
            raise OutboxError(
                f"this depot presents as {other[0]}, not {operator}: give {operator} its own outbox"
            )

    def store_batch(
        self, *, sequence: int, operator: str, business_date: date, body: bytes, numbers: Sequence[int]
    ) -> None:
        """Keep a batch file and mark its rides as presented, in one step.

        Raises OutboxError where the number is taken, a ride is already in a batch, or the depot has
        presented under another operator's name.
        """
        with self._atomically():
            self.require_operator(operator)
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
        """One step: all of it or nothing, committed now or, within `together`, at its end.

        Raises NoRoom where the disk or the file is full.
        """
        self._db.execute("SAVEPOINT step" if self._grouped else "BEGIN IMMEDIATE")
        whole = False
        try:
            yield
            self._db.execute("RELEASE step" if self._grouped else "COMMIT")
            whole = True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise NoRoom(str(error)) from error
            raise
        finally:
            # A full disk may have rolled back by itself.
            if not whole and self._db.in_transaction:
                self._db.execute("ROLLBACK TO step" if self._grouped else "ROLLBACK")
                if self._grouped:
                    self._db.execute("RELEASE step")

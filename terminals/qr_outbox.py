"""What a depot's terminals must not forget of rides on codes: the rides, the codes used, batches on their way.

One SQLite file an operator's depot, used by one process. A method returns when its change is on the disk.
"""

from pathlib import Path
from typing import Literal

from clearing.wire.qr_record import QrRide
from terminals.shelf import CAPACITY, MAX_TERMINAL_SEQUENCE, BatchShelf

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT, terminal TEXT NOT NULL, terminal_sequence INTEGER NOT NULL,
    serial BLOB NOT NULL, nonce BLOB NOT NULL, body BLOB NOT NULL CHECK (length(body) = 384),
    batch INTEGER REFERENCES batch (sequence),
    UNIQUE (terminal, terminal_sequence), UNIQUE (terminal, serial, nonce)
);
CREATE INDEX IF NOT EXISTS record_waiting ON record (id) WHERE batch IS NULL;
"""


class QrOutbox(BatchShelf):
    """The depot's durable memory. `sync="off"` gives up durability against power loss, for simulations."""

    def __init__(
        self, path: Path, sync: Literal["full", "off"] = "full", *, capacity: int = CAPACITY
    ) -> None:
        super().__init__(path, sync, schema=_SCHEMA, capacity=capacity)

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
        self._took_one()

    def records(self) -> list[QrRide]:
        """Every ride taken, in the order they were."""
        return [QrRide.unpack(body) for (body,) in self._db.execute("SELECT body FROM record ORDER BY id")]

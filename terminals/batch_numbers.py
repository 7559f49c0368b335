"""Numbers of the batches of one operator whose outboxes are several, as the tills of a shop are."""

from pathlib import Path
from typing import Final, Self

from terminals.durable_file import Sync, opened

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch_number (
    operator TEXT NOT NULL, sequence INTEGER NOT NULL, outbox TEXT NOT NULL, PRIMARY KEY (operator, sequence)
) WITHOUT ROWID;
"""


class BatchNumbers:
    """The durable list of which outbox took which number: none is given to two, and none is left out.

    One SQLite file beside the outboxes, which several programs may use at once.
    """

    def __init__(self, path: Path, sync: Sync = "full") -> None:
        self._db = opened(path, _SCHEMA, sync)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def next_of(self, operator: str, outbox: str, least: int) -> int:
        """The number of an outbox's next batch, `least` or above: that which it took and has not used, or a new one."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            sequence = self._unused(operator, outbox, least) or self._new(operator, outbox, least)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return sequence

    def _unused(self, operator: str, outbox: str, least: int) -> int | None:
        query = "SELECT min(sequence) FROM batch_number WHERE operator = ? AND outbox = ? AND sequence >= ?"
        (found,) = self._db.execute(query, (operator, outbox, least)).fetchone()
        return None if found is None else int(found)

    def _new(self, operator: str, outbox: str, least: int) -> int:
        query = "SELECT max(coalesce(max(sequence), 0) + 1, ?) FROM batch_number WHERE operator = ?"
        (sequence,) = self._db.execute(query, (least, operator)).fetchone()
        self._db.execute("INSERT INTO batch_number VALUES (?, ?, ?)", (operator, sequence, outbox))
        return int(sequence)

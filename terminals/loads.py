"""Loads at a counter, from the order to the card's proof: what they consist of, and their durable list."""

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS load (
    reference TEXT PRIMARY KEY, card_no TEXT NOT NULL, request TEXT NOT NULL, tac BLOB,
    state TEXT NOT NULL CHECK (state IN ('begun', 'proven', 'confirmed', 'lost'))
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS load_begun ON load (card_no) WHERE state = 'begun';
CREATE INDEX IF NOT EXISTS load_proven ON load (reference) WHERE state = 'proven';
"""
_IN_BYTES = ("rnd", "moment", "mac1", "ordered_at")


class OfficeGone(Exception):
    """The load office does not answer; the message says why. What was asked of it may have been done."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What the office needs to authorise a load: the card's offer, signed by MAC1, and the order.

    Terminal in 12 hex characters, moments 7 bytes BCD in city time; `counter` is the one the card answered
    to INITIALIZE FOR LOAD; `ordered_at` is the moment of the first attempt, where a torn load is made again.
    """

    card_no: str
    issuer: str
    key_version: int
    algorithm: int
    rnd: bytes
    counter: int
    balance_fen: int
    amount_fen: int
    kind: int
    terminal: str
    moment: bytes
    mac1: bytes
    ordered_at: bytes

    @property
    def reference(self) -> str:
        """The load's natural key: a card's counter moves with every load that it makes, and only then."""
        return f"{self.card_no}:{self.counter}"


@dataclass(frozen=True, slots=True)
class LoadReceipt:
    """The card's proof that it holds the money: its TAC over the new balance."""

    request: LoadRequest
    tac: bytes

    @property
    def new_balance_fen(self) -> int:
        """What the card holds after the load."""
        return self.request.balance_fen + self.request.amount_fen


class LoadOffice(Protocol):
    """Where the money is: it takes the load from the agent's account, and learns that it has arrived.

    Both calls are repeated when their answer is lost, so that both must be idempotent by `reference`. A load
    that was torn comes with the same reference, amount and `ordered_at`, but a new random number, moment
    and MAC1.
    """

    def authorise(self, request: LoadRequest) -> bytes | None:
        """MAC2 for the card, or None: no. The same reference again takes no more money. Raises OfficeGone."""
        ...

    def confirm(self, receipt: LoadReceipt) -> None:
        """The card has been loaded. Raises OfficeGone."""
        ...


class LoadJournal:
    """The counter's durable list of loads begun, proven by the card, and confirmed to the office."""

    def __init__(self, path: Path, sync: Literal["full", "off"] = "full") -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", f"synchronous={sync.upper()}", "busy_timeout=10000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def begin(self, request: LoadRequest) -> bool:
        """Keep a load before the office is asked; begun anew, it replaces its earlier attempt.

        False where the card's counter has made a load already: then this is another card's copy.
        """
        row = self._db.execute(
            "INSERT INTO load VALUES (?, ?, ?, NULL, 'begun') ON CONFLICT (reference)"
            " DO UPDATE SET request = excluded.request WHERE state = 'begun' RETURNING reference",
            (request.reference, request.card_no, _written(request)),
        ).fetchone()
        return row is not None

    def begun(self, card_no: str) -> LoadRequest | None:
        """The load of this card that was begun and neither proven nor given up."""
        row = self._db.execute(
            "SELECT request FROM load WHERE card_no = ? AND state = 'begun'", (card_no,)
        ).fetchone()
        return None if row is None else _read(row[0])

    def prove(self, receipt: LoadReceipt) -> None:
        """Keep the card's proof."""
        self._db.execute(
            "UPDATE load SET state = 'proven', tac = ? WHERE reference = ? AND state = 'begun'",
            (receipt.tac, receipt.request.reference),
        )

    def drop(self, request: LoadRequest) -> None:
        """Forget a load that the office refused: no money was taken and the card was not asked."""
        self._db.execute("DELETE FROM load WHERE reference = ? AND state = 'begun'", (request.reference,))

    def lose(self, request: LoadRequest) -> None:
        """The card has moved on and proves it no longer; it stays listed for a person."""
        self._db.execute("UPDATE load SET state = 'lost' WHERE reference = ?", (request.reference,))

    def confirm(self, receipt: LoadReceipt) -> None:
        """The office knows."""
        self._db.execute(
            "UPDATE load SET state = 'confirmed' WHERE reference = ?", (receipt.request.reference,)
        )

    def unconfirmed(self) -> list[LoadReceipt]:
        """Loads that the card has proven and the office does not know of yet, by reference."""
        rows = self._db.execute("SELECT request, tac FROM load WHERE state = 'proven' ORDER BY reference")
        return [LoadReceipt(_read(request), tac) for request, tac in rows]

    def lost(self) -> list[LoadRequest]:
        """Loads that can no longer be proven, by reference."""
        rows = self._db.execute("SELECT request FROM load WHERE state = 'lost' ORDER BY reference")
        return [_read(request) for (request,) in rows]


def _written(request: LoadRequest) -> str:
    fields = asdict(request)
    return json.dumps(fields | {name: fields[name].hex() for name in _IN_BYTES})


def _read(text: str) -> LoadRequest:
    fields = json.loads(text)
    return LoadRequest(**fields | {name: bytes.fromhex(fields[name]) for name in _IN_BYTES})

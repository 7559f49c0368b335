"""Loads at a counter, from the order to the card's proof: what they consist of, and their durable list."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

from terminals.durable_file import Sync, opened

_SCHEMA = """
CREATE TABLE IF NOT EXISTS load (
    reference TEXT PRIMARY KEY, card_no TEXT NOT NULL, request TEXT NOT NULL, tac BLOB,
    state TEXT NOT NULL CHECK (state IN ('begun', 'proven', 'confirmed', 'lost'))
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS load_begun ON load (card_no) WHERE state = 'begun';
CREATE INDEX IF NOT EXISTS load_proven ON load (reference) WHERE state = 'proven';
CREATE INDEX IF NOT EXISTS load_lost ON load (reference) WHERE state = 'lost';
"""
_IN_BYTES = ("rnd", "moment", "mac1", "ordered_at")


class OfficeGone(Exception):
    """The load office does not answer; the message says why. What was asked of it may have been done."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What the office needs to authorise a load: the card's offer, signed by MAC1, and the order.

    Terminal in 12 hex characters, moments 7 bytes BCD in city time; `counter` is the one the card answered
    to INITIALIZE FOR LOAD; `ordered_at` is the moment of the first attempt, where a torn load is made again.
    `order` is the reference of a load that waits at the office, where this is an attempt at that.
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
    order: str = ""

    @property
    def reference(self) -> str:
        """The load's natural key: a card's counter moves with every load that it makes, and only then."""
        return self.order or f"{self.card_no}:{self.counter}"


@dataclass(frozen=True, slots=True)
class LoadReceipt:
    """The card's proof that it holds the money: its TAC over the new balance."""

    request: LoadRequest
    tac: bytes

    @property
    def new_balance_fen(self) -> int:
        """What the card holds after the load."""
        return self.request.balance_fen + self.request.amount_fen


class Decline(StrEnum):
    """Why the office does not do it: what a clerk can do about it depends on it."""

    MAC_WRONG = "mac_wrong"
    UNFINISHED = "unfinished"
    RETURNED = "returned"
    PROVED = "proved"
    BOOKS_REFUSE = "books_refuse"


@dataclass(frozen=True, slots=True)
class Declined:
    """The office did not do it; the message names what stands in the way and the remedy."""

    reason: Decline
    message: str


@dataclass(frozen=True, slots=True)
class Tried:
    """The last offer of a card that a load was authorised for, at whatever terminal."""

    counter: int
    balance_fen: int
    terminal: str
    moment: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """A load that is paid and not known to be on the card: `attempts` is how often it was authorised."""

    reference: str
    card_no: str
    amount_fen: int
    paid_from: str
    ordered_at: bytes
    attempts: int = 0
    last: Tried | None = None


class LoadOffice(Protocol):
    """Where the money is: it takes the load from who pays, learns that it has arrived, or gives it back.

    All calls are repeated when their answer is lost, so that all must be idempotent by `reference`. A load
    that was torn comes with the same reference, amount and `ordered_at`, but a new random number, moment
    and MAC1. All raise OfficeGone.
    """

    def waiting(self, card_no: str) -> Sequence[Waiting]:
        """The loads that wait for a card, oldest first."""
        ...

    def authorise(self, request: LoadRequest) -> bytes | Declined:
        """MAC2 for the card. The same reference again takes no more money."""
        ...

    def confirm(self, receipt: LoadReceipt) -> Declined | None:
        """The card has been loaded, by its TAC."""
        ...

    def settle(self, request: LoadRequest) -> Declined | None:
        """The card's offer shows its load counter: what was authorised at an earlier one is on it."""
        ...

    def give_back(self, request: LoadRequest, attempts: int) -> Declined | None:
        """The card's offer shows that it has not taken `request.order`; None: it is back with who paid it.

        `attempts` is how many the office told before the card made the offer: if there are more now, no.
        """
        ...


class LoadJournal:
    """The counter's durable list of loads begun, proven by the card, and confirmed to the office."""

    def __init__(self, path: Path, sync: Sync = "full") -> None:
        self._db = opened(path, _SCHEMA, sync)

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
            " DO UPDATE SET request = excluded.request, tac = NULL, state = 'begun'"
            " WHERE state IN ('begun', 'lost') RETURNING reference",
            (request.reference, request.card_no, json.dumps(fields_of(request))),
        ).fetchone()
        return row is not None

    def begun(self, card_no: str) -> LoadRequest | None:
        """The load of this card that was begun and neither proven nor given up."""
        row = self._db.execute(
            "SELECT request FROM load WHERE card_no = ? AND state = 'begun'", (card_no,)
        ).fetchone()
        return None if row is None else request_of(json.loads(row[0]))

    def prove(self, receipt: LoadReceipt) -> None:
        """Keep the card's proof."""
        self._db.execute(
            "UPDATE load SET state = 'proven', tac = ? WHERE reference = ? AND state = 'begun'",
            (receipt.tac, receipt.request.reference),
        )

    def drop(self, request: LoadRequest) -> None:
        """Forget a load that the office refused or gave back, or that it has on its own list."""
        self._db.execute("DELETE FROM load WHERE reference = ? AND state = 'begun'", (request.reference,))

    def lose(self, request: LoadRequest) -> None:
        """Its end is not for this terminal to tell any more: the office finds it out from the card's counter."""
        self._db.execute("UPDATE load SET state = 'lost' WHERE reference = ?", (request.reference,))

    def confirm(self, receipt: LoadReceipt) -> None:
        """The office knows."""
        self._db.execute(
            "UPDATE load SET state = 'confirmed' WHERE reference = ?", (receipt.request.reference,)
        )

    def unconfirmed(self) -> list[LoadReceipt]:
        """Loads that the card has proven and the office does not know of yet, by reference."""
        rows = self._db.execute("SELECT request, tac FROM load WHERE state = 'proven' ORDER BY reference")
        return [LoadReceipt(request_of(json.loads(request)), tac) for request, tac in rows]

    def lost(self) -> list[LoadRequest]:
        """Loads that this terminal can no longer prove, by reference."""
        rows = self._db.execute("SELECT request FROM load WHERE state = 'lost' ORDER BY reference")
        return [request_of(json.loads(request)) for (request,) in rows]


def fields_of(request: LoadRequest) -> dict[str, str | int]:
    """A request as JSON has it: its bytes in hex."""
    fields = asdict(request)
    return fields | {name: fields[name].hex() for name in _IN_BYTES}


def request_of(fields: Mapping[str, Any]) -> LoadRequest:
    """Read back what `fields_of` made. Raises KeyError, TypeError or ValueError for anything else."""
    return LoadRequest(**{**fields, **{name: bytes.fromhex(fields[name]) for name in _IN_BYTES}})

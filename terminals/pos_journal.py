"""What a counter terminal must not forget: its trace numbers, its working key, every ticket and where it stands.

One SQLite file a terminal, used by one process. A method returns when its change is on the disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from clearing.wire.bcd import moment_of, pack_moment
from terminals.durable_file import Sync, opened

LAST_STAN = 999_999
_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ticket (
    number INTEGER PRIMARY KEY, day TEXT NOT NULL, stan TEXT NOT NULL, moment TEXT NOT NULL,
    kind TEXT NOT NULL, card_no TEXT NOT NULL, amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    original INTEGER REFERENCES ticket (number), state TEXT NOT NULL, code TEXT NOT NULL DEFAULT '',
    retrieval TEXT NOT NULL DEFAULT '', UNIQUE (day, stan)
);
CREATE INDEX IF NOT EXISTS ticket_waiting ON ticket (number)
    WHERE state IN ('asked', 'reversing', 'advising');
"""
_COLUMNS = "number, stan, moment, kind, card_no, amount_fen, original, state, code, retrieval"


class Kind(StrEnum):
    """What a ticket is for. A stand-in purchase is taken while the host is away, at the merchant's risk."""

    PURCHASE = "purchase"
    STAND_IN = "stand_in"
    REFUND = "refund"


class State(StrEnum):
    """Where a ticket stands. ASKED, REVERSING and ADVISING wait for the host; HELD waits for a person."""

    ASKED = "asked"
    APPROVED = "approved"
    DECLINED = "declined"
    REVERSING = "reversing"
    REVERSED = "reversed"
    ADVISING = "advising"
    HELD = "held"


MOVES: Mapping[State, frozenset[State]] = {
    State.ASKED: frozenset({State.APPROVED, State.DECLINED, State.REVERSING}),
    State.REVERSING: frozenset({State.REVERSED, State.HELD}),
    State.ADVISING: frozenset({State.APPROVED, State.HELD}),
}
"""What a ticket may become; from everything else it goes nowhere."""


class IllegalMove(Exception):
    """A ticket was to become what it cannot become from where it stands."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One transaction of the counter; `at` to the second. `original` is the ticket that a refund is for."""

    number: int
    stan: str
    at: datetime
    kind: Kind
    card_no: str
    amount_fen: int
    original: int | None
    state: State
    code: str = ""
    retrieval: str = ""


class PosJournal:
    """The terminal's durable memory."""

    def __init__(self, path: Path, sync: Sync = "full") -> None:
        self._db = opened(path, _SCHEMA, sync)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; nothing is lost by not calling it."""
        self._db.close()

    def recover(self) -> int:
        """After a start: what was asked when the terminal stopped has told nobody anything, so it is reversed.

        How many there were.
        """
        return self._db.execute(
            "UPDATE ticket SET state = ? WHERE state = ?", (State.REVERSING, State.ASKED)
        ).rowcount

    def take_stan(self) -> str:
        """The next trace number, from 000001, again from there after the last."""
        (last,) = self._db.execute(
            "INSERT INTO setting VALUES ('stan', 1) ON CONFLICT (name)"
            " DO UPDATE SET value = CASE value WHEN ? THEN 1 ELSE value + 1 END RETURNING value",
            (LAST_STAN,),
        ).fetchone()
        return f"{last:06d}"

    def begin(
        self, kind: Kind, *, card_no: str, amount_fen: int, at: datetime, original: int | None = None
    ) -> Ticket:
        """Keep a ticket before the host is told of it. Raises sqlite3.IntegrityError for an amount not positive."""
        moment = pack_moment(at).hex()
        state = State.ASKED if kind is Kind.PURCHASE else State.ADVISING
        ticket = Ticket(
            0, self.take_stan(), moment_of(bytes.fromhex(moment)), kind, card_no, amount_fen, original, state
        )
        cursor = self._db.execute(
            "INSERT INTO ticket (day, stan, moment, kind, card_no, amount_fen, original, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (moment[:8], ticket.stan, moment, kind, card_no, amount_fen, original, state),
        )
        return replace(ticket, number=cursor.lastrowid or 0)

    def move(self, ticket: Ticket, state: State, *, code: str = "", retrieval: str = "") -> Ticket:
        """Say where a ticket stands now. Raises IllegalMove where it cannot come there from where it is kept."""
        if state not in MOVES.get(ticket.state, ()):
            raise IllegalMove(f"ticket {ticket.number} is {ticket.state}; it cannot become {state}")
        moved = self._db.execute(
            "UPDATE ticket SET state = ?, code = ?, retrieval = ? WHERE number = ? AND state = ?",
            (state, code, retrieval or ticket.retrieval, ticket.number, ticket.state),
        ).rowcount
        if not moved:
            raise IllegalMove(f"ticket {ticket.number} is {ticket.state} no longer; read it again")
        return replace(ticket, state=state, code=code, retrieval=retrieval or ticket.retrieval)

    def waiting(self) -> list[Ticket]:
        """Reversals, then advices, that the host has not acknowledged, each oldest first."""
        return self.tickets(State.REVERSING) + self.tickets(State.ADVISING)

    def tickets(self, *states: State) -> list[Ticket]:
        """All tickets, or those in one of `states`, oldest first."""
        marks = ", ".join("?" * len(states))
        return self._tickets(f"state IN ({marks})" if states else "1 = 1", *states)

    def ticket(self, number: int) -> Ticket | None:
        """The ticket of a number."""
        return next(iter(self._tickets("number = ?", number)), None)

    def keep_working_key(self, key: bytes) -> None:
        """Keep a working key as the sign-on brought it, wrapped, so that a restart needs no sign-on."""
        self._db.execute(
            "INSERT INTO setting VALUES ('working key', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (key,),
        )

    def working_key(self) -> bytes | None:
        """The working key kept last, wrapped."""
        row = self._db.execute("SELECT value FROM setting WHERE name = 'working key'").fetchone()
        return None if row is None else bytes(row[0])

    def _tickets(self, condition: str, *values: object) -> list[Ticket]:
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM ticket WHERE {condition} ORDER BY number",  # noqa: S608 - all ours
            values,
        )
        return [
            Ticket(
                number, stan, moment_of(bytes.fromhex(moment)), Kind(kind), card_no, amount_fen, original,
                State(state), code, retrieval,
            )
            for number, stan, moment, kind, card_no, amount_fen, original, state, code, retrieval in rows
        ]  # fmt: skip

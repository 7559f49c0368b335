"""What a simulated biller must not forget: accounts, bills, write-offs, closed days, the files it gave out.

One SQLite file a biller. A method returns when its change is on the disk, so a biller that is killed and
started again answers a repeated notice as it did the first time.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, Self

from clearing.sectors.utilities.daily_file import FileLine, write_daily_file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (account_no TEXT PRIMARY KEY, customer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bill (
    bill_no TEXT PRIMARY KEY, account_no TEXT NOT NULL REFERENCES account (account_no),
    period TEXT NOT NULL, amount_fen INTEGER NOT NULL CHECK (amount_fen >= 0), due_on TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS write_off (
    reference TEXT PRIMARY KEY, account_no TEXT NOT NULL, bill_no TEXT NOT NULL, amount_fen INTEGER NOT NULL,
    business_date TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('written_off', 'reversed', 'refused')),
    reason TEXT NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS closed_day (business_date TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blunder (
    reference TEXT PRIMARY KEY, business_date TEXT NOT NULL, account_no TEXT NOT NULL, bill_no TEXT NOT NULL,
    amount_fen INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issue (
    business_date TEXT NOT NULL, issue INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (business_date, issue)
) WITHOUT ROWID;
"""
_FORGET = (
    "DELETE FROM bill",
    "DELETE FROM account",
    "DELETE FROM write_off",
    "DELETE FROM closed_day",
    "DELETE FROM blunder",
    "DELETE FROM issue",
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the biller was told of a payment; the amount in fen, the date the city's business date."""

    reference: str
    account_no: str
    bill_no: str
    amount_fen: int
    business_date: date


@dataclass(frozen=True, slots=True)
class Reply:
    """What it answers: `status` is written_off, reversed or refused, and in the last case why."""

    status: str
    reason: str = ""


class Journal:
    """The biller's durable memory, for one process; `part` says whether it takes parts of a bill.

    `sync="off"` gives up durability against power loss, for simulations.
    """

    def __init__(self, path: Path, biller: str, *, part: bool, sync: Literal["full", "off"] = "full") -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._lock = threading.Lock()
        self._biller = biller
        self._part = part
        for pragma in ("journal_mode=WAL", f"synchronous={sync.upper()}", "foreign_keys=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add_bill(
        self, account_no: str, customer: str, bill_no: str, period: str, amount_fen: int, due_on: date
    ) -> None:
        """Send a customer a bill; the same again changes nothing."""
        with self._step() as db:
            db.execute("INSERT OR IGNORE INTO account VALUES (?, ?)", (account_no, customer))
            db.execute(
                "INSERT OR IGNORE INTO bill VALUES (?, ?, ?, ?, ?)",
                (bill_no, account_no, period, amount_fen, due_on.isoformat()),
            )

    def account(self, account_no: str) -> dict[str, Any] | None:
        """The account and its bills as the biller shows them, oldest first; None where it has none such."""
        with self._step() as db:
            row = db.execute("SELECT * FROM account WHERE account_no = ?", (account_no,)).fetchone()
            if row is None:
                return None
            bills = db.execute(
                "SELECT * FROM bill WHERE account_no = ? ORDER BY due_on, bill_no", (account_no,)
            )
            return {
                "account_no": account_no,
                "customer": row["customer"],
                "bills": [self._shown(db, bill) for bill in bills.fetchall()],
            }

    def write_off(self, told: Told, at: datetime) -> Reply:
        """Write a bill off, or a part of it; the same again gets the same reply."""
        with self._step() as db:
            known = self._known(db, told)
            if known is not None:
                return Reply("refused", "reversed_before") if known.status == "reversed" else known
            reason = self._objection(db, told)
            reply = Reply("refused", reason) if reason else Reply("written_off")
            self._keep(db, told, reply, at)
            return reply

    def reverse(self, told: Told, at: datetime) -> Reply:
        """Let a payment go; one that was never written off is remembered and will never be."""
        with self._step() as db:
            known = self._known(db, told)
            if known is not None and known.reason == "reference_taken":
                return known
            if (
                known is not None
                and known.status == "written_off"
                and self._is_closed(db, told.business_date)
            ):
                return Reply("refused", "day_closed")
            self._keep(db, told, Reply("reversed"), at)
            return Reply("reversed")

    def close_day(self, business_date: date) -> None:
        """Take no more reversals of that date; late write-offs are still filed under it."""
        with self._step() as db:
            db.execute("INSERT OR IGNORE INTO closed_day VALUES (?)", (business_date.isoformat(),))

    def blunder(self, told: Told, amount_fen: int | None) -> None:
        """Have the file of a date say another amount of a payment, one never made, or (None) leave it out."""
        with self._step() as db:
            row = (told.reference, told.business_date.isoformat(), told.account_no, told.bill_no, amount_fen)
            db.execute("INSERT OR REPLACE INTO blunder VALUES (?, ?, ?, ?, ?)", row)

    def forget(self) -> None:
        """Begin as if new: no customers, no payments, no files."""
        with self._step() as db:
            for statement in _FORGET:
                db.execute(statement)

    def repair(self) -> None:
        """Have the files say again what the journal says."""
        with self._step() as db:
            db.execute("DELETE FROM blunder")

    def daily_file(self, business_date: date, at: datetime) -> bytes:
        """The newest issue of a date's file; a new one is made where something has changed since."""
        day = business_date.isoformat()
        with self._step() as db:
            last = db.execute(
                "SELECT issue, content FROM issue WHERE business_date = ? ORDER BY issue DESC LIMIT 1", (day,)
            ).fetchone()
            lines = list(self._lines(db, day))
            number = 1 if last is None else last["issue"] + 1
            content = write_daily_file(self._biller, business_date, number, lines, made_at=at)
            if last is not None and _without_header(last["content"]) == _without_header(content):
                return bytes(last["content"])
            db.execute("INSERT INTO issue VALUES (?, ?, ?)", (day, number, content))
            return content

    def _lines(self, db: sqlite3.Connection, day: str) -> Iterator[FileLine]:
        rows = db.execute(
            "SELECT w.reference, w.account_no, w.bill_no, w.at,"
            " CASE WHEN b.reference IS NULL THEN w.amount_fen ELSE b.amount_fen END AS amount_fen"
            " FROM write_off w LEFT JOIN blunder b USING (reference)"
            " WHERE w.business_date = ?1 AND w.state = 'written_off'"
            " UNION ALL SELECT reference, account_no, bill_no, business_date || 'T12:00:00+00:00', amount_fen"
            " FROM blunder b WHERE business_date = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM write_off w WHERE w.reference = b.reference AND w.state = 'written_off')",
            (day,),
        )
        for row in rows:
            if row["amount_fen"] is not None:
                at = datetime.fromisoformat(row["at"]).astimezone(UTC).replace(microsecond=0)
                yield FileLine(row["reference"], row["account_no"], row["bill_no"], row["amount_fen"], at)

    def _shown(self, db: sqlite3.Connection, bill: sqlite3.Row) -> dict[str, Any]:
        paid = db.execute(
            "SELECT reference, amount_fen FROM write_off WHERE bill_no = ? AND state = 'written_off'"
            " ORDER BY reference",
            (bill["bill_no"],),
        ).fetchall()
        return {
            "bill_no": bill["bill_no"],
            "period": bill["period"],
            "amount_fen": bill["amount_fen"],
            "open_fen": bill["amount_fen"] - sum(row["amount_fen"] for row in paid),
            "due_on": bill["due_on"],
            "written_off": [row["reference"] for row in paid],
        }

    def _objection(self, db: sqlite3.Connection, told: Told) -> str:
        row = db.execute("SELECT * FROM bill WHERE bill_no = ?", (told.bill_no,)).fetchone()
        if row is None or row["account_no"] != told.account_no:
            return "bill_unknown"
        open_fen = self._shown(db, row)["open_fen"]
        if told.amount_fen > open_fen:
            return "already_paid" if open_fen == 0 else "more_than_open"
        return "" if self._part or told.amount_fen == open_fen else "part_not_permitted"

    def _known(self, db: sqlite3.Connection, told: Told) -> Reply | None:
        row = db.execute("SELECT * FROM write_off WHERE reference = ?", (told.reference,)).fetchone()
        if row is None:
            return None
        held = Told(
            row["reference"], row["account_no"], row["bill_no"], row["amount_fen"],
            date.fromisoformat(row["business_date"]),
        )  # fmt: skip
        return Reply(row["state"], row["reason"]) if held == told else Reply("refused", "reference_taken")

    def _keep(self, db: sqlite3.Connection, told: Told, reply: Reply, at: datetime) -> None:
        db.execute(
            "INSERT INTO write_off VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (reference)"
            " DO UPDATE SET state = excluded.state, reason = excluded.reason, at = excluded.at",
            (
                told.reference, told.account_no, told.bill_no, told.amount_fen,
                told.business_date.isoformat(), reply.status, reply.reason, at.isoformat(),
            ),
        )  # fmt: skip

    def _is_closed(self, db: sqlite3.Connection, business_date: date) -> bool:
        found = db.execute("SELECT 1 FROM closed_day WHERE business_date = ?", (business_date.isoformat(),))
        return found.fetchone() is not None

    @contextmanager
    def _step(self) -> Iterator[sqlite3.Connection]:
        """One step of one thread: all of it or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            whole = False
            try:
                yield self._db
                whole = True
            finally:
                self._db.execute("COMMIT" if whole else "ROLLBACK")


def _without_header(content: bytes) -> bytes:
    """The lines alone: header and trailer differ from issue to issue."""
    return content.partition(b"\n")[2].rpartition(b"\nOCE1|")[0]

"""The simulated insurer's own books: claims by the city's reference, each honoured once, and what came in."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists claim (
    reference text primary key,
    business_date text not null,   -- the city's; empty where a cancellation came first
    digest text not null,          -- of the claim; empty where a cancellation came first
    standing text not null check (standing in ('approved', 'refused', 'cancelled')),
    fund_fen integer not null check (fund_fen >= 0),
    insurer_no text not null unique,
    reason text not null
);
create table if not exists arrival (
    number integer primary key,
    reference text not null,
    kind text not null check (kind in ('claim', 'query', 'cancel')),
    arrived_at text not null
);
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What the insurer says of a claim."""

    reference: str
    standing: str
    fund_fen: int
    insurer_no: str
    reason: str

    def body(self) -> dict[str, Any]:
        """As it goes over the wire."""
        return asdict(self)


class OtherClaim(Exception):
    """The reference belongs to a claim with other content."""


class InsurerJournal:
    """A SQLite file; every call is one transaction of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as db:
            db.executescript(_SCHEMA)

    def claim(self, claim: Mapping[str, Any], *, standing: str, fund_fen: int, reason: str) -> Told:
        """Decide a claim, or answer as before; a claim cancelled before it came stays cancelled.

        Raises OtherClaim where the reference is taken by other content.
        """
        reference = str(claim["reference"])
        digest = hashlib.sha256(json.dumps(claim, sort_keys=True).encode()).hexdigest()
        with closing(self._open()) as db, db:
            db.execute("begin immediate")
            held = db.execute("select digest from claim where reference = ?", [reference]).fetchone()
            if held is None:
                number = self._next_number(db)
                row = (reference, claim["business_date"], digest, standing, fund_fen, number, reason)
                db.execute("insert into claim values (?, ?, ?, ?, ?, ?, ?)", row)
            elif held[0] not in ("", digest):
                raise OtherClaim(f"reference {reference} is a claim with other content; use another")
            return self._told(db, reference)

    def query(self, reference: str) -> Told:
        """How a claim stands; `not_found` where it never came."""
        with closing(self._open()) as db:
            return self._told(db, reference)

    def cancel(self, reference: str) -> Told:
        """Take a claim back, or remember to refuse one that has not come yet; again, it changes nothing."""
        with closing(self._open()) as db, db:
            db.execute("begin immediate")
            row = (reference, "", "", "cancelled", 0, self._next_number(db), "cancelled before it came")
            db.execute(
                "insert into claim values (?, ?, ?, ?, ?, ?, ?) on conflict (reference) do nothing", row
            )
            cancelled = "update claim set standing = 'cancelled', fund_fen = 0 where reference = ?"
            db.execute(cancelled, [reference])
            return self._told(db, reference)

    def arrived(self, reference: str, kind: str, at: datetime) -> None:
        """Note that a question came in, whatever becomes of it."""
        with closing(self._open()) as db, db:
            row = (reference, kind, at.isoformat())
            db.execute("insert into arrival (reference, kind, arrived_at) values (?, ?, ?)", row)

    def arrivals(self, reference: str) -> dict[str, int]:
        """How often each kind of question about a claim came in."""
        with closing(self._open()) as db:
            query = "select kind, count(*) from arrival where reference = ? group by kind order by kind"
            return dict(db.execute(query, [reference]).fetchall())

    def totals(self) -> dict[str, int]:
        """What the insurer owes for the claims it has approved, and how many there are of each standing."""
        with closing(self._open()) as db:
            rows = db.execute("select standing, count(*) from claim group by standing").fetchall()
            owed = "select coalesce(sum(fund_fen), 0) from claim where standing = 'approved'"
            return {"fund_fen": db.execute(owed).fetchone()[0], **dict(rows)}

    def day(self, business_date: date) -> dict[str, Any]:
        """The claims that it pays of one of the city's business dates, with their totals."""
        query = (
            "select reference, fund_fen, insurer_no from claim"
            " where business_date = ? and standing = 'approved' order by reference"
        )
        with closing(self._open()) as db:
            rows = db.execute(query, [business_date.isoformat()]).fetchall()
        return {
            "business_date": business_date.isoformat(),
            "count": len(rows),
            "fund_fen": sum(row[1] for row in rows),
            "claims": [dict(zip(("reference", "fund_fen", "insurer_no"), row, strict=True)) for row in rows],
        }

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, timeout=10)

    @staticmethod
    def _next_number(db: sqlite3.Connection) -> str:
        count = db.execute("select count(*) from claim").fetchone()[0]
        return f"YB{count + 1:010d}"

    @staticmethod
    def _told(db: sqlite3.Connection, reference: str) -> Told:
        query = "select reference, standing, fund_fen, insurer_no, reason from claim where reference = ?"
        row = db.execute(query, [reference]).fetchone()
        return Told(reference, "not_found", 0, "", "no such claim") if row is None else Told(*row)

"""What a check of the books finds, and how two sides of an account are compared."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Select, or_, select


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the books that is not as it must be; amounts in fen, or counts where it says so."""

    check: str
    subject: str
    expected_fen: int
    found_fen: int
    message: str


Check = Callable[[Connection, date | None], list[Finding]]
"""Looks at what came on a business date or later, on top of the snapshots before; None is the beginning."""


Rows = Select[*tuple[Any, ...]]
"""A statement that finds rows."""

KEPT: Final = 16
"""Of how many dates statements are kept once they are made. To make those of a night's checks takes longer than to run
them on a small day's books."""


def both_sides(check: str, rows: Rows, conn: Connection, expected: str, found: str) -> list[Finding]:
    """Compare the sides of each row: subject, debits expected and found, credits expected and found."""
    return list(findings_of(check, conn.execute(differing(rows)), expected, found))


def differing(rows: Rows) -> Rows:
    """Those of the rows in which a side that is found is not the one expected."""
    sides = rows.subquery()
    subject, debits, debits_found, credits, credits_found = sides.c
    return select(sides).where(or_(debits != debits_found, credits != credits_found)).order_by(subject)


def findings_of(check: str, rows: Iterable[Sequence[Any]], expected: str, found: str) -> Iterator[Finding]:
    """The sides of each row that differ."""
    for subject, *amounts in rows:
        for side, expected_fen, found_fen in (("debits", *amounts[:2]), ("credits", *amounts[2:])):
            if expected_fen != found_fen:
                message = f"{subject}: {side} by {expected} {expected_fen} fen, by {found} {found_fen} fen"
                yield Finding(check, subject, expected_fen, found_fen, message)

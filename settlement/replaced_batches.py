"""Batches that were replaced before their night booked them, as they are written down (see `batch_replacement`)."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from settlement.tables import batch_replacement


@dataclass(frozen=True, slots=True)
class Replaced:
    """A replacement that was made, by whom and why: `undone` are the steps that its night does anew."""

    operator: str
    sequence: int
    night: date
    old_digest: str
    new_digest: str
    old_count: int
    new_count: int
    old_amount_fen: int
    new_amount_fen: int
    undone: tuple[str, ...]
    reason: str
    by: str


def replacements_of(conn: Connection, business_date: date) -> list[Replaced]:
    """What was replaced in the night of a business date, in order."""
    columns = batch_replacement.c
    query = select(batch_replacement).where(columns.night == business_date)
    return [
        Replaced(
            row.operator, row.sequence, row.night, row.old_digest, row.new_digest, row.old_count, row.new_count,
            row.old_amount_fen, row.new_amount_fen, tuple(step for step, _ in row.undone),
            row.reason, row.replaced_by,
        )
        for row in conn.execute(query.order_by(columns.replaced_at, columns.operator, columns.sequence))
    ]  # fmt: skip

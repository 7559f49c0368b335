"""Top-ups as they stand, and the strays: what channels confirmed and nobody could book."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, and_, insert, or_, select

from clearing.online.tables import stray_confirmation, topup


class TopUpState(StrEnum):
    """Where a top-up is: PENDING moves on once, and FAILED becomes CONFIRMED if it was paid after all."""

    PENDING = "pending"
    FAILED = "failed"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class TopUpRecord:
    """A top-up as it stands; `late` says that it was confirmed after it had expired or failed.

    `settled_at` is when the channel was paid, or said that it would not be.
    """

    reference: str
    holder: str
    channel_id: str
    amount_fen: int
    ordered_at: datetime
    expires_at: datetime | None
    state: TopUpState
    channel_reference: str | None
    settled_at: datetime | None
    entry_id: int | None
    late: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A confirmation that could not be booked, and why."""

    channel_id: str
    channel_reference: str
    reference: str
    amount_fen: int
    reason: str
    event_at: datetime
    received_at: datetime


def topup_of(conn: Connection, reference: str) -> TopUpRecord | None:
    """The top-up of a reference, or None where none was ordered under it."""
    found = _records(conn, select(topup).where(topup.c.reference == reference))
    return found[0] if found else None


def topup_by_channel_reference(conn: Connection, channel_id: str, number: str) -> TopUpRecord | None:
    """The top-up that a channel confirmed under its own number, or None."""
    own = (topup.c.channel_id == channel_id, topup.c.channel_reference == number)
    found = _records(conn, select(topup).where(*own))
    return found[0] if found else None


def pending_topups(conn: Connection, *, expired_at: datetime | None = None) -> list[TopUpRecord]:
    """Orders that the channel has not answered, oldest first; only those expired at an instant, if given."""
    query = select(topup).where(topup.c.state == TopUpState.PENDING.value)
    if expired_at is not None:
        query = query.where(topup.c.expires_at <= expired_at)
    return _records(conn, query.order_by(topup.c.ordered_at, topup.c.reference))


def topups_of_holder(
    conn: Connection, holder: str, *, limit: int = 50, before: tuple[datetime, str] | None = None
) -> list[TopUpRecord]:
    """A holder's newest top-ups first; `before` is when the last one seen was ordered, and its reference."""
    columns = topup.c
    query = select(topup).where(columns.holder == holder)
    if before is not None:
        at, reference = before
        alike = and_(columns.ordered_at == at, columns.reference < reference)
        query = query.where(or_(columns.ordered_at < at, alike))
    return _records(conn, query.order_by(columns.ordered_at.desc(), columns.reference.desc()).limit(limit))


def stray_confirmations(conn: Connection) -> list[Stray]:
    """What channels confirmed and we could not book, in the order of arrival."""
    columns = stray_confirmation.c
    arrival = (columns.received_at, columns.channel_id, columns.channel_reference)
    return [Stray(*row) for row in conn.execute(select(stray_confirmation).order_by(*arrival))]


def keep_stray(conn: Connection, stray: Stray) -> None:
    """List a confirmation for a person; told again, it stays as it was first."""
    own = (stray.channel_id, stray.channel_reference, stray.reference, stray.amount_fen)
    keys: Iterable[Any] = stray_confirmation.primary_key.columns
    known = select(stray_confirmation.c.reason).where(
        *(column == value for column, value in zip(keys, own, strict=True))
    )
    if conn.execute(known).one_or_none() is None:
        conn.execute(insert(stray_confirmation).values(astuple(stray)))


def _records(conn: Connection, query: Select[Any]) -> list[TopUpRecord]:
    return [
        TopUpRecord(
            reference=row.reference,
            holder=row.holder,
            channel_id=row.channel_id,
            amount_fen=row.amount_fen,
            ordered_at=row.ordered_at,
            expires_at=row.expires_at,
            state=TopUpState(row.state),
            channel_reference=row.channel_reference,
            settled_at=row.settled_at,
            entry_id=row.entry_id,
            late=row.late,
        )
        for row in conn.execute(query)
    ]

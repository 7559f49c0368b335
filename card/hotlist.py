"""Cards that no device may take any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from card.tables import hotlist
from ledger.accounts import Conflict
from ledger.bulk import insert_rows, one_of


@dataclass(frozen=True, slots=True)
class HotlistEntry:
    """A listed card; from `effective_at` on every device must hold the list that names it."""

    card_no: str
    listed_at: datetime
    effective_at: datetime
    reason: str


def hotlist_card(conn: Connection, entry: HotlistEntry) -> None:
    """Put a card on the hotlist; the same entry again changes nothing.

    Raises ValueError where the deadline lies before the listing, and Conflict where the card is listed
    already with another content: its first listing stands.
    """
    if entry.effective_at < entry.listed_at:
        raise ValueError(
            f"effective_at {entry.effective_at.isoformat()} lies before listed_at"
            f" {entry.listed_at.isoformat()}; give the deadline by which devices must hold the list"
        )
    row = conn.execute(select(hotlist).where(hotlist.c.card_no == entry.card_no)).one_or_none()
    if row is None:
        conn.execute(
            insert(hotlist).values(
                card_no=entry.card_no,
                listed_at=entry.listed_at,
                effective_at=entry.effective_at,
                reason=entry.reason,
            )
        )
    elif (ours := HotlistEntry(*row)) != entry:
        raise Conflict(f"hotlist entry of card {entry.card_no}", ours, entry)


def hotlist_cards(
    conn: Connection, card_nos: Sequence[str], listed_at: datetime, effective_at: datetime, reason: str
) -> None:
    """Put those of some cards, each named once, on the hotlist that are not on it: a first listing stands."""
    listed = frozenset(
        conn.scalars(select(hotlist.c.card_no).where(one_of(conn, hotlist.c.card_no, card_nos)))
    )
    rows = ((card_no, listed_at, effective_at, reason) for card_no in card_nos if card_no not in listed)
    insert_rows(conn, hotlist, rows)


def unlist_card(conn: Connection, card_no: str) -> bool:
    """Take a card that may be taken again off the hotlist; whether it was on it."""
    return conn.execute(delete(hotlist).where(hotlist.c.card_no == card_no)).rowcount == 1


def hotlisted(conn: Connection) -> list[HotlistEntry]:
    """Every listed card, by card number."""
    return [HotlistEntry(*row) for row in conn.execute(select(hotlist).order_by(hotlist.c.card_no))]

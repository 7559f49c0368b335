"""What wallets hold for rides on codes, what the scheme lays out for them, and how it comes back."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import Connection, bindparam, select, update

from clearing.online.qr_tables import qr_ride
from clearing.qr_owed import wallets_fen
from clearing.qr_rides import JudgedRide, Place
from clearing.tap_accounts import SHORTFALL
from ledger.entry import Entry, Line


def shorts_fen(paid: Sequence[JudgedRide], held_fen: dict[str, int]) -> dict[Place, int]:
    """What each ride lacks, taking each wallet's rides out of it in the order of time, as far as it reaches."""
    left_fen, lacking_fen = dict(held_fen), {}
    for one in paid:
        code = f"wallet:{one.holder}"
        covered_fen = min(one.paid_fen, left_fen.get(code, 0))
        left_fen[code] = left_fen.get(code, 0) - covered_fen
        lacking_fen[one.presented.place] = one.paid_fen - covered_fen
    return lacking_fen


def recoveries(conn: Connection, business_date: date, *, at: datetime) -> Entry | None:
    """Take back from wallets what was laid out for them, oldest ride first, and mark it; None where nothing is."""
    columns = qr_ride.c
    query = select(qr_ride).where(columns.short_fen > 0)
    rows = conn.execute(query.order_by(columns.event_at, columns.operator, columns.sequence)).all()
    left_fen = wallets_fen(conn, {row.holder for row in rows})
    lines, changes = [], []
    for row in rows:
        code = f"wallet:{row.holder}"
        amount_fen = min(row.short_fen, left_fen.get(code, 0))
        if amount_fen:
            left_fen[code] -= amount_fen
            lines.append(Line(code, SHORTFALL, amount_fen, f"{row.serial}:{row.nonce}"))
            changes.append(
                {
                    "of_operator": row.operator,
                    "of_sequence": row.sequence,
                    "of_position": row.position,
                    "short_fen": row.short_fen - amount_fen,
                }
            )
    if not lines:
        return None
    place = (
        qr_ride.c.operator == bindparam("of_operator"),
        qr_ride.c.sequence == bindparam("of_sequence"),
        qr_ride.c.position == bindparam("of_position"),
    )
    conn.execute(update(qr_ride).where(*place), changes)
    reference = f"qr-shortfall:{business_date}"
    return Entry(reference, "qr_shortfall", business_date, at, tuple(lines), "taken back")

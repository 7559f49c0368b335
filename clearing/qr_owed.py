"""What holders' wallets can pay, and what the scheme has laid out for their rides on codes."""

from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from clearing.online.qr_tables import qr_ride
from ledger import tables as ledger_tables
from ledger.bulk import one_of


def wallets_fen(conn: Connection, holders: Iterable[str]) -> dict[str, int]:
    """What each wallet can pay, by account code: its balance less what is held in it."""
    account, total = ledger_tables.account.c, ledger_tables.total.c
    free_fen = total.credits_posted_fen - total.debits_posted_fen - total.debits_held_fen
    codes = [f"wallet:{holder}" for holder in sorted(holders)]
    query = select(account.code, free_fen).join(ledger_tables.total, total.account_id == account.id)
    query = query.where(one_of(conn, account.code, codes))
    return {code: max(0, amount_fen) for code, amount_fen in conn.execute(query)}


def owed_fen(conn: Connection, holder: str) -> int:
    """What the scheme has laid out for a holder's rides and not got back, in fen."""
    columns = qr_ride.c
    query = select(func.coalesce(func.sum(columns.short_fen), 0)).where(columns.holder == holder)
    return int(conn.scalar(query) or 0)

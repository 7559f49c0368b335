"""The net position sheet: every party's position of a business date, kept as it was netted."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, insert, select

from settlement.netting import Position, Role, Standing
from settlement.tables import position as position_table


def store_positions(conn: Connection, business_date: date, positions: Sequence[Position]) -> None:
    """Keep the sheet; a business date has one."""
    rows = [
        {
            "business_date": business_date,
            "role": row.role,
            "party": row.party,
            "gross_fen": row.gross_fen,
            "fee_fen": row.fee_fen,
            "position_fen": row.position_fen,
            "state": row.standing,
        }
        for row in positions
    ]
    if rows:
        conn.execute(insert(position_table), rows)


def positions_of(conn: Connection, business_date: date) -> list[Position]:
    """The sheet of a business date: participants, the scheme, payers, each group by party."""
    table = position_table.c
    query = select(
        table.role, table.party, table.gross_fen, table.fee_fen, table.position_fen, table.state
    ).where(table.business_date == business_date)
    rows = [
        Position(Role(role), party, gross_fen, fee_fen, position_fen, Standing(state))
        for role, party, gross_fen, fee_fen, position_fen, state in conn.execute(query)
    ]
    order = tuple(Role)
    return sorted(rows, key=lambda row: (order.index(row.role), row.party))

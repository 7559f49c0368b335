"""Keeping judged taps and the cards' positions: columns into tables, a piece at a time."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Connection, MetaData, Table, func, select, text, update

from clearing.tables import card_position, tap
from ledger.ahead import ahead
from ledger.bulk import CHUNK_ROWS
from ledger.bulk_columns import insert_columns
from ledger.db import Fen, sort_within
from ledger.tables import account, total

KEYS = ("operator", "sequence", "position")
RENEWED = ("decided_on", "verdict", "money", "price_fen", "paid_fen", "tac_ok")


def are_kept(conn: Connection, business_date: date) -> bool:
    """Whether the taps that a night is shown for the first time are in the table, be it without their lines."""
    # None is decided before it is shown: that half has an index.
    shown = (tap.c.decided_on >= business_date, tap.c.business_date == business_date)
    return conn.execute(select(tap.c.position).where(*shown).limit(1)).one_or_none() is not None


def keep_taps(
    conn: Connection, pieces: Iterable[pa.Table], business_date: date, told: Callable[[int], None]
) -> None:
    """Keep newly presented taps, a row each; `told` hears of so many more that are on their way.

    Those of a piece come by card, as that index is the dearest to fill.
    """
    names = [column.name for column in tap.c]
    with ahead(_columns(piece, names, business_date) for piece in pieces) as several:
        for columns in several:
            # A statement each: PostgreSQL sets a statement's new rows aside for the trigger that looks at them.
            insert_columns(conn, tap, _telling(columns, told))


def _telling(columns: pa.Table, told: Callable[[int], None]) -> Iterator[pa.Table]:
    for start in range(0, columns.num_rows, CHUNK_ROWS):
        rows = columns.slice(start, CHUNK_ROWS)
        yield rows
        told(rows.num_rows)


def renew_taps(conn: Connection, pieces: Iterable[pa.Table], business_date: date) -> None:
    """Give retried taps the verdict of this night where it is another one."""
    names = [*KEYS, *RENEWED]
    rows = (_columns(piece, names, business_date) for piece in pieces)
    with stage_of(conn, [Column(name, tap.c[name].type) for name in names], rows) as stage:
        conn.execute(
            update(tap)
            .where(*(tap.c[name] == stage.c[name] for name in KEYS))
            .where((tap.c.verdict != stage.c.verdict) | (tap.c.money != stage.c.money))
            .values({name: stage.c[name] for name in RENEWED})
        )


def keep_positions(conn: Connection, positions: Iterable[pa.Table]) -> None:
    """Move each card's position to the highest counter that its own taps show; see `Judged.positions`."""
    names = [column.name for column in card_position.c]
    rows = (_with_instant(piece).select(names) for piece in positions)
    with stage_of(conn, [Column(one.name, one.type) for one in card_position.c], rows):
        # On conflict: `excluded` is what tonight's taps show.
        conn.execute(
            text(
                "INSERT INTO card_position (card_no, first_counter, counter, balance_fen, event_at)"
                " SELECT card_no, first_counter, counter, balance_fen, event_at FROM stage WHERE true"
                " ON CONFLICT (card_no) DO UPDATE SET"
                " first_counter = CASE WHEN excluded.first_counter < card_position.first_counter"
                " THEN excluded.first_counter ELSE card_position.first_counter END,"
                " balance_fen = CASE WHEN excluded.counter > card_position.counter"
                " THEN excluded.balance_fen ELSE card_position.balance_fen END,"
                " event_at = CASE WHEN excluded.counter > card_position.counter"
                " THEN excluded.event_at ELSE card_position.event_at END,"
                " counter = CASE WHEN excluded.counter > card_position.counter"
                " THEN excluded.counter ELSE card_position.counter END"
            )
        )


def short_purses(conn: Connection, costs: Iterable[pa.Table]) -> dict[str, int]:
    """The cards that cost more than their purses hold, with what these hold; one without a purse has nothing.

    `costs` are by card: `card_no`, `amount_fen`.
    """
    columns = [Column("card_no", tap.c.card_no.type), Column("amount_fen", Fen)]
    with stage_of(conn, columns, costs) as stage:
        if conn.dialect.name == "postgresql":
            conn.execute(text("ANALYZE stage"))
        sort_within(conn, megabytes=128)  # the purses of a city
        held = func.coalesce(total.c.credits_posted_fen - total.c.debits_posted_fen, 0)
        own = (account.c.segment == "purse") & (account.c.code == "purse:" + stage.c.card_no)
        query = (
            select(stage.c.card_no, held)
            .select_from(stage.outerjoin(account, own).outerjoin(total, total.c.account_id == account.c.id))
            .where(stage.c.amount_fen > held)
        )
        return dict(conn.execute(query).all())


@contextmanager
def stage_of(conn: Connection, columns: list[Column[Any]], rows: Iterable[pa.Table]) -> Iterator[Table]:
    """A temporary table `stage` of these columns, filled; gone afterwards."""
    stage = Table("stage", MetaData(), *columns, prefixes=["TEMPORARY"])
    stage.create(conn)
    insert_columns(conn, stage, rows)
    yield stage
    stage.drop(conn)


def _columns(judged: pa.Table, names: list[str], business_date: date) -> pa.Table:
    """Taps as columns of their table: tonight's date, the instant of the tap, and what they have of their own."""
    tonight = pa.repeat(pa.scalar(business_date, pa.date32()), judged.num_rows)
    judged = _with_instant(judged)
    return pa.table(
        {name: tonight if name in ("business_date", "decided_on") else judged[name] for name in names}
    )


def _with_instant(table: pa.Table) -> pa.Table:
    microseconds: Any = pc.multiply(table["at_s"], 1_000_000)
    return table.append_column("event_at", microseconds.cast(pa.timestamp("us", "UTC")))

"""Keeping judged taps and the cards' positions, thousands to a statement."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
from sqlalchemy import Column, Connection, MetaData, Table, text, update

from clearing.tables import card_position, tap
from ledger.bulk import insert_rows

KEYS = ("operator", "sequence", "position")
RENEWED = ("decided_on", "verdict", "money", "price_fen", "paid_fen", "tac_ok")


def keep_taps(conn: Connection, judged: pa.Table, business_date: date) -> None:
    """Keep newly presented taps, a row each."""
    given = {"business_date": business_date, "decided_on": business_date}
    insert_rows(conn, tap, _rows(judged, [column.name for column in tap.c], given))


def renew_taps(conn: Connection, judged: pa.Table, business_date: date) -> None:
    """Give retried taps the verdict of this night where it is another one."""
    names = [*KEYS, *RENEWED]
    with _stage(conn, tap, names, _rows(judged, names, {"decided_on": business_date})) as stage:
        conn.execute(
            update(tap)
            .where(*(tap.c[name] == stage.c[name] for name in KEYS))
            .where((tap.c.verdict != stage.c.verdict) | (tap.c.money != stage.c.money))
            .values({name: stage.c[name] for name in RENEWED})
        )


def keep_positions(conn: Connection, chained: pa.Table) -> None:
    """Move each card's position to the highest counter that its own taps show; `chained` is by `no`."""
    first: dict[str, int] = {}
    last: dict[str, tuple[int, int, int]] = {}
    for card_no, counter, before_fen, amount_fen, at_s in zip(
        *(
            chained[name].to_pylist()
            for name in ("card_no", "counter", "balance_before_fen", "amount_fen", "at_s")
        ),
        strict=True,
    ):
        first[card_no] = min(counter, first.get(card_no, counter))
        if card_no not in last or counter > last[card_no][0]:
            last[card_no] = (counter, before_fen - amount_fen, at_s)
    rows = (
        (card_no, first[card_no], counter, balance_fen, _instant(at_s))
        for card_no, (counter, balance_fen, at_s) in sorted(last.items())
    )
    names = [column.name for column in card_position.c]
    with _stage(conn, card_position, names, rows):
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


@contextmanager
def _stage(
    conn: Connection, like: Table, names: list[str], rows: Iterable[tuple[Any, ...]]
) -> Iterator[Table]:
    """A temporary table `stage` with some columns of another one, filled; gone afterwards."""
    columns = [Column(name, like.c[name].type) for name in names]
    stage = Table("stage", MetaData(), *columns, prefixes=["TEMPORARY"])
    stage.create(conn)
    insert_rows(conn, stage, rows)
    yield stage
    stage.drop(conn)


def _rows(judged: pa.Table, names: list[str], given: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Rows with these columns in order: given ones, the instant of the tap, and the table's own."""
    columns = []
    for name in names:
        if name in given:
            columns.append([given[name]] * judged.num_rows)
        elif name == "event_at":
            columns.append([_instant(at_s) for at_s in judged["at_s"].to_pylist()])
        else:
            columns.append(judged[name].to_pylist())
    return zip(*columns, strict=True)


@lru_cache(maxsize=100_000)
def _instant(at_s: int | None) -> datetime | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC)

"""Taps as a night has written them, for what reads them afterwards."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert

from clearing.tables import batch_file, tap
from ledger.db import writing
from tests.support.clearing_day import DAY, ISSUER, TAP, at, card_no, terminal_no

Row = dict[str, Any]


def tap_row(position: int, when: datetime, **other: object) -> Row:
    """A paid bus tap of the card, as the night wrote it."""
    return {
        "operator": "BUS-1", "sequence": 1, "position": position, "business_date": DAY, "decided_on": DAY,
        "verdict": "accepted", "money": "paid", "card_no": card_no(1), "counter": position + 1, "issuer": ISSUER,
        "ride": 1, "holder_class": 1, "terminal": terminal_no(1), "terminal_sequence": position,
        "event_at": when, "line": 7, "station": 3, "balance_before_fen": 1_000, "amount_fen": 160,
        "list_fare_fen": 200, "price_fen": 160, "paid_fen": 160, "tac_ok": True, "flaw": "",
        "record": TAP.pack(), **other,
    }  # fmt: skip


def write_taps(engine: Engine, *rows: Row) -> None:
    with writing(engine) as conn:
        conn.execute(
            insert(batch_file).values(
                operator="BUS-1", sequence=1, digest="0" * 64, business_date=DAY, made_at=at(21),
                record_count=len(rows), amount_fen=0, collected_on=DAY,
            )
        )  # fmt: skip
        conn.execute(insert(tap), list(rows))


def suspended(position: int, when: datetime, **other: object) -> Row:
    words = {"verdict": "device_unknown", "money": "suspended", "paid_fen": 0}
    return tap_row(position, when, **words | other)

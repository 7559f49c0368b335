"""While the last taps of a night go in, its lines are there, terminals are counted, and others go on posting."""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from threading import Event
from time import sleep

import pyarrow as pa
import pytest
from sqlalchemy import Connection, Engine, event

from card.hsm.client import Hsm
from clearing.context import Night, StepResult
from clearing.records import keep_taps
from clearing.terminal_gaps import count_terminals
from ledger.db import writing
from tests.support.clearing_day import DAY, SmallCity
from tests.support.numbered_taps import numbered

PATIENCE_S = 10
"""Longer than anybody here takes."""
OTHERS = 20


def _patient(conn: Connection) -> None:
    conn.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE_S}s'")


@pytest.mark.parametrize(
    "database_url", ["postgresql"], indirect=True
)  # SQLite has one writer, who has all to himself
def test_nobody_waits_for_the_last_taps(
    engine: Engine, city_hsm: Hsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city = SmallCity(engine, city_hsm, tmp_path / "city")
    city.furnish(cards=40)
    counted, posted = Event(), 0

    def counting(counts: Engine, night: Night) -> StepResult:
        counted.set()
        return count_terminals(counts, night)

    def keeping(
        conn: Connection, pieces: Iterable[pa.Table], business_date: date, told: Callable[[int], None]
    ) -> None:
        nonlocal posted
        keep_taps(conn, pieces, business_date, told)
        assert counted.wait(PATIENCE_S)
        for _ in range(OTHERS):
            with writing(engine):
                posted += 1
            sleep(0.02)

    monkeypatch.setattr("clearing.steps.count_terminals", counting)
    monkeypatch.setattr("clearing.booking.keep_taps", keeping)
    event.listen(engine, "begin", _patient)
    # It is the operator's first night: its account has to be opened, too.
    city.present("BUS-1", 1, [numbered(number, DAY) for number in (3, 5)])
    counts = city.clear()["post"].counts
    assert (posted, counts["taps"], counts["missing_taps"]) == (OTHERS, 2, 1)

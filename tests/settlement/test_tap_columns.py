"""Taps in columns, as statements have them, are the taps that the books hold, on either database."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select, true, update

from card.hsm.client import Hsm
from clearing.tables import tap
from ledger.db import reading, writing
from settlement.statement_lines import night_rides, tap_lines, tap_texts
from settlement.tap_columns import NUMBERS, OTHERS, TEXTS, tap_columns
from tests.support.clearing_day import DAY, SmallCity, terminal_no
from tests.support.numbered_taps import numbered


def test_texts_of_taps_are_their_cells_also_of_a_record_that_cannot_be_read(
    engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    city = SmallCity(engine, city_hsm, tmp_path / "city")
    city.furnish(cards=40)
    whole = numbered(3).pack()
    unreadable = whole[:1] + b"\x63" + whole[2:]
    city.present("BUS-1", 1, [numbered(1), unreadable, numbered(1), numbered(2)])
    city.present("BUS-1", 2, [numbered(5), numbered(4, terminal=terminal_no(9))])
    city.present("METRO-1", 1, [numbered(6, terminal=terminal_no(3))])
    city.clear()
    with reading(engine) as conn:
        unread = conn.scalar(select(func.count()).where(tap.c.event_at.is_(None), tap.c.price_fen.is_(None)))
        assert unread == 1
        rides = night_rides(tap, conn, DAY)
        assert {operator: dict(one.batches) for operator, one in rides.items()} == {
            "BUS-1": {1: 4, 2: 2}, "METRO-1": {1: 1}
        }  # fmt: skip
        for operator, one in rides.items():
            count = sum(one.batches.values())
            cells = [tuple(map(str, row)) for row in tap_lines(conn, operator, one.batches, DAY, count)]
            texts = "".join(tap_texts(conn, operator, one.batches, DAY)).splitlines()
            assert [tuple(text.split(",")) for text in texts] == cells
            assert len(cells) == count


def test_of_no_taps_there_are_columns_without_rows(engine: Engine) -> None:
    with reading(engine) as conn:
        none = tap_columns(conn, "BUS-1", (1, 9), true())
    assert none.num_rows == 0
    assert set(none.column_names) == {*NUMBERS, *OTHERS, *TEXTS}


def test_instants_are_cut_to_the_second_and_not_rounded(
    engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    city = SmallCity(engine, city_hsm, tmp_path / "city")
    city.furnish(cards=40)
    city.present("BUS-1", 1, [numbered(1)])
    city.clear()
    with writing(engine) as conn:
        event_at = conn.scalars(select(tap.c.event_at)).one()
        assert event_at is not None
        conn.execute(update(tap).values(event_at=event_at + timedelta(microseconds=999_999)))
    with reading(engine) as conn:
        (told,) = tap_columns(conn, "BUS-1", (1, 1), true())["event_s"].to_pylist()
    assert told == event_at.timestamp()

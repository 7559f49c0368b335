"""A tap belongs to a file of its operator: held by the database, on PostgreSQL once a statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.exc import DBAPIError

from clearing.tables import batch_file, tap
from ledger.bulk import insert_rows
from ledger.db import migrate, reading, writing

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)


def a_tap(sequence: int, position: int) -> tuple[object, ...]:
    return (
        "BUSA", sequence, position, DAY, DAY, "accepted", "paid", "03104870000000000001", 1 + position, "03104870", 1,
        1, "860100000001", 1 + position, AT, 1, 1, 5_000, 200, 200, 200, 200, True, "", bytes(64),
    )  # fmt: skip


@contextmanager
def refused(engine: Engine) -> Iterator[None]:
    before = kept(engine)
    with pytest.raises(DBAPIError):
        yield
    assert kept(engine) == before


def kept(engine: Engine) -> list[tuple[int, int]]:
    with reading(engine) as conn:
        taps = conn.execute(select(tap.c.sequence, func.count()).group_by(tap.c.sequence)).all()
    return sorted((sequence, count) for sequence, count in taps)


@pytest.fixture
def filed(engine: Engine) -> Engine:
    """Two files of an operator, the first with two taps."""
    with writing(engine) as conn:
        files = [("BUSA", sequence, f"{sequence:064x}", DAY, AT, 2, 400, DAY, None) for sequence in (1, 2)]
        insert_rows(conn, batch_file, files)
        insert_rows(conn, tap, [a_tap(1, 0), a_tap(1, 1)])
    return engine


def test_one_stray_tap_among_many_refuses_them_all(filed: Engine) -> None:
    with refused(filed), writing(filed) as conn:
        insert_rows(conn, tap, [a_tap(2, 0), a_tap(3, 0), a_tap(2, 1)])
    with writing(filed) as conn:
        insert_rows(conn, tap, [a_tap(2, 0), a_tap(2, 1)])
    assert kept(filed) == [(1, 2), (2, 2)]


def test_a_tap_cannot_be_given_to_no_file(filed: Engine) -> None:
    with refused(filed), writing(filed) as conn:
        conn.execute(update(tap).where(tap.c.position == 1).values(sequence=9))
    assert kept(filed) == [(1, 2)]


def test_a_file_with_taps_is_neither_deleted_nor_renumbered(filed: Engine) -> None:
    of_first = batch_file.c.sequence == 1
    for change in (delete(batch_file).where(of_first), update(batch_file).where(of_first).values(sequence=9)):
        with refused(filed), writing(filed) as conn:
            conn.execute(change)
    with writing(filed) as conn:
        conn.execute(update(batch_file).where(of_first).values(cleared_on=DAY))
        conn.execute(delete(batch_file).where(batch_file.c.sequence == 2))
    assert kept(filed) == [(1, 2)]


def test_taps_belong_to_files_before_and_after_the_migration(filed: Engine) -> None:
    migrate(filed, "0034_holder_classes")
    with refused(filed), writing(filed) as conn:
        insert_rows(conn, tap, [a_tap(3, 0)])
    migrate(filed)
    with refused(filed), writing(filed) as conn:
        insert_rows(conn, tap, [a_tap(3, 0)])
    assert kept(filed) == [(1, 2)]

"""No change of an archived month, of its file or beside it, stays unseen; changed books are not archived at all."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.archive import ArchiveDamaged
from ledger.archiving import ArchiveRefused, archive_month, store_archive, write_archive
from ledger.day import begin_close
from ledger.db import migrate, reading, writing, writing_ahead
from ledger.history import history
from ledger.verify import verify_books
from tests.ledger.archived_books import AUGUST, CARDS, NOW, SEPTEMBER, Shelf, drops_lines, line_count, tamper
from tests.ledger.sealed_books import at, book, load, open_books, ride, seal_day, sign
from tests.ledger.some_books import overtake
from tests.support.depth import examples


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_line SET amount_fen = 9 WHERE item = 'batch:1'",
        "UPDATE ledger_line SET item = 'x' WHERE item = 'batch:1'",
        "DELETE FROM ledger_line WHERE item = 'batch:1'",
        "UPDATE ledger_entry SET narrative = 'x' WHERE reference = 'batch:1'",
    ],
)
def test_books_that_were_changed_are_not_archived(shelf: Shelf, change: str) -> None:
    tamper(shelf.engine, change)
    before = line_count(shelf.engine)
    with pytest.raises(ArchiveRefused, match="'batch:1' was changed after it was booked"):
        shelf.archive(AUGUST)
    assert line_count(shelf.engine) == before


def test_nothing_is_dropped_when_the_file_changed_before_it_was_signed(shelf: Shelf) -> None:
    before = line_count(shelf.engine)
    with reading(shelf.engine) as conn:
        draft = write_archive(conn, AUGUST, shelf.folder)
    path = shelf.folder / draft.name
    path.write_bytes(path.read_bytes()[:-1])
    with (
        pytest.raises(ArchiveRefused, match="was changed since it was written"),
        writing(shelf.engine) as conn,
    ):
        store_archive(conn, draft, shelf.folder, *sign(draft.sha256), at=at(NOW))
    assert line_count(shelf.engine) == before
    assert shelf.archive(AUGUST)
    assert shelf.findings() == []


def test_nothing_is_dropped_when_the_signature_does_not_come(shelf: Shelf) -> None:
    before = line_count(shelf.engine)

    def out_of_order(_root: bytes) -> tuple[int, bytes]:
        raise ConnectionError("the HSM is away")

    with pytest.raises(ConnectionError):
        archive_month(shelf.engine, AUGUST, shelf.folder, out_of_order, at=at(NOW))
    assert line_count(shelf.engine) == before
    assert shelf.archive(AUGUST)


def test_a_missing_file_is_named(shelf: Shelf) -> None:
    shelf.archive(AUGUST)
    path = shelf.folder / "lines-2018-08.parquet"
    path.rename(path.with_suffix(".elsewhere"))
    (found,) = shelf.findings()
    assert re.search("the archive of 2018-08, cannot be read .No such file.*bring it back from a copy", found)
    with reading(shelf.engine) as conn:
        if drops_lines(shelf.engine):
            with pytest.raises(ArchiveDamaged, match=r"lines-2018-08\.parquet"):
                history(conn, "purse:1", archive=shelf.archived)
        (found,) = [one.message for one in verify_books(conn)]
    assert found == "2018-08 is archived and was not looked at; name the folder of the archive"


@examples(8)
@given(data=st.data())
def test_a_changed_bit_in_a_file_is_found(shelf: Shelf, data: st.DataObject) -> None:
    shelf.archive(AUGUST)
    path = shelf.folder / "lines-2018-08.parquet"
    good = path.read_bytes()
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    changed = bytearray(good)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)
    (found,) = shelf.findings()
    path.write_bytes(good)
    assert "the archive of 2018-08, was changed: its SHA-256 is" in found
    assert shelf.findings() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE ledger_archive SET rows = rows + 1", "the entries of 2018-08 have 7 lines, its archive 7"),
        (
            "UPDATE ledger_archive SET sha256 = (SELECT root FROM ledger_seal LIMIT 1)",
            "was changed: its SHA-256",
        ),
        ("UPDATE ledger_archive SET signature = (SELECT root FROM ledger_seal LIMIT 1)", "is not signed by"),
        (
            "UPDATE ledger_archive SET name = 'x' WHERE month = '2018-09-01'",
            "x, the archive of 2018-09, cannot be read",
        ),
        ("UPDATE ledger_archive SET month = '2018-07-01' WHERE month = '2018-08-01'", "'2018-07'"),
        (
            "UPDATE ledger_total SET debits_before_fen = debits_before_fen + 1 WHERE account_id = 5",
            "purse:2: debits",
        ),
        (
            "UPDATE ledger_total SET moved_on = '2018-08-30' WHERE account_id = 5",
            "purse:2 moved on 2018",
        ),
        ("UPDATE ledger_archive SET key_version = 9", "is not signed by key version 9"),
        (
            "UPDATE ledger_archive SET archived_at = '2018-10-03T00:00:00.000000+00:00'",
            "archived month '2018-08'",
        ),
        ("DELETE FROM ledger_archive", "archived month '2018-08' is not what the events say"),
        (
            "UPDATE ledger_entry SET narrative = 'x' WHERE reference = 'batch:1'",
            "entry 'batch:1' was changed",
        ),
        (
            "UPDATE ledger_entry SET line_count = 2 WHERE reference = 'batch:1'",
            "the entries of 2018-08 have 6 lines",
        ),
        (
            "UPDATE ledger_snapshot SET debits_posted_fen = 1 WHERE business_date = '2018-08-31'",
            "clearing:METRO-1",
        ),
        ("DELETE FROM ledger_snapshot WHERE business_date = '2018-08-30'", "on 2018-08-30: by lines"),
        (
            "INSERT INTO ledger_snapshot VALUES (1, '2018-09-05', 1, 1)",
            "agent:A on",
        ),
        (
            "UPDATE ledger_total SET last_line_id = 201808300000000001 WHERE account_id = 7",
            "walks_reach_every_line",
        ),
    ],
)
def test_a_change_beside_an_archived_month_is_found(shelf: Shelf, change: str, said: str) -> None:
    shelf.archive(AUGUST)
    shelf.archive(SEPTEMBER)
    tamper(shelf.engine, change)
    assert said in "\n".join(shelf.findings())


def test_a_line_that_forgets_its_archived_predecessor_is_found(shelf: Shelf) -> None:
    shelf.archive(AUGUST)
    shelf.archive(SEPTEMBER)
    tamper(shelf.engine, "UPDATE ledger_line SET debit_before_id = 0 WHERE item = 'batch:4'")
    assert any(one.startswith("walks_reach_every_line") for one in shelf.findings())


@pytest.mark.parametrize("change", ["UPDATE ledger_archive SET rows = 1", "DELETE FROM ledger_archive"])
def test_the_database_keeps_what_was_archived_as_written(shelf: Shelf, change: str) -> None:
    shelf.archive(AUGUST)
    with pytest.raises(DBAPIError, match="ledger_archive is append-only"), writing(shelf.engine) as conn:
        conn.execute(text(change))


LINES = st.lists(
    st.tuples(st.sampled_from(CARDS), st.integers(1, 30), st.booleans(), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


@examples(4)
@given(booked=LINES)
def test_any_books_are_the_same_to_whoever_asks_after_archiving(
    engine: Engine, booked: list[tuple[str, int, bool, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    migrate(engine, "base")
    migrate(engine)
    days = (date(2018, 8, 31), SEPTEMBER, date(2018, 9, 2))
    open_books(engine, days[0])
    book(engine, *(load(days[0], card, 10_000) for card in CARDS))
    for place, day in enumerate(days):
        own = [(f"b:{n}", one) for n, one in enumerate(booked) if one[3] == place]
        for name, (card, fare_fen, _, _) in own:
            book(engine, ride(day, name, (card, fare_fen)))
        with writing(engine) as conn:
            following = begin_close(conn, day, at=at(day, 15))
        for name, (card, fare_fen, late, _) in own:
            if late:
                noon, own_day = (ride(on, f"{name}:{on}", (card, fare_fen)) for on in (following, day))
                if fare_fen % 2:
                    overtake(engine, own_day, noon, at=at(day, 15))
                else:
                    book(engine, noon)
                    book(engine, own_day, closing=True)
        seal_day(engine, day)
    shelf = Shelf(engine, tmp_path_factory.mktemp("any"))
    before = shelf.walks(limit=100)
    assert shelf.archive(AUGUST)
    assert shelf.walks(limit=100) == before
    assert shelf.findings() == []


def test_no_month_is_archived_while_a_night_writes_lines_ahead_of_the_lock(shelf: Shelf) -> None:
    before = line_count(shelf.engine)
    if drops_lines(shelf.engine):
        with writing_ahead(shelf.engine):
            with pytest.raises(
                ArchiveRefused, match="a night is writing lines; archive 2018-08 again when it is done"
            ):
                shelf.archive(AUGUST)
            assert line_count(shelf.engine) == before
    assert shelf.archive(AUGUST)
    assert shelf.findings() == []


def test_lines_that_others_are_reading_are_not_dropped_under_them(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.archiving.LOCK_TIMEOUT_S", 1)
    before = line_count(shelf.engine)
    with reading(shelf.engine) as conn:
        assert conn.execute(text("SELECT count(*) FROM ledger_line")).scalar_one() == before
        if drops_lines(shelf.engine):
            with pytest.raises(
                ArchiveRefused, match="are being read by others; archive again when they are done"
            ):
                shelf.archive(AUGUST)
            assert line_count(shelf.engine) == before
        assert conn.execute(text("SELECT count(*) FROM ledger_line")).scalar_one() == before
    assert shelf.archive(AUGUST)
    assert shelf.findings() == []

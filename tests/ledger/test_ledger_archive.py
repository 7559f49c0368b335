"""Archived months leave the books where they can, and whoever asks about them still gets every answer."""

import hashlib
import re
from dataclasses import replace
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, inspect, text

from ledger.archive import Archive, LinesArchived, archives, lines_begin
from ledger.archive_file import SCHEMA
from ledger.archived_line import sha256_of
from ledger.archiving import ArchiveRefused, archive_month
from ledger.balances import balance_at, balance_on, balances
from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import migrate, reading, writing
from ledger.entry import Posted, Reason, Refused
from ledger.export import write_hledger
from ledger.history import history
from ledger.journal import read_day
from ledger.orders import Reversal
from ledger.post import post, reversal_of
from ledger.seal import prove, verify_proof
from ledger.verify import verify_books
from tests.ledger.archived_books import (
    AUGUST,
    FIRST,
    LAST,
    NOW,
    OCTOBER,
    SEPTEMBER,
    Shelf,
    drops_lines,
    line_count,
)
from tests.ledger.sealed_books import (
    PUBLIC_KEY,
    at,
    book,
    load,
    open_books,
    seal_day,
    seal_until,
    sign,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs/formats/archive.md").read_text()


def test_an_archived_month_is_a_signed_file_and_its_lines_leave_the_books(shelf: Shelf) -> None:
    before = line_count(shelf.engine)
    assert shelf.archive(AUGUST) and shelf.archive(date(2018, 9, 17))
    with reading(shelf.engine) as conn:
        august, september = archives(conn)
        assert lines_begin(conn) == (OCTOBER if drops_lines(shelf.engine) else None)
    assert [(one.month, one.name, one.rows) for one in (august, september)] == [
        (AUGUST, "lines-2018-08.parquet", 7),
        (SEPTEMBER, "lines-2018-09.parquet", 6),
    ]
    assert september.sha256 == sha256_of(shelf.folder / september.name)
    assert sign(september.root) == (september.key_version, september.signature)
    assert line_count(shelf.engine) == (before - 13 if drops_lines(shelf.engine) else before)
    assert [path.name for path in sorted(shelf.folder.iterdir())] == [august.name, september.name]


def test_verification_reads_archived_months_from_their_files(shelf: Shelf) -> None:
    assert shelf.findings() == []
    for month in (AUGUST, SEPTEMBER):
        shelf.archive(month)
        assert shelf.findings() == []
        with reading(shelf.engine) as conn:
            assert check_books(conn) == []
    seal_day(shelf.engine, NOW)
    book(shelf.engine, load(NOW + timedelta(days=1), "4", 5, "load:later"))
    assert shelf.findings() == []


def test_every_balance_and_movement_is_as_it_was_before_archiving(shelf: Shelf) -> None:
    booked, quiet = (FIRST, FIRST + timedelta(days=1), date(2018, 9, 3), LAST, NOW), date(2018, 9, 15)
    around = {day + timedelta(days=aside) for day in booked for aside in (-1, 0, 1)} | {quiet}
    days = sorted(day for day in around if FIRST <= day <= NOW)
    instants = [at(day, hour) for day in days for hour in (0, 3, 5, 12, 23)]

    def asked() -> list[object]:
        with reading(shelf.engine) as conn:
            codes = [one.code for one in balances(conn)]
            return [
                shelf.walks(),
                [balance_on(conn, code, day) for code in codes for day in days],
                [
                    balance_at(conn, code, instant, shelf.archived)
                    for code in codes[::3]
                    for instant in instants
                ],
                [list(read_day(conn, day, shelf.archived)) for day in days],
            ]

    before = asked()
    shelf.archive(AUGUST)
    assert asked() == before
    shelf.archive(SEPTEMBER)
    assert asked() == before


def test_a_walk_crosses_between_books_and_archive_and_back(shelf: Shelf) -> None:
    shelf.archive(AUGUST)
    shelf.archive(SEPTEMBER)
    walk = shelf.walks()["purse:1"]
    assert [one.reference for one in walk] == [
        "batch:6",
        "batch:5",
        "batch:3",
        "batch:4",
        "batch:1",
        "batch:1",
        "load:1",
    ]
    with reading(shelf.engine) as conn:
        for place, seen in enumerate(walk):
            after = history(conn, "purse:1", limit=2, before=seen.line_id, archive=shelf.archived)
            assert after == walk[place + 1 : place + 3]
        with pytest.raises(LookupError, match="is none of account purse:2"):
            history(conn, "purse:2", before=walk[-1].line_id, archive=shelf.archived)
        with pytest.raises(LookupError, match="line 5 is none of account purse:1"):
            history(conn, "purse:1", before=5, archive=shelf.archived)


def test_the_file_has_the_columns_of_the_journal_that_auditors_read(shelf: Shelf) -> None:
    query = "SELECT {} FROM {} ORDER BY entry, line"
    columns = "entry, reference, kind, narrative, reverses, line, debit, credit, amount_fen, item"
    with reading(shelf.engine) as conn:
        month = "(SELECT * FROM audit_general_journal WHERE entry < 201810010000000000) j"
        expected = [tuple(row) for row in conn.execute(text(query.format(columns, month)))]
    shelf.archive(AUGUST)
    shelf.archive(SEPTEMBER)
    files = f"read_parquet('{shelf.folder}/lines-*.parquet')"
    found = duckdb.connect().execute(query.format(columns, files)).fetchall()
    assert found == expected
    names = pq.read_schema(shelf.folder / "lines-2018-09.parquet").names
    assert names == SCHEMA.names
    told = re.findall(r"`(\w+)`", PAGE.partition("## The file")[2].partition("## The signature")[0])
    assert sorted(set(told) - {"YYYYMMDD"}) == sorted(names)


def test_what_is_signed_is_what_the_page_says(shelf: Shelf) -> None:
    shelf.archive(AUGUST)
    content = (shelf.folder / "lines-2018-08.parquet").read_bytes()
    signed = b"onecard/archive/v1" + b"2018-08" + (7).to_bytes(8, "big") + hashlib.sha256(content).digest()
    with reading(shelf.engine) as conn:
        assert archives(conn)[0].root == hashlib.sha256(signed).digest()


def test_an_entry_is_proved_from_its_archived_month(shelf: Shelf) -> None:
    shelf.archive(AUGUST)
    with reading(shelf.engine) as conn:
        proof = prove(conn, "batch:1", shelf.archived)
        assert verify_proof(proof, PUBLIC_KEY)
        assert proof == (proof if drops_lines(shelf.engine) else prove(conn, "batch:1"))


def test_what_needs_archived_lines_says_so_where_no_archive_is_named(shelf: Shelf) -> None:
    shelf.archive(AUGUST)
    asked = (
        lambda conn: prove(conn, "batch:1"),
        lambda conn: balance_at(conn, "purse:1", at(FIRST, 4)),
        lambda conn: write_hledger(conn, StringIO()),
        lambda conn: reversal_of(
            conn, "batch:1", reversal_reference="r", business_date=NOW, event_at=at(NOW)
        ),
    )
    with reading(shelf.engine) as conn:
        for ask in asked:
            if drops_lines(shelf.engine):
                with pytest.raises(
                    LinesArchived, match="2018-08 are archived; name the folder of the archive"
                ):
                    ask(conn)
            else:
                assert ask(conn)
        assert write_hledger(conn, StringIO(), shelf.archived) == 12


def test_an_archived_entry_is_reversed_once_with_its_own_lines(shelf: Shelf) -> None:
    shelf.archive(AUGUST)
    with reading(shelf.engine) as conn:
        mirror = reversal_of(
            conn,
            "batch:1",
            reversal_reference="back:1",
            business_date=NOW,
            event_at=at(NOW),
            archive=shelf.archived,
        )
    wrong = replace(mirror, lines=(*mirror.lines[:-1], replace(mirror.lines[-1], amount_fen=149)))
    lazy = Reversal("back:2", "batch:1", NOW, at(NOW))
    with writing(shelf.engine) as conn:
        refused, first, again, twice = post(conn, [wrong, mirror, mirror, lazy], at=at(NOW))
    assert isinstance(refused, Refused) and refused.reason is Reason.NOT_A_MIRROR
    assert isinstance(first, Posted) and first.first_time
    assert isinstance(again, Posted) and not again.first_time
    assert isinstance(twice, Refused)
    kept = Reason.ORIGINAL_ARCHIVED if drops_lines(shelf.engine) else Reason.ALREADY_REVERSED
    assert twice.reason is kept
    assert shelf.findings() == []


def test_a_month_is_archived_once_and_keeps_its_file(shelf: Shelf) -> None:
    assert shelf.archive(AUGUST)
    written = (shelf.folder / "lines-2018-08.parquet").stat()
    assert not shelf.archive(AUGUST)
    assert (shelf.folder / "lines-2018-08.parquet").stat() == written


def test_a_month_waits_for_its_turn(engine: Engine, tmp_path: Path) -> None:
    open_books(engine, FIRST)
    book(engine, load(FIRST, "1", 500))

    def refused(month: date) -> str:
        with pytest.raises(ArchiveRefused) as error:
            archive_month(engine, month, tmp_path / "archive", sign, at=at(NOW))
        return str(error.value)

    assert "2018-08 is not over: no day after it was opened" in refused(AUGUST)
    seal_until(engine, FIRST, FIRST)
    august = date(2018, 8, 31)
    with writing(engine) as conn:
        begin_close(conn, august, at=at(august, 15))
    assert "day 2018-08-31 is closing; run its night before archiving 2018-08" in refused(AUGUST)
    with writing(engine) as conn:
        finish_close(conn, august, at=at(august, 16))
    assert "day 2018-08-31 is not sealed; seal it before archiving 2018-08" in refused(AUGUST)
    seal_until(engine, LAST, august)
    assert "2018-08 is older and not archived; archive it before 2018-09" in refused(SEPTEMBER)
    assert "2018-07 has no day in the books" in refused(date(2018, 7, 1))
    assert not (tmp_path / "archive").exists()
    assert archive_month(engine, AUGUST, tmp_path / "archive", sign, at=at(NOW))[1]
    # September has days, and not one line.
    archived, _ = archive_month(engine, SEPTEMBER, tmp_path / "archive", sign, at=at(NOW))
    assert archived.rows == 0
    with reading(engine) as conn:
        assert list(verify_books(conn, {3: PUBLIC_KEY}.__getitem__, Archive(tmp_path / "archive"))) == []


def test_the_archive_of_large_months_is_read_by_row_groups(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shelf.walks()
    for module in ("ledger.archiving", "ledger.journal"):
        monkeypatch.setattr(f"{module}.CHUNK_ROWS", 2)
    shelf.archive(AUGUST)
    shelf.archive(SEPTEMBER)
    assert pq.ParquetFile(shelf.folder / "lines-2018-08.parquet").num_row_groups == 4
    assert shelf.walks() == before
    assert shelf.findings() == []


def test_the_table_of_archives_goes_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "0017_audit_views")
    migrate(engine, "base")
    assert "ledger_archive" not in inspect(engine).get_table_names()
    migrate(engine)
    assert "ledger_archive" in inspect(engine).get_table_names()

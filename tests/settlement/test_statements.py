"""Statements: the CSV, the workbook and the books say the same, tap by tap."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select

from clearing.tables import tap
from clearing.wire.names import batch_name
from ledger.db import reading
from settlement import statement_lines, statements
from settlement.participants import Participant
from settlement.statement_lines import SUMMARY_COLUMNS, TAP_COLUMNS, Rides, night_rides, tap_texts
from settlement.statements import Statement, write_statement
from tests.settlement.conftest import FinishedNight
from tests.settlement.small_day import AT, DAY

OPERATORS = ["BUS-1", "METRO-1"]


def csv_rows(path: Path) -> list[list[str]]:
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf"), "spreadsheet programs need the mark to read Chinese names"
    return list(csv.reader(StringIO(data.decode("utf-8-sig"))))


def book_rows(path: Path) -> dict[str, list[list[str]]]:
    """The workbook's sheets as the CSV would write them."""
    book = openpyxl.load_workbook(path)
    sheets = {}
    for sheet in book.worksheets:
        rows = [[_written(cell.value, cell.number_format) for cell in row] for row in sheet.iter_rows()]
        sheets[sheet.title] = [_trimmed(row) for row in rows]
    return sheets


def _written(value: object, number_format: str) -> str:
    if number_format == "#,##0.00":
        assert isinstance(value, int | float)
        return f"{value:.2f}"
    return "" if value is None else str(value)


def _trimmed(row: Sequence[str]) -> list[str]:
    """Without the empty cells that a sheet has beyond its row."""
    last = max((place for place, value in enumerate(row) if value), default=-1)
    return list(row[: last + 1])


@pytest.mark.parametrize("operator", OPERATORS)
def test_workbook_and_csv_say_the_same(finished: FinishedNight, operator: str) -> None:
    stem = finished.out / "statements" / f"{operator}-20180901"
    rows = [_trimmed(row) for row in csv_rows(stem.with_suffix(".csv"))]
    sheets = book_rows(stem.with_suffix(".xlsx"))
    start = rows.index(list(TAP_COLUMNS))
    assert list(sheets) == ["Statement", "Taps"]
    assert sheets["Taps"] == rows[start:]
    assert [row for row in sheets["Statement"] if row] == [row for row in rows[:start] if row]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_presented_tap_is_listed_with_its_verdict(finished: FinishedNight, operator: str) -> None:
    rows = csv_rows(finished.out / "statements" / f"{operator}-20180901.csv")
    lines = [dict(zip(TAP_COLUMNS, row, strict=True)) for row in rows[rows.index(list(TAP_COLUMNS)) + 1 :]]
    with reading(finished.engine) as conn:
        query = select(tap).where(tap.c.operator == operator).order_by(tap.c.sequence, tap.c.position)
        booked = conn.execute(query).all()
    assert len(lines) == len(booked) > 0
    for line, row in zip(lines, booked, strict=True):
        assert (line["file"], int(line["record"])) == (batch_name(operator, row.sequence), row.position)
        assert (line["card"], int(line["counter"])) == (row.card_no, row.counter)
        assert (line["verdict"], line["money"]) == (row.verdict, row.money)
        assert int(line["presented yuan"].replace(".", "")) == row.amount_fen
        assert int(line["paid yuan"].replace(".", "")) == row.paid_fen


@pytest.mark.parametrize(
    ("operator", "gross", "fee", "net", "account"),
    [
        ("BUS-1", "7.20", "0.05", "7.15", "755987654321012"),
        ("METRO-1", "14.25", "0.09", "14.16", "755912345678901"),
    ],
)
def test_the_head_says_what_is_paid_where_and_the_summary_adds_up(
    finished: FinishedNight, operator: str, gross: str, fee: str, net: str, account: str
) -> None:
    rows = csv_rows(finished.out / "statements" / f"{operator}-20180901.csv")
    head = dict(row for row in rows[: rows.index([])] if row)
    assert (head["gross yuan"], head["fee yuan"], head["net yuan"]) == (gross, fee, net)
    assert (head["account"], head["end-to-end id"]) == (account, f"20180901-{operator}-01")
    first, last = rows.index(list(SUMMARY_COLUMNS)) + 1, rows.index(list(TAP_COLUMNS)) - 1
    summary = [dict(zip(SUMMARY_COLUMNS, row, strict=True)) for row in rows[first:last]]
    assert sum(int(row["paid yuan"].replace(".", "")) for row in summary) == int(gross.replace(".", ""))
    assert sum(int(row["taps"]) for row in summary) == len(rows) - last - 2


def test_a_workbook_ends_where_nobody_reads_on_and_takes_no_name_for_a_formula(
    finished: FinishedNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "BOOK_LINES", 3)
    sly = Participant("METRO-1", "=1+1", "1", "102584002910", "http://bank")
    with reading(finished.engine) as conn:
        rides = night_rides(tap, conn, DAY)["METRO-1"]
        statement = Statement(DAY, "METRO-1", sly, None, None, rides, Rides())
        table, path, *_ = write_statement(conn, statement, tmp_path, made_at=AT)
    book = openpyxl.load_workbook(path)
    assert [(sheet.title, sheet.max_row) for sheet in book.worksheets[1:]] == [("Taps", 4)]
    head = {row[0].value: row[1].value for row in book.worksheets[0].iter_rows(max_col=2)}
    assert head["workbook holds"] == f"3 of 5 taps; all are in {table.name}"
    assert len(csv_rows(table)) - csv_rows(table).index(list(TAP_COLUMNS)) - 1 == 5
    assert book.worksheets[0].cell(2, 2).value == "=1+1"
    assert book.worksheets[0].cell(2, 2).data_type == "s" or not book.worksheets[0].cell(2, 2).value
    assert book.properties.created is not None
    assert book.properties.created.replace(tzinfo=UTC) == datetime(2018, 9, 1, 16, 30, tzinfo=UTC)


def test_the_texts_of_taps_are_the_same_however_they_are_cut(
    finished: FinishedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading(finished.engine) as conn:
        rides = night_rides(tap, conn, DAY)
        whole = {one: "".join(tap_texts(conn, one, rides[one].batches, DAY)) for one in rides}
        monkeypatch.setattr(statement_lines, "_FETCH_ROWS", 2)
        monkeypatch.setattr(statement_lines, "_READ_ROWS", 1)
        cut = {one: list(tap_texts(conn, one, rides[one].batches, DAY)) for one in rides}
    for operator, texts in whole.items():
        rows = texts.splitlines()
        places = [(row.split(",")[0], int(row.split(",")[1])) for row in rows]
        assert len(rows) == sum(total.rides for total in rides[operator].totals)
        assert places == sorted(places)
        assert "".join(cut[operator]) == texts
        assert len(cut[operator]) >= len(rows) / 2

"""Statements of accounts that are not netted: an agent's day, from its opening balance to its closing one."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import Engine

from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import begin_close, finish_close, open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from settlement import account_statements
from settlement.account_statements import MOVEMENT_COLUMNS, write_account_statements

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 2, tzinfo=UTC)
CODES = ("agent:COUNTER", "fund:MED-POOL", "wallet:H1", "clearing:HOSP", "bank:reserve")


def booked(engine: Engine, day: date, *lines: tuple[str, str, int], kind: str = "test") -> None:
    """Post one entry of these lines."""
    with writing(engine) as conn:
        entry = Entry(f"{day}:{lines}"[:60], kind, day, AT, tuple(Line(*line, "item") for line in lines))
        (outcome,) = post(conn, [entry], at=AT)
        assert isinstance(outcome, Posted)


def test_a_channel_and_a_fund_get_their_day_with_running_balances(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as conn:
        open_accounts(conn, [account(code) for code in CODES], at=AT)
        open_day(conn, DAY, at=AT)
    booked(engine, DAY, ("agent:COUNTER", "wallet:H1", 10_000))
    with writing(engine) as conn:
        following = begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
    booked(engine, following, ("agent:COUNTER", "wallet:H1", 500), ("bank:reserve", "agent:COUNTER", 10_000))
    booked(engine, following, ("fund:MED-POOL", "clearing:HOSP", 700), ("wallet:H1", "clearing:HOSP", 300))
    with reading(engine) as conn:
        paths = write_account_statements(conn, following, tmp_path, made_at=AT)
        again = [path.read_bytes() for path in paths]
        assert [
            path.read_bytes() for path in write_account_statements(conn, following, tmp_path, made_at=AT)
        ] == again
    assert [path.name for path in paths] == [
        f"{code}-{following:%Y%m%d}.{kind}"
        for code in ("agent-COUNTER", "clearing-HOSP", "fund-MED-POOL")
        for kind in ("csv", "xlsx")
    ]
    rows = list(csv.reader(paths[0].read_text(encoding="utf-8-sig").splitlines()))
    head = dict(row for row in rows[:6])
    assert (head["opening yuan"], head["closing yuan"]) == ("100.00", "5.00")
    assert (head["debits yuan"], head["credits yuan"]) == ("5.00", "100.00")
    assert rows[6] == list(MOVEMENT_COLUMNS)
    assert [row[4:] for row in rows[7:]] == [
        ["wallet:H1", "5.00", "0.00", "105.00"],
        ["bank:reserve", "0.00", "100.00", "5.00"],
    ]
    hospital = list(csv.reader(paths[2].read_text(encoding="utf-8-sig").splitlines()))
    assert [row[4:] for row in hospital[7:]] == [
        ["fund:MED-POOL", "0.00", "7.00", "7.00"],
        ["wallet:H1", "0.00", "3.00", "10.00"],
    ]
    sheet = openpyxl.load_workbook(paths[5])["Movements"]
    assert [cell.value for cell in sheet[2]][4:] == ["clearing:HOSP", 7, 0, 7]


def test_a_batch_of_card_taps_is_one_row_and_other_lines_stand_each(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as conn:
        open_accounts(conn, [account(code) for code in (*CODES, "purse:1", "purse:2")], at=AT)
        open_day(conn, DAY, at=AT)
    loads = [("agent:COUNTER", code, 1_000) for code in ("purse:1", "purse:2", "wallet:H1")]
    booked(engine, DAY, *loads)
    booked(engine, DAY, ("purse:1", "clearing:HOSP", 200), ("purse:2", "clearing:HOSP", 300), kind="clearing")
    booked(engine, DAY, ("wallet:H1", "clearing:HOSP", 40), ("wallet:H1", "clearing:HOSP", 60))
    with reading(engine) as conn:
        write_account_statements(conn, DAY, tmp_path, made_at=AT)
    rows = list(
        csv.reader((tmp_path / "clearing-HOSP-20260302.csv").read_text(encoding="utf-8-sig").splitlines())
    )
    assert [row[3:] for row in rows[7:]] == [
        ["2 taps", "purse", "0.00", "5.00", "5.00"],
        ["item", "wallet:H1", "0.00", "0.40", "5.40"],
        ["item", "wallet:H1", "0.00", "0.60", "6.00"],
    ]


def test_a_workbook_holds_the_first_movements_and_names_the_file_with_all(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_statements, "BOOK_LINES", 2)
    with writing(engine) as conn:
        open_accounts(conn, [account(code) for code in CODES], at=AT)
        open_day(conn, DAY, at=AT)
    for amount_fen in (100, 200, 300):
        booked(engine, DAY, ("agent:COUNTER", "wallet:H1", amount_fen))
    with reading(engine) as conn:
        table, path = write_account_statements(conn, DAY, tmp_path, made_at=AT)
    book = openpyxl.load_workbook(path)
    assert [row[5].value for row in book["Movements"].iter_rows(min_row=2)] == [1, 2]
    said = {row[0].value: row[1].value for row in book["Statement"].iter_rows(max_col=2)}
    assert said["workbook holds"] == f"2 of 3 movements; all are in {table.name}"
    rows = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
    assert [row[5] for row in rows[7:]] == ["1.00", "2.00", "3.00"]


def test_a_day_without_movements_has_no_statement(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as conn:
        open_accounts(conn, [account(code) for code in CODES], at=AT)
        open_day(conn, DAY, at=AT)
    with reading(engine) as conn:
        assert write_account_statements(conn, DAY + timedelta(days=1), tmp_path, made_at=AT) == []

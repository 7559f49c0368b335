"""The exports are read by the programs they are for, and those find every balance as we do."""

import csv
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from beancount import loader
from beancount.core import data
from hypothesis import given
from hypothesis.strategies import from_regex, lists

from ledger.accounts import CODE, Kind, open_accounts
from ledger.balances import Balance
from ledger.chart import account
from ledger.day import begin_close
from ledger.db import reading, writing
from ledger.entry import Line
from ledger.export import beancount_names, write_beancount, write_hledger
from tests.ledger.some_books import AT, DAY, Books

AWKWARD = 'fare; "站台" | x:y, \\ *'
NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture
def kept(books: Books) -> Books:
    """Books over two days with awkward texts, names that differ only in case, a reversal, and a late entry."""
    codes = ("suspense:purse_shortfall", "wallet:h1", "wallet:H1", "wallet:a_b", "wallet:-.x")
    with writing(books.engine) as conn:
        open_accounts(conn, [account(code) for code in codes], at=AT)
    books.post(
        books.load("1", 50_000),
        books.tap("1", 205, AWKWARD),
        books.entry("back", Line("clearing:METRO-1", "purse:1", 205, AWKWARD), reverses=AWKWARD),
        books.entry("many", *(Line("agent:A", f"wallet:{name}", 7) for name in ("h1", "H1", "a_b", "-.x"))),
    )
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
    tomorrow = books.on(NEXT_DAY)
    tomorrow.post(tomorrow.tap("1", 1, "tap:1"))
    books.post(books.entry("late", Line("suspense:purse_shortfall", "clearing:METRO-1", 3)), closing=True)
    return books


def hledger(*words: str | Path) -> str:
    """Run the real hledger."""
    program = shutil.which("hledger")
    assert program, "hledger is not installed; install the Debian package `hledger`"
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fen(amount: str) -> int:
    """What a program wrote as yuan, in fen."""
    found = re.fullmatch(r"(?:CNY )?(-?)(\d+)(?:\.(\d\d))?(?: CNY)?", amount)
    assert found, amount
    magnitude = int(found[2]) * 100 + int(found[3] or 0)
    return -magnitude if found[1] else magnitude


def test_hledger_finds_every_balance_as_we_do(kept: Books, tmp_path: Path) -> None:
    journal = tmp_path / "books.journal"
    with reading(kept.engine) as conn, journal.open("w", encoding="utf-8") as out:
        assert write_hledger(conn, out) == 6
    hledger("check", "--strict", "ordereddates", "-f", journal)
    listed = hledger("balance", "-f", journal, "-N", "-E", "--flat", "-O", "csv")
    found = {
        name.partition(":")[2]: fen(amount) for name, amount in list(csv.reader(io.StringIO(listed)))[1:]
    }
    ours = kept.nets()
    assert {code: net_fen for code, net_fen in found.items() if code in ours or net_fen} == ours


def test_hledger_keeps_references_and_items(kept: Books, tmp_path: Path) -> None:
    journal = tmp_path / "books.journal"
    with reading(kept.engine) as conn, journal.open("w", encoding="utf-8") as out:
        write_hledger(conn, out)
    printed = list(csv.DictReader(io.StringIO(hledger("print", "-f", journal, "-O", "csv"))))
    assert {unquote(row["code"]) for row in printed} == {
        "load:1",
        AWKWARD,
        "back",
        "many",
        "late",
        "tap:1",
        "",
    }
    assert any(unquote(row["posting-comment"]) == f"item:{AWKWARD}" for row in printed)


def test_hledger_refuses_a_journal_that_was_changed(kept: Books, tmp_path: Path) -> None:
    journal = tmp_path / "books.journal"
    out = io.StringIO()
    with reading(kept.engine) as conn:
        write_hledger(conn, out)
    journal.write_text(
        out.getvalue().replace("CNY 500.00", "CNY 500.01").replace("CNY -500.00", "CNY -500.01")
    )
    program = shutil.which("hledger") or "hledger"
    done = subprocess.run([program, "check", "-f", journal], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "balance assertion" in done.stderr


def test_beancount_finds_every_balance_as_we_do(kept: Books, tmp_path: Path) -> None:
    file = tmp_path / "books.beancount"
    with reading(kept.engine) as conn, file.open("w", encoding="utf-8") as out:
        assert write_beancount(conn, out) == 6
    checked = subprocess.run(
        [Path(sys.executable).parent / "bean-check", file], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    entries, errors, _ = loader.load_file(str(file))
    assert errors == []
    codes = {entry.account: entry.meta["code"] for entry in entries if isinstance(entry, data.Open)}
    found = dict.fromkeys(codes.values(), 0)
    for entry in entries:
        for posting in entry.postings if isinstance(entry, data.Transaction) else ():
            assert posting.units is not None and posting.units.number is not None
            found[codes[posting.account]] += int(posting.units.number.scaleb(2))
    assert {entry.account for entry in entries if isinstance(entry, data.Balance)} == set(codes)
    assert {code: net_fen for code, net_fen in found.items() if code in kept.nets() or net_fen} == kept.nets()


def test_beancount_keeps_references_and_items(kept: Books, tmp_path: Path) -> None:
    file = tmp_path / "books.beancount"
    with reading(kept.engine) as conn, file.open("w", encoding="utf-8") as out:
        write_beancount(conn, out)
    entries, _, _ = loader.load_file(str(file))
    transactions = [entry for entry in entries if isinstance(entry, data.Transaction)]
    tap = next(entry for entry in transactions if entry.meta["reference"] == AWKWARD)
    assert {(posting.meta or {})["item"] for posting in tap.postings} == {AWKWARD}
    assert next(entry.meta["reverses"] for entry in transactions if "reverses" in entry.meta) == AWKWARD


def test_empty_books_are_written_as_such(books: Books) -> None:
    with reading(books.engine) as conn:
        assert write_hledger(conn, io.StringIO()) == 0
        assert write_beancount(conn, io.StringIO()) == 0


@given(lists(from_regex(CODE, fullmatch=True), min_size=1, max_size=6, unique=True))
def test_beancount_names_are_valid_and_differ_where_codes_do(codes: Sequence[str]) -> None:
    names = beancount_names([Balance(code, Kind.LIABILITY, 0, 0) for code in codes])
    assert len(set(names.values())) == len(codes)
    assert all(re.fullmatch(r"Liabilities(:[A-Z0-9][A-Za-z0-9-]*)+", name) for name in names.values())

"""Opening balances: a file is booked whole as one entry, or not at all with every flaw named."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from ledger.accounts import Account, Conflict, Kind, Limit, close_account, open_accounts
from ledger.balances import balance, balances
from ledger.checks import check_books
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.journal import read_day
from ledger.opening import Booked, OpeningRefused, import_opening, read_opening
from tests.ledger.sealed_books import FIRST, at, book, load, seal_day

FILE = """code,balance_yuan
bank:reserve,120000.5
purse:1,20000
purse:2,0
wallet:H1,0.01
expense:loss,-3.50
clearing:METRO-1,-7
"""

LIMITED = "the account's limit is {}; book what is on the other side to another account"
SEGMENTS = [
    "agent",
    "bank",
    "city",
    "clearing",
    "deposit",
    "equity",
    "expense",
    "fund",
    "income",
    "load",
    "medical",
    "payable",
    "purse",
    "subsidy",
    "suspense",
    "wallet",
]


@pytest.fixture
def opened(engine: Engine) -> Iterator[Engine]:
    """Books with an open day and an account that has moved, one that is closed, and one with a limit of its own."""
    with writing(engine) as conn:
        open_day(conn, FIRST, at=at(FIRST))
        codes = [
            Account(f"{name}", Kind.LIABILITY, Limit.NO_DEBIT_BALANCE)
            for name in ("purse:9", "wallet:closed")
        ]
        till = Account("till:1", Kind.ASSET, Limit.NO_CREDIT_BALANCE)
        open_accounts(conn, [*codes, till, Account("agent:A", Kind.ASSET, Limit.NONE)], at=at(FIRST))
        close_account(conn, "wallet:closed", at=at(FIRST))
    book(engine, load(FIRST, "9", 5))
    yield engine
    with reading(engine) as conn:
        assert check_books(conn) == []


def take(engine: Engine, file: str | bytes) -> Booked:
    with writing(engine) as conn:
        return import_opening(conn, file.encode() if isinstance(file, str) else file, FIRST, at=at(FIRST))


def flaws(engine: Engine, file: str | bytes) -> list[str]:
    with reading(engine) as conn:
        before = [*balances(conn), conn.execute(text("SELECT count(*) FROM ledger_entry")).scalar_one()]
    with pytest.raises(OpeningRefused) as refused:
        take(engine, file)
    with reading(engine) as conn:
        after = [*balances(conn), conn.execute(text("SELECT count(*) FROM ledger_entry")).scalar_one()]
    assert before == after
    assert str(refused.value) == "\n".join(map(str, refused.value.flaws))
    return [str(flaw) for flaw in refused.value.flaws]


def test_balances_are_booked_as_one_entry_against_the_opening_equity(opened: Engine) -> None:
    booked = take(opened, FILE)
    assert (booked.reference, booked.accounts, booked.first_time) == ("opening:2018-09-01", 5, True)
    with reading(opened) as conn:
        found = {one.code: one.balance_fen for one in balances(conn)}
        entry = list(read_day(conn, FIRST))[-1].entry
    assert {code: found[code] for code in ("bank:reserve", "purse:1", "purse:2", "wallet:H1")} == {
        "bank:reserve": 12_000_050, "purse:1": 2_000_000, "purse:2": 0, "wallet:H1": 1,
    }  # fmt: skip
    assert (found["expense:loss"], found["clearing:METRO-1"]) == (-350, -700)
    assert found["equity:opening"] == 12_000_050 - 2_000_000 - 1 - 350 + 700
    assert entry.kind == "opening" and len(entry.lines) == 5


def test_the_same_balances_again_change_nothing_in_any_order(opened: Engine) -> None:
    first = take(opened, FILE)
    head, *rows = FILE.splitlines()
    again = take(opened, "\ufeff" + "\r\n".join([head, *reversed(rows)]) + "\r\n")
    assert (again.entry_id, again.first_time) == (first.entry_id, False)
    seal_day(opened, FIRST)
    assert not take(opened, FILE).first_time


@pytest.mark.parametrize("other", ["purse:1,20000.01", "purse:1,20000\npurse:3,1"])
def test_other_balances_for_the_same_date_are_a_conflict(opened: Engine, other: str) -> None:
    take(opened, FILE)
    with pytest.raises(Conflict, match="entry opening:2018-09-01 is already"):
        take(opened, FILE.replace("purse:1,20000", other))
    with reading(opened) as conn:
        assert balance(conn, "purse:1").balance_fen == 2_000_000


def test_every_flaw_is_named_at_once_with_row_field_value_and_remedy(opened: Engine) -> None:
    file = (
        "code,balance_yuan\npurse:1,1.234\nnonsense:1,5\npurse:1,5\nequity:opening,1\npurse:2,-1\n"
        'till:1,-0.01\npurse:x y,1\npurse:3\nagent:B,12 000\nbank:own,2000000000000\n"agent:C",１\n'
    )
    number = "give yuan with at most two digits after the point, such as -1234.50"
    assert [one.partition(": ")[::2] for one in flaws(opened, file)] == [
        ("row 2, balance_yuan '1.234'", number),
        ("row 3, code 'nonsense:1'", f"start it with one of {', '.join(sorted(SEGMENTS))}"),
        ("row 4, code 'purse:1'", "it is in row 2 already; give each account once"),
        ("row 5, code 'equity:opening'", "the other side of every balance is booked there; leave it out"),
        ("row 6, balance_yuan '-1.00'", LIMITED.format("no_debit_balance")),
        ("row 7, balance_yuan '-0.01'", LIMITED.format("no_credit_balance")),
        (
            "row 8, code 'purse:x y'",
            "write parts of letters, digits, dots, dashes and underscores after colons, 96 at most",
        ),
        ("row 9, row 'purse:3'", "there are 1 fields; give code and balance_yuan"),
        ("row 10, balance_yuan '12 000'", number),
        ("row 11, balance_yuan '2000000000000'", "that is more than 1000000000000 yuan; check its unit"),
        ("row 12, balance_yuan '１'", number),
    ]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("", "row 1, columns '': name the columns code,balance_yuan"),
        ("code;balance_yuan\n", "row 1, columns 'code;balance_yuan': name the columns"),
        ("code,balance_yuan\n", "file '': there is no balance in it; give a row for each account"),
        ("code,balance_yuan\npurse:1,0\n", "file '': every balance is zero; there is nothing to book"),
        ("code,balance_yuan\npurse:9,1\n", "row 2, code 'purse:9': the account has moved; a balance opens"),
        (
            "code,balance_yuan\nwallet:closed,1\n",
            "row 2, code 'wallet:closed': the account is closed; reopen it",
        ),
        (
            b"code,balance_yuan\npurse:1,\xff\n",
            "row 1, file 'ff': byte 26 is not UTF-8; save the file as CSV",
        ),
        ('code,balance_yuan\n"purse:1,1\n', "the row is not CSV"),
    ],
)
def test_a_file_that_is_none_is_refused_with_a_remedy(opened: Engine, file: str | bytes, said: str) -> None:
    (found,) = flaws(opened, file)
    assert said in found


def test_balances_are_booked_on_an_open_day_only(opened: Engine) -> None:
    seal_day(opened, FIRST)
    (found,) = flaws(opened, FILE)
    assert found == "date '2018-09-01': the day is closed; give the open day"
    with pytest.raises(OpeningRefused, match="the day is never opened"), writing(opened) as conn:
        import_opening(conn, FILE.encode(), FIRST + timedelta(days=9), at=at(FIRST))


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.text().map(lambda text: f"code,balance_yuan\n{text}".encode())
)
def test_any_file_is_rows_or_flaws_and_never_an_error(data: bytes) -> None:
    rows, found = read_opening(data)
    assert rows or found


@given(st.integers(-(10**14), 10**14))
def test_a_balance_is_read_to_the_fen(balance_fen: int) -> None:
    whole, rest = divmod(abs(balance_fen), 100)
    sign = "-" if balance_fen < 0 else ""
    rows, found = read_opening(f"code,balance_yuan\nbank:own,{sign}{whole}.{rest:02d}\n".encode())
    assert [row.balance_fen for row in rows] == [balance_fen]
    assert found == []

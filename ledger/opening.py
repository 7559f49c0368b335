"""Opening balances from a file: every flaw of it at once, or all of it as one entry."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final, NamedTuple

from sqlalchemy import Connection, or_, select

from ledger import tables
from ledger.accounts import CODE, CODE_LENGTH, Account, Conflict, Limit, find_accounts, open_accounts
from ledger.bulk import one_of
from ledger.chart import account
from ledger.day import DayState, day_state
from ledger.db import lock_writers
from ledger.entry import MAX_AMOUNT_FEN, Entry, Line, Refused, canonical_bytes, digest
from ledger.money import yuan
from ledger.post import post

COLUMNS: Final = ("code", "balance_yuan")
OPENING: Final = "equity:opening"
KIND: Final = "opening"

_YUAN = re.compile(r"(-?)(\d{1,15})(?:\.(\d{1,2}))?", re.ASCII)


class Opening(NamedTuple):
    """What an account opens with, positive on the side where its kind grows; `row` is the line of the file."""

    row: int
    code: str
    balance_fen: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with one field of one row of the file; row 1 is the names of the columns, 0 no row at all."""

    row: int
    field: str
    value: str
    remedy: str

    def __str__(self) -> str:
        where = f"row {self.row}, " if self.row else ""
        return f"{where}{self.field} {self.value!r}: {self.remedy}"


class OpeningRefused(Exception):
    """Nothing was booked; `flaws` are in the order of the file."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("\n".join(map(str, flaws)))
        self.flaws = flaws


@dataclass(frozen=True, slots=True)
class Booked:
    """The opening entry as it is in the books; `first_time` is False where it was there already."""

    reference: str
    entry_id: int
    accounts: int
    first_time: bool


def import_opening(conn: Connection, data: bytes, business_date: date, *, at: datetime) -> Booked:
    """Book the balances of a file as the entry `opening:{date}` against `equity:opening`.

    Accounts that do not exist are opened as the chart has them. Again, it changes nothing. Raises
    OpeningRefused with every flaw, and Conflict where that date was opened with other balances.
    """
    lock_writers(conn)
    rows, flaws = read_opening(data)
    known = {one.code: one for one in find_accounts(conn, [row.code for row in rows])}
    wanted, unknown = _accounts_of(rows, known)
    flaws = sorted([*flaws, *unknown], key=lambda flaw: flaw.row)
    if flaws:
        raise OpeningRefused(flaws)
    entry = opening_entry(rows, wanted, business_date)
    booked = _as_booked(conn, entry)
    if booked is not None:
        return booked
    flaws = _not_bookable(conn, rows, entry, business_date)
    if flaws:
        raise OpeningRefused(flaws)
    open_accounts(
        conn, [account(OPENING), *(one for code, one in wanted.items() if code not in known)], at=at
    )
    answer = post(conn, [entry], at=at)[0]
    if isinstance(answer, Refused):
        row = next((row for row, code, _ in rows if code == answer.account), 0)
        raise OpeningRefused([Flaw(row, "code", answer.account, answer.message)])
    return Booked(entry.reference, answer.entry_id, len(entry.lines), first_time=True)


def read_opening(data: bytes) -> tuple[list[Opening], list[Flaw]]:
    """The rows of a CSV file in UTF-8 that are good by themselves, and what is wrong with the others."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = f"byte {error.start} is not UTF-8; save the file as CSV in UTF-8"
        return [], [Flaw(1, "file", data[error.start : error.start + 1].hex(), remedy)]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Opening] = []
    flaws: list[Flaw] = []
    seen: dict[str, int] = {}
    try:
        header = tuple(next(reader, ()))
        if header != COLUMNS:
            return [], [Flaw(1, "columns", ",".join(header), f"name the columns {','.join(COLUMNS)}")]
        for fields in reader:
            if fields:
                _read_row(reader.line_num, fields, seen, rows, flaws)
    except csv.Error as error:
        flaws.append(
            Flaw(reader.line_num, "file", "", f"the row is not CSV ({error}); quote it as RFC 4180 has it")
        )
    if not rows and not flaws:
        flaws.append(Flaw(0, "file", "", "there is no balance in it; give a row for each account"))
    return rows, flaws


def opening_entry(rows: Sequence[Opening], accounts: dict[str, Account], business_date: date) -> Entry:
    """The one entry of a file: a line for each account with a balance, by code."""
    lines = []
    for _, code, balance_fen in sorted(rows, key=lambda row: row.code):
        if balance_fen:
            debited = (balance_fen > 0) == accounts[code].kind.grows_by_debit
            sides = (code, OPENING) if debited else (OPENING, code)
            lines.append(Line(*sides, abs(balance_fen)))
    at = datetime.combine(business_date, time(), UTC)
    return Entry(f"opening:{business_date}", KIND, business_date, at, tuple(lines), "opening balances")


def _read_row(
    row: int, fields: list[str], seen: dict[str, int], rows: list[Opening], flaws: list[Flaw]
) -> None:
    if len(fields) != len(COLUMNS):
        remedy = f"there are {len(fields)} fields; give {' and '.join(COLUMNS)}"
        flaws.append(Flaw(row, "row", ",".join(fields), remedy))
        return
    code, balance_yuan = fields
    found = _YUAN.fullmatch(balance_yuan)
    balance_fen = 0
    if found is None:
        remedy = "give yuan with at most two digits after the point, such as -1234.50"
        flaws.append(Flaw(row, "balance_yuan", balance_yuan, remedy))
    else:
        balance_fen = int(found[2]) * 100 + int((found[3] or "").ljust(2, "0"))
        balance_fen = -balance_fen if found[1] else balance_fen
        if abs(balance_fen) > MAX_AMOUNT_FEN:
            remedy = f"that is more than {MAX_AMOUNT_FEN // 100} yuan; check its unit"
            flaws.append(Flaw(row, "balance_yuan", balance_yuan, remedy))
    if code == OPENING:
        flaws.append(Flaw(row, "code", code, "the other side of every balance is booked there; leave it out"))
    elif code in seen:
        flaws.append(Flaw(row, "code", code, f"it is in row {seen[code]} already; give each account once"))
    seen.setdefault(code, row)
    rows.append(Opening(row, code, balance_fen))


def _accounts_of(rows: Sequence[Opening], known: dict[str, Account]) -> tuple[dict[str, Account], list[Flaw]]:
    """The definitions of the accounts of rows; and the codes that are none, or cannot have such a balance."""
    wanted: dict[str, Account] = {}
    flaws = []
    for row, code, balance_fen in rows:
        try:
            found = known.get(code) or account(code)
        except ValueError as error:
            flaws.append(Flaw(row, "code", code, str(error).partition("; ")[2]))
            continue
        if not CODE.fullmatch(code) or len(code) > CODE_LENGTH:
            remedy = f"write parts of letters, digits, dots, dashes and underscores after colons, {CODE_LENGTH} at most"
            flaws.append(Flaw(row, "code", code, remedy))
            continue
        wanted[code] = found
        net_fen = balance_fen if found.kind.grows_by_debit else -balance_fen
        forbidden = Limit.NO_DEBIT_BALANCE if net_fen > 0 else Limit.NO_CREDIT_BALANCE
        if net_fen and found.limit is forbidden:
            remedy = (
                f"the account's limit is {found.limit}; book what is on the other side to another account"
            )
            flaws.append(Flaw(row, "balance_yuan", yuan(balance_fen), remedy))
    return wanted, flaws


def _as_booked(conn: Connection, entry: Entry) -> Booked | None:
    columns = tables.entry.c
    query = select(columns.id, columns.digest).where(columns.reference == entry.reference)
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    offered = digest(canonical_bytes(entry))
    if bytes(row.digest) != offered:
        raise Conflict(f"entry {entry.reference}", bytes(row.digest).hex(), offered.hex())
    return Booked(entry.reference, row.id, len(entry.lines), first_time=False)


def _not_bookable(conn: Connection, rows: Sequence[Opening], entry: Entry, business_date: date) -> list[Flaw]:
    """What the books have against an entry that is good by itself."""
    flaws = []
    state = day_state(conn, business_date)
    if state is not DayState.OPEN:
        found = "never opened" if state is None else state.value
        flaws.append(Flaw(0, "date", business_date.isoformat(), f"the day is {found}; give the open day"))
    if not entry.lines:
        flaws.append(Flaw(0, "file", "", "every balance is zero; there is nothing to book"))
    columns, total = tables.account.c, tables.total.c
    moved_fen = total.debits_posted_fen + total.credits_posted_fen
    query = (
        select(columns.code, total.closed, moved_fen)
        .join(tables.total, total.account_id == columns.id)
        .where(one_of(conn, columns.code, [row.code for row in rows]), or_(total.closed, moved_fen > 0))
    )
    wrong = {
        code: "is closed; reopen it" if closed else "has moved" for code, closed, _ in conn.execute(query)
    }
    for row, code, _ in rows:
        if code in wrong:
            remedy = f"the account {wrong[code]}; a balance opens an account that nothing was booked on"
            flaws.append(Flaw(row, "code", code, remedy))
    return flaws

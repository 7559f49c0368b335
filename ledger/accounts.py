"""Accounts: what money can be in, and which side their balance may never fall to."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select, update

from ledger import tables
from ledger.bulk import insert_rows, one_of, one_of_numbers
from ledger.entry import json_bytes, unprintable, utc_text
from ledger.events import Event, Happened, record_events
from ledger.ids import NONE

CODE = re.compile(r"[a-z]+(:[A-Za-z0-9._-]+)+")
CODE_LENGTH = 96
CURRENCY = re.compile(r"[A-Z]{3}")


class Kind(StrEnum):
    """What an account is to the company. Assets and expenses grow by debits, the others by credits."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"

    @property
    def grows_by_debit(self) -> bool:
        return self in (Kind.ASSET, Kind.EXPENSE)


class Limit(StrEnum):
    """The side on which an account may not have a balance; amounts held count as if posted."""

    NONE = "none"
    NO_DEBIT_BALANCE = "no_debit_balance"
    NO_CREDIT_BALANCE = "no_credit_balance"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is defined; its code is hierarchical and readable: `purse:03104870000000001234`."""

    code: str
    kind: Kind
    limit: Limit
    owner: str = ""
    currency: str = "CNY"


class Conflict(Exception):
    """The natural key is taken by something else: `ours` is in the books, `theirs` was offered."""

    def __init__(self, subject: str, ours: object, theirs: object) -> None:
        super().__init__(
            f"{subject} is already {ours}, not {theirs}; use another key, or offer the same content"
        )
        self.subject = subject
        self.ours = ours
        self.theirs = theirs


class AccountNotEmpty(Exception):
    """An account still has a balance or a hold and cannot be closed."""


def segment_of(code: str) -> str:
    """The sub-ledger that an account belongs to: the first part of its code."""
    return code.partition(":")[0]


def open_accounts(conn: Connection, accounts: Iterable[Account], *, at: datetime) -> int:
    """Open those that do not exist yet and say how many.

    Raises Conflict when a code is in use, or offered twice, with another definition, and ValueError when a
    code or currency is not one, or an owner holds a control character; then nothing is opened.
    """
    wanted: dict[str, Account] = {}
    for account in accounts:
        _require_possible(account)
        other = wanted.setdefault(account.code, account)
        if other != account:
            raise Conflict(f"account {account.code}", other, account)
    for existing in find_accounts(conn, list(wanted)):
        offered = wanted.pop(existing.code)
        if existing != offered:
            raise Conflict(f"account {existing.code}", existing, offered)
    if wanted:
        first_id = conn.execute(select(func.coalesce(func.max(tables.account.c.id), 0))).scalar_one() + 1
        numbered = list(enumerate(wanted.values(), first_id))
        insert_rows(conn, tables.account, (_row(number, account, at) for number, account in numbered))
        insert_rows(conn, tables.total, (_empty_total(number, account) for number, account in numbered))
    return len(wanted)


def codes_by_number(conn: Connection, account_ids: Sequence[int]) -> dict[int, str]:
    """The codes of accounts by their numbers; of one that is gone, as only who tampers can do it, its number."""
    columns = tables.account.c
    query = select(columns.id, columns.code).where(one_of_numbers(conn, columns.id, account_ids))
    return {**{number: f"number {number}" for number in account_ids}, **dict(conn.execute(query).all())}


def find_accounts(conn: Connection, codes: Sequence[str]) -> list[Account]:
    """The definitions of those of `codes` that exist, by code."""
    columns = tables.account.c
    query = select(columns.code, columns.kind, columns.limit_rule, columns.owner, columns.currency)
    query = query.where(one_of(conn, columns.code, codes)).order_by(columns.code)
    return [
        Account(code, Kind(kind), Limit(limit), owner, currency)
        for code, kind, limit, owner, currency in conn.execute(query)
    ]


def close_account(conn: Connection, code: str, *, at: datetime) -> None:
    """Close an account, so that it takes no entry and no hold; closing it again changes nothing.

    Raises AccountNotEmpty when money is in it or held, LookupError when there is none of that code.
    """
    number, closed, net_fen, held_fen = _state(conn, code)
    if closed:
        return
    if net_fen or held_fen:
        raise AccountNotEmpty(f"account {code} has {net_fen} fen and {held_fen} held; move them out first")
    conn.execute(update(tables.total).where(tables.total.c.account_id == number).values(closed=True))
    record_events(conn, [Event(at, Happened.ACCOUNT_CLOSED, code)])


def reopen_account(conn: Connection, code: str, *, at: datetime) -> None:
    """Let a closed account take entries again; reopening an open one changes nothing.

    Raises LookupError when there is none of that code.
    """
    number, closed, _, _ = _state(conn, code)
    if closed:
        conn.execute(update(tables.total).where(tables.total.c.account_id == number).values(closed=False))
        record_events(conn, [Event(at, Happened.ACCOUNT_REOPENED, code)])


def closed_accounts(conn: Connection) -> list[str]:
    """The codes of the accounts that are closed, by code."""
    account, total = tables.account.c, tables.total.c
    query = select(account.code).join(tables.total, total.account_id == account.id).where(total.closed)
    return list(conn.scalars(query.order_by(account.code)))


def account_digest(account: Account, opened_at: datetime) -> bytes:
    """SHA-256 over what an account is, as a JSON array: the daily seal covers it."""
    definition = [account.code, account.kind.value, account.limit.value, account.owner, account.currency]
    return hashlib.sha256(json_bytes(["onecard/account/v1", *definition, utc_text(opened_at)])).digest()


def _state(conn: Connection, code: str) -> tuple[int, bool, int, int]:
    """The id of an account, whether it is closed, its net and what is held on it, in fen."""
    account, total = tables.account.c, tables.total.c
    query = (
        select(
            account.id,
            total.closed,
            total.debits_posted_fen - total.credits_posted_fen,
            total.debits_held_fen + total.credits_held_fen,
        )
        .join(tables.total, total.account_id == account.id)
        .where(account.code == code)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        raise LookupError(f"no account {code}; open it first")
    return row[0], row[1], row[2], row[3]


def _row(number: int, account: Account, at: datetime) -> tuple[Any, ...]:
    definition = (account.code, segment_of(account.code), account.kind.value, account.limit.value)
    return (number, *definition, account.owner, account.currency, at, account_digest(account, at))


def _empty_total(number: int, account: Account) -> tuple[Any, ...]:
    may_debit = account.limit is not Limit.NO_DEBIT_BALANCE
    may_credit = account.limit is not Limit.NO_CREDIT_BALANCE
    return (number, may_debit, may_credit, False, 0, 0, 0, 0, None, 0, 0, NONE, NONE)


def _require_possible(account: Account) -> None:
    code = account.code
    if not CODE.fullmatch(code) or len(code) > CODE_LENGTH:
        raise ValueError(
            f"account code {code!r} is not one: write a lower-case segment, then parts of letters, digits, "
            f"dots, dashes and underscores after colons, at most {CODE_LENGTH} characters"
        )
    if not CURRENCY.fullmatch(account.currency):
        raise ValueError(
            f"account {code}: currency {account.currency!r} is not one; give three capital letters (ISO 4217)"
        )
    flaw = unprintable({"owner": account.owner})
    if flaw is not None:
        raise ValueError(f"account {code}: {flaw}")

"""Accounts: what money can be in, and which side their balance may never fall to."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select, update

from ledger import tables
from ledger.bulk import insert_rows, one_of

CODE = re.compile(r"[a-z]+(:[A-Za-z0-9._-]+)+")
CODE_LENGTH = 96


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
    code is not one; then nothing is opened.
    """
    wanted: dict[str, Account] = {}
    for account in accounts:
        _require_code(account.code)
        other = wanted.setdefault(account.code, account)
        if other != account:
            raise Conflict(f"account {account.code}", other, account)
    for existing in find_accounts(conn, list(wanted)):
        offered = wanted.pop(existing.code)
        if existing != offered:
            raise Conflict(f"account {existing.code}", existing, offered)
    first_id = conn.execute(select(func.coalesce(func.max(tables.account.c.id), 0))).scalar_one() + 1
    insert_rows(
        conn,
        tables.account,
        (_row(number, account, at) for number, account in enumerate(wanted.values(), first_id)),
    )
    return len(wanted)


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
    """Close an account for good; closing it again changes nothing.

    Raises AccountNotEmpty when money is in it or held, LookupError when there is none of that code.
    """
    columns = tables.account.c
    query = select(
        columns.closed_at,
        columns.debits_posted_fen - columns.credits_posted_fen,
        columns.debits_held_fen + columns.credits_held_fen,
    ).where(columns.code == code)
    row = conn.execute(query).one_or_none()
    if row is None:
        raise LookupError(f"no account {code}; open it first")
    closed_at, net_fen, held_fen = row
    if closed_at is not None:
        return
    if net_fen or held_fen:
        raise AccountNotEmpty(f"account {code} has {net_fen} fen and {held_fen} held; move them out first")
    conn.execute(update(tables.account).where(columns.code == code).values(closed_at=at))


def _row(number: int, account: Account, at: datetime) -> tuple[Any, ...]:
    definition = (account.code, segment_of(account.code), account.kind.value, account.limit.value)
    return (number, *definition, account.owner, account.currency, at, None, 0, 0, 0, 0)


def _require_code(code: str) -> None:
    if not CODE.fullmatch(code) or len(code) > CODE_LENGTH:
        raise ValueError(
            f"account code {code!r} is not one: write a lower-case segment, then parts of letters, digits, "
            f"dots, dashes and underscores after colons, at most {CODE_LENGTH} characters"
        )

"""What lines come to, summed up by NumPy while they pass by as columns of numbers.

To sum by account, a database sorts or hashes each line; here a line costs as much as its numbers take to be read.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
from sqlalchemy import Connection, not_, select

from ledger import tables
from ledger.ids import A_DAY
from ledger.packed import Numbers, Places, numbers_by_name, numbers_in_turn

Name = TypeVar("Name", str, int)

HALF: Final = 32
"""Bits of the lower half of a word."""
WIDE: Final = 1 << 31
"""Upper halves of a sum that 64 bits may not hold: such sums are made of Python's own numbers, which take any."""


class Sums(NamedTuple):
    """What lines do to accounts: all they add, what of it is of days before the account's newest, and that day.

    Amounts are in fen; the day is YYYYMMDD, and 0 of an account without lines.
    """

    debits_fen: Numbers
    credits_fen: Numbers
    earlier_debits_fen: Numbers
    earlier_credits_fen: Numbers
    day: Numbers


class _Lines(NamedTuple):
    line_id: Numbers
    debit_id: Numbers
    credit_id: Numbers
    amount_fen: Numbers


def sums_by_account(conn: Connection, account_id: Numbers, after: int) -> Sums:
    """What lines numbered above `after` do to accounts, which come in the order of their numbers."""
    nobody, places = len(account_id), Places(account_id)
    debits, credits, earlier_debits, earlier_credits, newest = np.zeros((5, nobody + 1), np.int64)
    most = 0
    for lines in _lines(conn, after):
        most += _most(lines.amount_fen)
        if most >= WIDE:
            debits, credits, earlier_debits, earlier_credits = (
                column.astype(object) for column in (debits, credits, earlier_debits, earlier_credits)
            )
        debit, credit = (places.of(side) for side in (lines.debit_id, lines.credit_id))
        day = lines.line_id // A_DAY
        begins = np.flatnonzero(np.r_[True, day[1:] != day[:-1]])
        for first, end in zip(begins, [*begins[1:], len(day)], strict=True):
            moved = np.r_[debit[first:end], credit[first:end]]
            # A day that is new to an account: all that was added until now was added before it.
            moved = moved[newest[moved] != day[first]]
            earlier_debits[moved], earlier_credits[moved] = debits[moved], credits[moved]
            newest[moved] = day[first]
            np.add.at(debits, debit[first:end], lines.amount_fen[first:end])
            np.add.at(credits, credit[first:end], lines.amount_fen[first:end])
    return Sums(*(column[:nobody] for column in (debits, credits, earlier_debits, earlier_credits, newest)))


def sums_by_kind(
    conn: Connection, start: int, end: int, *, apart: Collection[str] = ()
) -> Mapping[tuple[str, str, str], int]:
    """What entries numbered between `start` and `end` moved, in fen by (kind, debited row, credited row).

    The accounts of a sub-ledger are one row, by its segment; those under segments `apart` are each a row, by code.
    """
    rows, kinds = _rows_of_accounts(conn, apart), _kinds_of_lines(conn, start, end)
    found: dict[tuple[str, str, str], int] = {}
    for lines in _lines(conn, start, end):
        keys = [kinds.of(lines.line_id), rows.of(lines.debit_id), rows.of(lines.credit_id)]
        known = np.logical_and.reduce([key >= 0 for key in keys])
        sizes = (len(kinds.names), len(rows.names), len(rows.names))
        together, place = np.unique(
            np.ravel_multi_index([key[known] for key in keys], sizes), return_inverse=True
        )
        wide = _most(lines.amount_fen) >= WIDE
        sums_fen = np.zeros(len(together), object if wide else np.int64)
        np.add.at(sums_fen, place, lines.amount_fen[known])
        for kind, debited, credited, fen in zip(
            *np.unravel_index(together, sizes), sums_fen.tolist(), strict=True
        ):
            named = (kinds.names[kind], rows.names[debited], rows.names[credited])
            found[named] = found.get(named, 0) + fen
    return found


class EntrySum(NamedTuple):
    """What the lines of one entry come to on one side of an account, in fen; how many they are, and the first."""

    account_id: int
    debited: bool
    entry_id: int
    amount_fen: int
    lines: int
    line_id: int


def sums_by_entry(
    conn: Connection, start: int, end: int, kind: str, account_id: Numbers
) -> Iterator[EntrySum]:
    """What entries of a kind, numbered between `start` and `end`, do to some accounts, whose numbers rise."""
    entry = tables.entry.c
    own = (entry.id > start) & (entry.id < end) & (entry.kind == kind)
    rows = conn.execute(select(entry.id, entry.first_line_id, entry.line_count).where(own)).all()
    accounts = Places(account_id)
    entries = _named({number: (np.array([first]), np.array([count])) for number, first, count in rows})
    found: dict[tuple[int, bool, int], EntrySum] = {}
    for lines in _lines(conn, start, end) if rows else ():
        for one in _entry_sums(lines, entries, accounts):
            key = (one.account_id, one.debited, one.entry_id)
            before = found.get(key, one._replace(amount_fen=0, lines=0))
            found[key] = before._replace(
                amount_fen=before.amount_fen + one.amount_fen, lines=before.lines + one.lines
            )
    yield from found.values()


def _entry_sums(lines: _Lines, entries: "_Named[int]", accounts: Places) -> Iterator[EntrySum]:
    account_id = accounts.known
    place, sizes = entries.of(lines.line_id), (len(entries.names), len(account_id))
    for debited, side in ((True, lines.debit_id), (False, lines.credit_id)):
        account = accounts.of(side)
        known = np.flatnonzero((place >= 0) & (account < len(account_id)))
        if not len(known):
            continue
        keys, first, key, count = np.unique(
            np.ravel_multi_index((place[known], account[known]), sizes),
            return_index=True, return_inverse=True, return_counts=True,
        )  # fmt: skip
        sums_fen = np.zeros(len(keys), object if _most(lines.amount_fen) >= WIDE else np.int64)
        np.add.at(sums_fen, key, lines.amount_fen[known])
        on, of = np.unravel_index(keys, sizes)
        columns = (account_id[of], on, sums_fen, count, lines.line_id[known][first])
        for whose, number, fen, several, line_id in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            yield EntrySum(whose, debited, entries.names[number], fen, several, line_id)


def _most(amounts_fen: Numbers) -> int:
    """What the upper half of no sum of some of these exceeds."""
    return int(np.abs(amounts_fen >> HALF).sum()) + len(amounts_fen)


@dataclass(frozen=True, slots=True)
class _Named(Generic[Name]):
    """Ranges of numbers, in their order, each with the place of its name."""

    names: list[Name]
    first: Numbers
    end: Numbers
    name: Numbers

    def of(self, numbers: Numbers) -> Numbers:
        """The places of the names of numbers, -1 for those that lie in no range."""
        place = np.searchsorted(self.first, numbers, "right") - 1
        inside = (place >= 0) & (numbers < np.append(self.end, 0)[place])
        return np.where(inside, np.append(self.name, -1)[place], -1)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows in which accounts are: by the place of each account the place of its row's name, -1 of none."""

    names: list[str]
    accounts: Places
    name: Numbers

    def of(self, account_id: Numbers) -> Numbers:
        """The places of the names of accounts' rows."""
        return self.name[self.accounts.of(account_id)]


def _rows_of_accounts(conn: Connection, apart: Collection[str]) -> _Rows:
    account = tables.account.c
    each = account.segment.in_(apart)
    found = {
        **numbers_by_name(conn, account.segment, account.id, where=not_(each)),
        **numbers_by_name(conn, account.code, account.id, where=each),
    }
    ids = np.concatenate([np.empty(0, np.int64), *(own for (own,) in found.values())])
    name = np.repeat(np.arange(len(found)), [len(own) for (own,) in found.values()])
    order = np.argsort(ids)
    return _Rows(list(found), Places(ids[order]), np.append(name[order], -1))


def _kinds_of_lines(conn: Connection, start: int, end: int) -> _Named[str]:
    entry = tables.entry.c
    own = (entry.id > start) & (entry.id < end)
    found = numbers_by_name(conn, entry.kind, entry.first_line_id, entry.line_count, where=own)
    return _named({kind: (first, count) for kind, (first, count) in found.items()})


def _named(found: Mapping[Name, tuple[Numbers, Numbers]]) -> _Named[Name]:
    none = np.empty(0, np.int64)
    first = np.concatenate([none, *(numbers for numbers, _ in found.values())])
    count = np.concatenate([none, *(counts for _, counts in found.values())])
    name = np.repeat(np.arange(len(found)), [len(numbers) for numbers, _ in found.values()])
    order = np.argsort(first)
    return _Named(list(found), first[order], (first + count)[order], name[order])


def _lines(conn: Connection, after: int, end: int | None = None) -> Iterator[_Lines]:
    line = tables.line.c
    rows = select(line.id, line.debit_id, line.credit_id, line.amount_fen)
    rows = rows if end is None else rows.where(line.id < end)
    for columns in numbers_in_turn(conn, lambda start: rows.where(line.id > start), "id", after):
        yield _Lines(*columns)

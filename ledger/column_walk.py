"""What columns of lines do to accounts and sub-ledgers: sorted and summed by NumPy, before the books are asked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ledger.standing import Sums

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Accounts:
    """What lines do to accounts, by account in order of its number.

    What is added, how far it goes past where it began on either side at the end of some entry, and its first and
    newest of these lines.
    """

    account_id: Numbers
    debits_fen: Numbers
    credits_fen: Numbers
    need_debit_fen: Numbers
    need_credit_fen: Numbers
    first_line_id: Numbers
    last_line_id: Numbers

    def __len__(self) -> int:
        return len(self.account_id)


@dataclass(frozen=True, slots=True)
class Moved:
    """Lines that are to be written, with their numbers, and what they do to accounts.

    The line before on each side is a line's number, or minus one less than the place among the accounts of one that
    had no line before in this call. `debits_fen` and `credits_fen` are what all lines add by sub-ledger.
    """

    line_id: Numbers
    entry_id: Numbers
    debit_id: Numbers
    credit_id: Numbers
    amount_fen: Numbers
    item: pa.StringArray
    debit_before: Numbers
    credit_before: Numbers
    accounts: Accounts
    debits_fen: Sums
    credits_fen: Sums

    def numbered(self, first_line_id: int, entry_id: Numbers) -> "Moved":
        """The same lines, which were numbered from 0, from another number on and of these entries."""
        debit_before, credit_before = (
            np.where(side < 0, side, side + first_line_id) for side in (self.debit_before, self.credit_before)
        )
        accounts = replace(
            self.accounts,
            first_line_id=self.accounts.first_line_id + first_line_id,
            last_line_id=self.accounts.last_line_id + first_line_id,
        )
        return replace(
            self,
            line_id=self.line_id + first_line_id,
            entry_id=entry_id,
            debit_before=debit_before,
            credit_before=credit_before,
            accounts=accounts,
        )


def walk(
    entry: Numbers,
    sides: tuple[Numbers, Numbers],
    codes: tuple[pa.StringArray, pa.StringArray],
    amount_fen: Numbers,
    item: pa.StringArray,
) -> Moved:
    """Sort both sides of at least one line by account, and tell from that what every account and line needs.

    `entry` tells only where one ends; lines are numbered from 0. `sides` are the numbers of the debited and the
    credited accounts, `codes` their codes.
    """
    count = len(entry)
    account, signed = np.empty(2 * count, np.int64), np.empty(2 * count, np.int64)
    account[0::2], account[1::2] = sides
    signed[0::2], signed[1::2] = amount_fen, -amount_fen
    order = np.argsort(account, kind="stable")
    account, signed, line = account[order], signed[order], order >> 1
    begins = np.r_[True, account[1:] != account[:-1]]
    starts = np.flatnonzero(begins)
    group = np.cumsum(begins) - 1
    # A limit is asked for at the end of each entry, not in the middle of it.
    running = np.cumsum(signed)
    running -= np.r_[0, running[starts[1:] - 1]][group]
    of_entry = entry[line]
    ends_entry = np.r_[(of_entry[1:] != of_entry[:-1]) | begins[1:], True]
    at_end = np.where(ends_entry, running, 0)
    before = np.empty(2 * count, np.int64)
    earlier = np.r_[0, line[:-1]]
    earlier[starts] = -1 - group[starts]
    before[order] = earlier
    accounts = Accounts(
        account[starts],
        np.add.reduceat(np.maximum(signed, 0), starts),
        np.add.reduceat(np.maximum(-signed, 0), starts),
        need_debit_fen=np.maximum.reduceat(at_end, starts),
        need_credit_fen=-np.minimum.reduceat(at_end, starts),
        first_line_id=line[starts],
        last_line_id=line[np.r_[starts[1:] - 1, 2 * count - 1]],
    )
    lines = (np.arange(count, dtype=np.int64), entry, *sides, amount_fen, item, before[0::2], before[1::2])
    first = order[starts]
    named: Any = pa.concat_arrays(codes).take((first >> 1) + (first & 1) * count)
    segment, names = _segments(named)
    debits_fen, credits_fen = (
        _by_segment(segment, names, sums) for sums in (accounts.debits_fen, accounts.credits_fen)
    )
    return Moved(*lines, accounts, debits_fen, credits_fen)


def _by_segment(segment: Numbers, names: Sequence[str], sums_fen: Numbers) -> Sums:
    together_fen = np.zeros(len(names), np.int64)
    np.add.at(together_fen, segment, sums_fen)
    return {name: int(fen) for name, fen in zip(names, together_fen, strict=True) if fen}


def _segments(codes: pa.StringArray) -> tuple[Numbers, list[str]]:
    """The place of each code's sub-ledger among the names of sub-ledgers, and these (`ledger.accounts.segment_of`)."""
    ends = pc.find_substring(codes, ":").to_numpy()
    segment, names = np.empty(len(codes), np.int64), list[str]()
    for end in np.unique(ends).tolist():
        alike: Any = pc.utf8_slice_codeunits(codes.filter(pa.array(ends == end)), 0, end).dictionary_encode()
        segment[ends == end] = alike.indices.to_numpy() + len(names)
        names += map(str, alike.dictionary.to_pylist())
    return segment, names

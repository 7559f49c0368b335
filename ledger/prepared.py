"""Columns of entries looked at without a transaction: accounts numbered, texts hashed, sums and walks made.

Nothing here runs once a line: texts are made by Arrow, sums and walks by NumPy.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from ledger.column_texts import line_contents, strange_items
from ledger.column_walk import Moved, walk
from ledger.decision import Offer
from ledger.directory import Directory
from ledger.entry import (
    MAX_AMOUNT_FEN,
    Entry,
    Line,
    canonical_head,
    digest,
    flaw_of_head,
    flaw_of_lines,
    unprintable,
)

Numbers = NDArray[np.int64]

LINES_AT_ONCE: Final = 200_000
"""Lines of one call where there are more: an account is renewed once a call; a line takes some hundred bytes."""

ALL: Final = slice(None)


@dataclass(frozen=True, slots=True)
class Heading:
    """What an entry says beside its lines. Reversals and settlements of holds go through `post`."""

    reference: str
    kind: str
    event_at: datetime
    narrative: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines as columns of one length; `entry` is the place of each one's heading and never falls.

    `entry` and `amount_fen` are int64, `debit` and `credit` the codes of accounts, `item` the natural key of
    what a line is about, as in `ledger.entry.Line`.
    """

    entry: Numbers
    debit: pa.StringArray
    credit: pa.StringArray
    amount_fen: Numbers
    item: pa.StringArray

    def __len__(self) -> int:
        return len(self.entry)


class Numbered(NamedTuple):
    """Columns with the numbers of their accounts, 0 where there is none, and where each heading's lines lie."""

    lines: Lines
    debit_id: Numbers
    credit_id: Numbers
    starts: Numbers
    ends: Numbers


@dataclass(frozen=True, slots=True)
class Prepared:
    """Columns looked at without a transaction, so that the next can be prepared while the last are written."""

    headings: Sequence[Heading]
    business_date: date
    numbered: Numbered
    offers: Sequence[Offer]
    moved: Moved | None
    """What all lines do, numbered from 0; None where there are none."""


def in_pieces(
    headings: Sequence[Heading], lines: Lines, most: int = LINES_AT_ONCE
) -> Iterator[tuple[Sequence[Heading], Lines]]:
    """The same entries in pieces of at most `most` lines, or of one entry that has more."""
    ends = np.searchsorted(lines.entry, np.arange(len(headings)), "right")
    start = 0
    while start < len(headings):
        first = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, first + most, "right")))
        last = int(ends[stop - 1])
        rows = slice(first, last)
        own = Lines(
            lines.entry[rows] - start,
            lines.debit[rows],
            lines.credit[rows],
            lines.amount_fen[rows],
            lines.item[rows],
        )
        yield headings[start:stop], own
        start = stop


def prepare_columns(
    headings: Sequence[Heading], lines: Lines, directory: Directory, *, business_date: date
) -> Prepared:
    """Number accounts, and tell what digests the entries have and what is wrong with them by themselves.

    Raises ValueError where the columns are not of one length, or `entry` falls or names no heading.
    """
    _require_columns(headings, lines)
    return _prepared(headings, business_date, _number(headings, lines, directory.numbers))


def with_new_accounts(conn: Connection, prepared: Prepared, directory: Directory) -> Prepared:
    """The same, with the accounts that were opened since it was prepared, or are in this transaction."""
    lines = prepared.numbered.lines
    if prepared.numbered.debit_id.all() and prepared.numbered.credit_id.all():
        return prepared
    numbered = _number(prepared.headings, lines, lambda codes: directory.numbers_within(conn, codes))
    return _prepared(prepared.headings, prepared.business_date, numbered)


def _prepared(headings: Sequence[Heading], business_date: date, numbered: Numbered) -> Prepared:
    # Nearly always all of them are accepted.
    moved = walk_of(numbered) if len(numbered.lines) else None
    return Prepared(headings, business_date, numbered, _offers(headings, numbered, business_date), moved)


def walk_of(numbered: Numbered, chosen: NDArray[np.bool_] | slice = ALL) -> Moved:
    """What some of the lines do."""
    lines, some = numbered.lines, None if isinstance(chosen, slice) else pa.array(chosen)
    debit, credit, item = (
        column if some is None else column.filter(some) for column in (lines.debit, lines.credit, lines.item)
    )
    sides = numbered.debit_id[chosen], numbered.credit_id[chosen]
    return walk(lines.entry[chosen], sides, (debit, credit), lines.amount_fen[chosen], item)


def _require_columns(headings: Sequence[Heading], lines: Lines) -> None:
    for name in ("debit", "credit", "amount_fen", "item"):
        rows = len(getattr(lines, name))
        if rows != len(lines):
            raise ValueError(f"column {name} has {rows} rows, entry has {len(lines)}; give each line all")
    if len(lines) and (
        lines.entry[0] < 0 or lines.entry[-1] >= len(headings) or (np.diff(lines.entry) < 0).any()
    ):
        raise ValueError(
            f"column entry must rise from 0 to {len(headings) - 1} at most; sort the lines by heading"
        )


def _number(
    headings: Sequence[Heading], lines: Lines, numbers_of: Callable[[Sequence[str]], list[int]]
) -> Numbered:
    sides = []
    for codes in (lines.debit, lines.credit):
        encoded = codes.dictionary_encode()
        known: list[Any] = encoded.dictionary.to_pylist()
        numbers = np.array(numbers_of(known), np.int64)
        sides.append(numbers[encoded.indices.to_numpy()] if len(numbers) else np.empty(0, np.int64))
    places = np.arange(len(headings))
    starts, ends = (np.searchsorted(lines.entry, places, side) for side in ("left", "right"))
    return Numbered(lines, sides[0], sides[1], starts, ends)


def _offers(headings: Sequence[Heading], numbered: Numbered, business_date: date) -> list[Offer]:
    """Each heading as an order without lines, but for one on an account that does not exist; with its digest."""
    lines = numbered.lines
    text, bounds = line_contents(lines.debit, lines.credit, lines.amount_fen, lines.item)
    unknown = _first_by_heading(numbered, (numbered.debit_id == 0) | (numbered.credit_id == 0))
    flaws = _flaws(headings, numbered)
    offers = []
    for place, heading in enumerate(headings):
        start, end = bounds[numbered.starts[place]], bounds[numbered.ends[place]]
        shown = _line(lines, unknown[place]) if place in unknown else None
        order = Entry(
            heading.reference,
            heading.kind,
            business_date,
            heading.event_at,
            () if shown is None else (shown,),
            heading.narrative,
        )
        content = canonical_head(order)[:-1] + b",[" + bytes(text[start : max(start, end - 1)]) + b"]]"
        offers.append(Offer(order, digest(content), flaws.get(place)))
    return offers


def _flaws(headings: Sequence[Heading], numbered: Numbered) -> dict[int, str]:
    """What is wrong with headings and their lines, by place, in the words that `post` has for it."""
    lines = numbered.lines
    wrong = (lines.amount_fen <= 0) | (lines.amount_fen > MAX_AMOUNT_FEN)
    # An account that does not exist may still be named on both sides.
    wrong |= pc.equal(lines.debit, lines.credit).to_numpy(zero_copy_only=False)
    wrong[strange_items(lines.item)] = True
    doubtful = set(_first_by_heading(numbered, wrong))
    doubtful.update(np.flatnonzero(numbered.starts == numbered.ends).tolist())
    found = {}
    for place, heading in enumerate(headings):
        flaw = flaw_of_head(heading.reference, heading.kind, heading.event_at)
        own = _lines(numbered, place) if flaw is None and place in doubtful else ()
        if flaw is None and place in doubtful:
            flaw = flaw_of_lines(own)
        texts = {"reference": heading.reference, "kind": heading.kind, "narrative": heading.narrative}
        flaw = flaw or unprintable(texts, own)
        if flaw is not None:
            found[place] = flaw
    return found


def _first_by_heading(numbered: Numbered, marked: NDArray[np.bool_]) -> dict[int, int]:
    """The first marked line of each heading that has one."""
    first: dict[int, int] = {}
    for number in np.flatnonzero(marked).tolist():
        first.setdefault(int(numbered.lines.entry[number]), number)
    return first


def entry_of(heading: Heading, numbered: Numbered, place: int, business_date: date) -> Entry:
    """A heading with its lines, as `ledger.post` takes it."""
    lines = _lines(numbered, place)
    return Entry(heading.reference, heading.kind, business_date, heading.event_at, lines, heading.narrative)


def _lines(numbered: Numbered, place: int) -> tuple[Line, ...]:
    return tuple(
        _line(numbered.lines, number) for number in range(numbered.starts[place], numbered.ends[place])
    )


def _line(lines: Lines, number: int) -> Line:
    return Line(
        lines.debit[number].as_py(),
        lines.credit[number].as_py(),
        int(lines.amount_fen[number]),
        lines.item[number].as_py(),
    )

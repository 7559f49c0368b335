"""Bulk posting from columns: hundreds of thousands of lines in one set-based call, with all that `post` guarantees.

Nothing here runs once a line: texts are made by Arrow, sums and walks by NumPy, and the database renews all totals
in one statement. It is hopeful: where an account turns out to be closed or past its limit, the whole call is decided
again, entry by entry, by `ledger.decision`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from ledger.column_run import Run
from ledger.column_store import Renew, TotalsRefused, renew_totals, store_columns
from ledger.column_texts import line_contents, strange_items
from ledger.column_walk import Moved, walk
from ledger.day import DayState, day_state
from ledger.db import lock_writers
from ledger.decision import Offer, decide
from ledger.directory import Directory
from ledger.entry import (
    MAX_AMOUNT_FEN,
    Entry,
    Line,
    Posted,
    Refused,
    canonical_head,
    digest,
    flaw_of_head,
    flaw_of_lines,
    unprintable,
)
from ledger.facts import Facts, are_forestalled, load_facts
from ledger.orders import Order
from ledger.post import expire_holds, post
from ledger.standing import MAX_TOTAL_FEN, Decision
from ledger.store import entry_row

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


def post_columns(
    conn: Connection, prepared: Prepared, directory: Directory, *, at: datetime, closing: bool = False
) -> list[Posted | Refused]:
    """Book one entry a heading, with its lines, and answer each in order; `conn` comes from `ledger.db.writing`.

    Answers are those of `ledger.post.post` on the same entries.
    """
    prepared = _with_new_accounts(conn, prepared, directory)
    try:
        with conn.begin_nested():
            expire_holds(conn, at=at)
            facts = load_facts(conn, _booking(prepared), at=at)
            return _posted(conn, prepared, facts, renew_totals, at=at, closing=closing)
    except TotalsRefused:
        entries = [
            _entry(heading, prepared.numbered, place, prepared.business_date)
            for place, heading in enumerate(prepared.headings)
        ]
        return post(conn, entries, at=at, closing=closing)


def _at_once() -> None:
    """There is nothing to wait for."""


def post_pieces(
    conn: Connection,
    pieces: Callable[[], AbstractContextManager[Iterable[Prepared]]],
    directory: Directory,
    *,
    at: datetime,
    closing: bool = False,
    when_written: Callable[[], object] = _at_once,
) -> list[Posted | Refused]:
    """`post_columns` of some pieces, one after the other, all of one business date.

    An account that many pieces move is renewed once, at the end, and only then is the writer's lock needed where the
    day is closing, as nobody but its night, which is the caller, books on it: until all lines are there, and
    `when_written` has returned, others go on. Where an account cannot take it all, or an entry was taken back
    meanwhile, `pieces` is asked for them again under the lock, and each is booked by itself.
    """
    run = Run()
    answers: list[Posted | Refused] = []
    try:
        with conn.begin_nested(), pieces() as several:
            for prepared in several:
                if not run.has_begun:
                    _lock_unless_closing(conn, prepared.business_date)
                known = _with_new_accounts(conn, prepared, directory)
                facts = load_facts(conn, _booking(known), at=at, ahead=True)
                answers += _posted(conn, known, facts, run.take, at=at, closing=closing)
            run.lay_ready(conn)
            when_written()
            lock_writers(conn)
            expire_holds(conn, at=at)
            if are_forestalled(conn, _new(answers)):
                raise TotalsRefused
            run.renew(conn)
            return answers
    except TotalsRefused:
        lock_writers(conn)  # a savepoint that is gone back to takes it along
        with pieces() as several:
            return [
                answer
                for prepared in several
                for answer in post_columns(conn, prepared, directory, at=at, closing=closing)
            ]


def _lock_unless_closing(conn: Connection, business_date: date) -> None:
    """The numbers of a day that is closing are its night's; on another day whoever holds the lock has the next."""
    if day_state(conn, business_date) is not DayState.CLOSING:
        lock_writers(conn)


def _new(answers: Sequence[Posted | Refused]) -> list[str]:
    return [answer.reference for answer in answers if isinstance(answer, Posted) and answer.first_time]


def _booking(prepared: Prepared) -> list[Order]:
    return [offer.order for offer in prepared.offers if offer.flaw is None]


def _posted(
    conn: Connection, prepared: Prepared, facts: Facts, renew: Renew, *, at: datetime, closing: bool
) -> list[Posted | Refused]:
    """What `post_columns` answers where every account can take its part; else this raises TotalsRefused."""
    # Whatever accounts may say is left to the totals: here they are asked for by no line.
    decision = decide(prepared.offers, facts, closing=closing, at=at)
    if decision.accepted:
        _store(conn, prepared, decision, facts, renew, at=at)
    return [answer for answer in decision.answers if isinstance(answer, Posted | Refused)]


def _with_new_accounts(conn: Connection, prepared: Prepared, directory: Directory) -> Prepared:
    """The same, with the accounts that were opened since it was prepared, or are in this transaction."""
    lines = prepared.numbered.lines
    if prepared.numbered.debit_id.all() and prepared.numbered.credit_id.all():
        return prepared
    numbered = _number(prepared.headings, lines, lambda codes: directory.numbers_within(conn, codes))
    return _prepared(prepared.headings, prepared.business_date, numbered)


def _prepared(headings: Sequence[Heading], business_date: date, numbered: Numbered) -> Prepared:
    # Nearly always all of them are accepted.
    moved = _walk_of(numbered) if len(numbered.lines) else None
    return Prepared(headings, business_date, numbered, _offers(headings, numbered, business_date), moved)


def _walk_of(numbered: Numbered, chosen: NDArray[np.bool_] | slice = ALL) -> Moved:
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


def _store(
    conn: Connection, prepared: Prepared, decision: Decision, facts: Facts, renew: Renew, *, at: datetime
) -> None:
    numbered, business_date = prepared.numbered, prepared.business_date
    # Beyond 64 bits sums wrap round. Where all lines come to less than an account may ever hold, none does.
    if numbered.lines.amount_fen.sum(dtype=np.float64) > MAX_TOTAL_FEN:
        raise TotalsRefused
    places = _places(decision)
    counts = numbered.ends[places] - numbered.starts[places]
    first = facts.days[business_date].last_line_id + 1
    first_line_ids = first + np.r_[0, np.cumsum(counts)[:-1]]
    chosen = np.isin(numbered.lines.entry, places)
    entry_ids = np.array([taken.entry_id for taken in decision.accepted], np.int64)
    moved = prepared.moved if prepared.moved and chosen.all() else _walk_of(numbered, chosen)
    entries = [
        entry_row(taken, at, first_line_id=int(first_line_id), line_count=int(count))
        for taken, first_line_id, count in zip(decision.accepted, first_line_ids, counts, strict=True)
    ]
    placed = moved.numbered(first, np.repeat(entry_ids, counts))
    store_columns(conn, entries, placed, business_date, renew)


def _places(decision: Decision) -> Numbers:
    """The places of the accepted headings: the first of each reference that was answered as new."""
    places = [
        place
        for place, answer in enumerate(decision.answers)
        if isinstance(answer, Posted) and answer.first_time
    ]
    return np.array(places, np.int64)


def _entry(heading: Heading, numbered: Numbered, place: int, business_date: date) -> Entry:
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

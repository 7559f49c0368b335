"""What columns of numbers come to is what the entries say one by one, however they are cut into pieces."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from ledger import packed, tables
from ledger.accounts import segment_of
from ledger.chart import STANDING
from ledger.day import begin_close
from ledger.db import reading
from ledger.entry import Entry, Line, Posted
from ledger.ids import NONE, before_first, numbers_of
from ledger.line_sums import sums_by_account, sums_by_entry, sums_by_kind
from ledger.packed import Places, numbers_by_name, numbers_in_turn
from ledger.post import post
from ledger.total_checks import totals_agree_with_lines
from tests.ledger.some_books import AT, DAY, Books, Tamper

NEXT = DAY + timedelta(days=1)
LINES = st.builds(
    Line,
    st.sampled_from(["agent:A", "bank:reserve", "expense:loss"]),
    st.sampled_from(["purse:1", "purse:2", "clearing:METRO-1", "income:fee"]),
    st.integers(1, 10**12),
    st.just("item"),
)
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([DAY, NEXT]),
        st.sampled_from(["load", "tap", "net"]),
        st.lists(LINES, min_size=1, max_size=4).map(tuple),
    ),
    max_size=8,
)
slow_books = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def posted(conn: Connection, entries: list[Entry]) -> None:
    """Entries of a day that closes and of the next, which come in turn."""
    begin_close(conn, DAY, at=AT)
    for entry in entries:
        (answer,) = post(conn, [entry], at=AT, closing=True)
        assert isinstance(answer, Posted)


@slow_books
@given(ENTRIES, st.integers(1, 5))
def test_sums_by_account_are_those_of_every_line_added_up(
    books: Books, given_entries: list[tuple[date, str, tuple[Line, ...]]], rows: int
) -> None:
    entries = [Entry(f"e{n}", kind, day, AT, lines) for n, (day, kind, lines) in enumerate(given_entries)]
    with pytest.MonkeyPatch.context() as patch, books.engine.connect() as conn:
        patch.setattr(packed, "ROWS_AT_ONCE", rows)
        posted(conn, entries)
        codes = dict(conn.execute(select(tables.account.c.id, tables.account.c.code)).all())
        account_id = np.array(sorted(codes), np.int64)
        sums = sums_by_account(conn, account_id, NONE)
        later = sums_by_account(conn, account_id, before_first(NEXT))
        conn.rollback()
    for place, number in enumerate(account_id.tolist()):
        code = codes[number]
        own = [(entry.business_date, line) for entry in entries for line in entry.lines]
        newest = max((day for day, line in own if code in (line.debit, line.credit)), default=None)

        def of(side: str, *days: date, code: str = code, own: list[tuple[date, Line]] = own) -> int:
            return sum(line.amount_fen for day, line in own if getattr(line, side) == code and day in days)

        assert [int(column[place]) for column in sums] == [
            of("debit", DAY, NEXT),
            of("credit", DAY, NEXT),
            of("debit", DAY) if newest == NEXT else 0,
            of("credit", DAY) if newest == NEXT else 0,
            int(f"{newest:%Y%m%d}") if newest else 0,
        ]
        assert (int(later.debits_fen[place]), int(later.credits_fen[place])) == (
            of("debit", NEXT),
            of("credit", NEXT),
        )


@slow_books
@given(ENTRIES, st.integers(1, 5), st.sampled_from([(), ("clearing:METRO-1", "purse:1"), ("agent:A",)]))
def test_sums_by_entry_are_those_of_every_line_added_up(
    books: Books, given_entries: list[tuple[date, str, tuple[Line, ...]]], rows: int, of: tuple[str, ...]
) -> None:
    entries = [Entry(f"e{n}", kind, day, AT, lines) for n, (day, kind, lines) in enumerate(given_entries)]
    expected: dict[tuple[str, bool, str], tuple[int, int]] = {}
    for entry in entries:
        for line in entry.lines if (entry.business_date, entry.kind) == (DAY, "tap") else ():
            for code, debited in ((line.debit, True), (line.credit, False)):
                fen, count = expected.get((code, debited, entry.reference), (0, 0))
                if code in of:
                    expected[code, debited, entry.reference] = fen + line.amount_fen, count + 1
    with pytest.MonkeyPatch.context() as patch, books.engine.connect() as conn:
        patch.setattr(packed, "ROWS_AT_ONCE", rows)
        posted(conn, entries)
        account, entry_table, line_table = tables.account.c, tables.entry.c, tables.line.c
        rows_of = select(account.id, account.code).where(account.code.in_(of)).order_by(account.id)
        codes = dict(conn.execute(rows_of).all())
        said = dict(conn.execute(select(entry_table.id, entry_table.reference)).all())
        found = list(sums_by_entry(conn, *numbers_of(DAY), "tap", np.array(list(codes), np.int64)))
        firsts = [
            conn.scalar(
                select(func.min(line_table.id)).where(
                    line_table.entry_id == one.entry_id,
                    (line_table.debit_id if one.debited else line_table.credit_id) == one.account_id,
                )
            )
            for one in found
        ]
        conn.rollback()
    sums = {
        (codes[one.account_id], one.debited, said[one.entry_id]): (one.amount_fen, one.lines) for one in found
    }
    assert (sums, len(found)) == (expected, len(expected))
    assert [one.line_id for one in found] == firsts


@slow_books
@given(ENTRIES, st.integers(1, 5), st.sampled_from([(), STANDING, ("clearing", "purse")]))
def test_sums_by_kind_are_those_of_every_line_added_up(
    books: Books,
    given_entries: list[tuple[date, str, tuple[Line, ...]]],
    rows: int,
    apart: tuple[str, ...],
) -> None:
    entries = [Entry(f"e{n}", kind, day, AT, lines) for n, (day, kind, lines) in enumerate(given_entries)]
    expected = Counter[tuple[str, str, str]]()
    for entry in entries:
        for line in entry.lines if entry.business_date == DAY else ():
            debited, credited = (
                code if segment_of(code) in apart else segment_of(code) for code in (line.debit, line.credit)
            )
            expected[entry.kind, debited, credited] += line.amount_fen
    with pytest.MonkeyPatch.context() as patch, books.engine.connect() as conn:
        patch.setattr(packed, "ROWS_AT_ONCE", rows)
        posted(conn, entries)
        found = sums_by_kind(conn, *numbers_of(DAY), apart=apart)
        conn.rollback()
    assert found == dict(expected)


def test_a_line_of_no_entry_or_on_no_account_moves_nothing_by_kind(books: Books, tampered: Tamper) -> None:
    books.post(books.load("1", 100, "a"), books.load("2", 7, "b"), books.tap("1", 30, "c"))
    tampered(
        "UPDATE ledger_line SET id = id + 100 WHERE amount_fen = 30",
        "UPDATE ledger_line SET credit_id = 1000000 WHERE amount_fen = 7",
    )
    with reading(books.engine) as conn:
        assert sums_by_kind(conn, *numbers_of(DAY)) == {("load", "agent", "purse"): 100}
        account_id = np.array([1], np.int64)
        assert [int(column[0]) for column in sums_by_account(conn, account_id, NONE)][:2] == [0, 0]


def test_sums_beyond_64_bits_are_whole_and_do_not_come_round_to_what_they_were(
    books: Books, tampered: Tamper
) -> None:
    """Four lines of 2^62 fen are 2^64, which a word of 64 bits would take for nothing."""
    quarter = 1 << 62
    books.post(*(books.load("1", 100, f"{number}") for number in range(4)), books.tap("1", 30, "tap"))
    tampered(f"UPDATE ledger_line SET amount_fen = {quarter} WHERE amount_fen = 100")
    with reading(books.engine) as conn:
        assert sums_by_kind(conn, *numbers_of(DAY))["load", "agent", "purse"] == 4 * quarter
        account_id = np.array(conn.scalars(select(tables.account.c.id).order_by(tables.account.c.id)).all())
        sums = sums_by_account(conn, account_id, NONE)
        purse = conn.execute(
            select(tables.account.c.id).where(tables.account.c.code == "purse:1")
        ).scalar_one()
        place = int(np.searchsorted(account_id, purse))
        assert (int(sums.debits_fen[place]), int(sums.credits_fen[place])) == (30, 4 * quarter)
        assert {one.subject for one in totals_agree_with_lines(conn, None)} >= {"purse:1"}


def test_books_without_a_line_have_no_sums(books: Books) -> None:
    with reading(books.engine) as conn:
        assert sums_by_kind(conn, *numbers_of(DAY), apart=STANDING) == {}
        none = sums_by_account(conn, np.empty(0, np.int64), NONE)
        assert [len(column) for column in none] == [0] * 5


def test_packed_numbers_come_whole_in_the_order_of_their_key(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "ROWS_AT_ONCE", 3)
    account = tables.account.c
    with reading(books.engine) as conn:
        rows = conn.execute(select(account.id, account.segment).order_by(account.id)).all()
        both = select(account.id, (-account.id).label("other"))
        pieces = list(numbers_in_turn(conn, lambda after: both.where(account.id > after), "id", 1))
        named = numbers_by_name(conn, account.segment, account.id, where=account.id > 1)
    assert [len(numbers) for numbers, _ in pieces] == [3, 3, 1]
    numbers, others = (np.concatenate(columns).tolist() for columns in zip(*pieces, strict=True))
    assert numbers == [number for number, _ in rows[1:]] == [-other for other in others]
    assert {name: sorted(ids.tolist()) for name, (ids,) in named.items()} == {
        segment: [number for number, of in rows[1:] if of == segment] for _, segment in rows[1:]
    }


@given(
    known=st.sets(st.integers(-1000, 1 << 40), max_size=20) | st.sets(st.integers(70, 99), min_size=15),
    wanted=st.lists(st.integers(-1000, 1 << 40) | st.integers(65, 104)),
)
def test_places_are_found_in_a_table_and_by_searching_alike(known: set[int], wanted: list[int]) -> None:
    order = sorted(known)
    places = Places(np.array(order, np.int64)).of(np.array([*wanted, *order], np.int64))
    expected = [order.index(one) if one in known else len(order) for one in [*wanted, *order]]
    assert places.tolist() == expected

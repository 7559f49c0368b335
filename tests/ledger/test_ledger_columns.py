"""Bulk posting from columns books to the letter what posting the same entries one by one does."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from ledger import tables
from ledger.accounts import close_account, open_accounts
from ledger.chart import account
from ledger.checks import check_books
from ledger.column_texts import line_contents
from ledger.columns import post_columns
from ledger.db import reading, writing
from ledger.directory import Directory
from ledger.entry import (
    MAX_AMOUNT_FEN,
    Entry,
    Line,
    Posted,
    Reason,
    Refused,
    canonical_bytes,
    canonical_head,
)
from ledger.orders import Hold, Reversal
from ledger.post import post
from ledger.prepared import Heading, Lines, in_pieces, prepare_columns
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, answers, as_columns

CODES = st.sampled_from(
    ["purse:1", "purse:2", "agent:A", "clearing:METRO-1", "till:1", "purse:none", "income:fee"]
)
ITEMS = st.sampled_from(["", "tap:1", 'quote " and \\ back', "站台", "bell\x07"])
LINES = st.builds(Line, CODES, CODES, st.integers(-1, 60), ITEMS)
ENTRIES = st.builds(
    Entry,
    reference=st.sampled_from(["a", "b", "c", "d", "e", ""]),
    kind=st.sampled_from(["tap", "load", "x" * 33]),
    business_date=st.just(DAY),
    event_at=st.just(AT),
    lines=st.lists(LINES, max_size=4).map(tuple),
    narrative=st.sampled_from(["", "早", "a\\b"]),
)
WRITTEN = (tables.entry, tables.line, tables.total, tables.control, tables.event)


def booked(conn: Connection, entries: Sequence[Entry], directory: Directory) -> list[Posted | Refused]:
    """What `post_columns` answers to entries."""
    prepared = prepare_columns(*as_columns(entries), directory, business_date=DAY)
    return post_columns(conn, prepared, directory, at=AT)


def written(conn: Connection) -> list[list[tuple[object, ...]]]:
    """Every row that posting can write."""
    return [
        [tuple(row) for row in conn.execute(table.select().order_by(*table.primary_key))] for table in WRITTEN
    ]


@given(batches=st.lists(st.lists(ENTRIES, max_size=6), min_size=1, max_size=3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_are_booked_as_the_same_entries_are(books: Books, batches: list[list[Entry]]) -> None:
    directory = Directory(books.engine)
    with books.engine.connect() as conn:
        post(conn, [books.load("1", 100), books.load("2", 50)], at=AT)
        for batch in batches:
            with conn.begin_nested() as savepoint:
                expected = post(conn, batch, at=AT), written(conn)
                savepoint.rollback()
            found = booked(conn, batch, directory)
            assert (found, written(conn)) == expected
        assert check_books(conn) == []
        assert list(verify_books(conn)) == []
        conn.rollback()


@given(lines=st.lists(LINES, max_size=5))
def test_the_text_that_is_hashed_is_the_canonical_one(lines: list[Line]) -> None:
    entry = Entry("r", "k", DAY, AT, tuple(lines), "n")
    _, columns = as_columns([entry])
    text, bounds = line_contents(columns.debit, columns.credit, columns.amount_fen, columns.item)
    assert bounds[-1] == len(text)
    ours = canonical_head(entry)[:-1] + b",[" + bytes(text[:-1]) + b"]]"
    assert ours == canonical_bytes(entry)


def test_a_batch_of_many_lines_is_one_entry_with_a_walk_through_them(books: Books) -> None:
    taps = tuple(Line(f"purse:{1 + n % 2}", "clearing:METRO-1", 1 + n % 3, f"tap:{n}") for n in range(3_000))
    books.post(books.load("1", 10_000), books.load("2", 10_000))
    batch = books.entry("batch", *taps)
    with writing(books.engine) as conn:
        found = booked(conn, [batch], Directory(books.engine))
    with writing(books.engine) as conn:
        [again] = post(conn, [batch], at=AT)
    assert isinstance(again, Posted) and not again.first_time
    assert found == [Posted("batch", again.entry_id, first_time=True)]
    with reading(books.engine) as conn:
        assert check_books(conn) == []
        assert list(verify_books(conn)) == []


def test_one_entry_past_a_limit_does_not_sink_the_others(books: Books) -> None:
    books.post(books.load("1", 100))
    batch = [books.tap("1", 60, "fits"), books.tap("1", 60, "does-not"), books.tap("1", 40, "fits-too")]
    with writing(books.engine) as conn:
        found = booked(conn, batch, Directory(books.engine))
    assert answers(found) == ["posted", "limit_exceeded", "posted"]
    [refused] = [one for one in found if isinstance(one, Refused)]
    assert (refused.account, refused.amount_fen) == ("purse:1", 20)


def test_money_that_is_held_or_taken_back_before_it_came_is_not_booked_in_bulk(books: Books) -> None:
    books.post(books.load("1", 100))
    with writing(books.engine) as conn:
        hold = Hold("held", "online", AT, AT.replace(year=2019), (Line("purse:1", "clearing:METRO-1", 50),))
        post(conn, [hold, Reversal("back", "late", DAY, AT)], at=AT)
        close_account(conn, "purse:2", at=AT)
    batch = [
        books.tap("1", 60, "held-back"),
        books.tap("1", 10, "late"),
        books.load("2", 5),
        books.tap("1", 50, "ok"),
    ]
    with writing(books.engine) as conn:
        found = booked(conn, batch, Directory(books.engine))
    assert answers(found) == ["limit_exceeded", "forestalled", "account_closed", "posted"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [([0, 0], "column debit has 1 rows"), ([1], "must rise from 0 to 0"), ([-1], "must rise from 0 to 0")],
)
def test_columns_that_do_not_fit_are_refused_as_a_whole(books: Books, entry: list[int], message: str) -> None:
    one = pa.array(["purse:1"], pa.string())
    lines = Lines(np.array(entry, np.int64), one, one, np.array([1], np.int64), one)
    with pytest.raises(ValueError, match=message):
        prepare_columns([Heading("a", "tap", AT)], lines, Directory(books.engine), business_date=DAY)


def test_an_account_opened_in_the_same_transaction_is_known_and_forgotten_with_it(books: Books) -> None:
    directory = Directory(books.engine)
    with books.engine.connect() as conn:
        open_accounts(conn, [account("purse:new")], at=AT)
        assert directory.numbers_within(conn, ["purse:new", "purse:1"])[0] > 0
        conn.rollback()
    assert directory.numbers(["purse:new"]) == [0]


def test_what_was_prepared_before_its_account_was_opened_is_booked_after(books: Books) -> None:
    directory = Directory(books.engine)
    lines = Line("agent:A", "purse:new", 5), Line("agent:A", "purse:newer", 7)
    headings, columns = as_columns([books.entry("early", *lines)])
    prepared = prepare_columns(headings, columns, directory, business_date=DAY)
    with writing(books.engine) as conn:
        open_accounts(conn, [account("purse:new")], at=AT)
    with writing(books.engine) as conn:
        open_accounts(conn, [account("purse:newer")], at=AT)
        assert answers(post_columns(conn, prepared, directory, at=AT)) == ["posted"]
    assert books.nets()["purse:newer"] == -7


@given(
    batches=st.lists(st.lists(LINES, min_size=1, max_size=4), min_size=1, max_size=6), most=st.integers(1, 9)
)
def test_pieces_hold_whole_entries_and_together_all_of_them(batches: list[list[Line]], most: int) -> None:
    entries = [Entry(f"r:{number}", "k", DAY, AT, tuple(lines)) for number, lines in enumerate(batches)]
    headings, lines = as_columns(entries)
    found: list[tuple[str, list[str | None]]] = []
    for some, own in in_pieces(headings, lines, most):
        assert len(own) <= most or len(some) == 1
        items = own.item.to_pylist()
        for place, heading in enumerate(some):
            mine = [item for item, at in zip(items, own.entry.tolist(), strict=True) if at == place]
            found.append((heading.reference, mine))
    assert found == [(entry.reference, [line.item for line in entry.lines]) for entry in entries]


def test_sums_beyond_64_bits_are_past_the_limit_and_never_wrap_round(books: Books) -> None:
    wraps = 2**64 // MAX_AMOUNT_FEN + 1
    rows = np.full(wraps, MAX_AMOUNT_FEN)
    lines = Lines(
        np.zeros(wraps, np.int64), pa.repeat("agent:A", wraps), pa.repeat("clearing:METRO-1", wraps), rows,
        pa.repeat("", wraps),
    )  # fmt: skip
    directory = Directory(books.engine)
    with writing(books.engine) as conn:
        prepared = prepare_columns([Heading("vast", "tap", AT)], lines, directory, business_date=DAY)
        (answer,) = post_columns(conn, prepared, directory, at=AT)
        assert isinstance(answer, Refused)
        assert (answer.reason, answer.account) == (Reason.LIMIT_EXCEEDED, "agent:A")
        assert check_books(conn) == []

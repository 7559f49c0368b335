"""Plain entries in parts: whatever the parts, the answers and the rows are those of one decision over all."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from ledger.db import writing
from ledger.entry import Entry, Line
from ledger.orders import Answer, Hold, Order, Void
from ledger.place import Place
from ledger.post import post
from ledger.stream import LEAST, MOST, PARTS, are_plain
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, answers

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

FLOWS = [
    ("agent:A", "purse:1"),
    ("agent:A", "purse:2"),
    ("purse:1", "clearing:METRO-1"),
    ("purse:2", "clearing:METRO-1"),
    ("purse:1", "purse:2"),
    ("purse:1", "purse:none"),
    ("purse:1", "purse:1"),
]
ENTRIES = st.builds(
    lambda number, flows, amount_fen, narrative, days: Entry(
        f"ride:{number}",
        "test",
        DAY + timedelta(days=days),
        AT,
        tuple(Line(debit, credit, amount_fen, narrative) for debit, credit in flows),
        narrative,
    ),
    st.integers(0, 60),
    st.lists(st.sampled_from(FLOWS), min_size=1, max_size=3),
    st.sampled_from([1, 2, 3, 5, 8, 200, 0]),
    st.sampled_from(["", "", "站台 \\ 2", 'a "quoted" {word}, NULL', "a\ttab", "𝔘"]),
    st.sampled_from([0] * 9 + [1]),
)
ROWS = (
    "SELECT * FROM ledger_entry ORDER BY id",
    "SELECT * FROM ledger_line ORDER BY id",
    "SELECT * FROM ledger_total ORDER BY account_id",
    "SELECT * FROM ledger_control ORDER BY segment",
)
NEVER_PLACED = Void("never placed")
"""An order that is no entry: with it, a call is decided as a whole, and written by COPY."""


class Undone(Exception):
    """Raised to roll back what was tried."""


def tried(books: Books, orders: list[Order]) -> tuple[list[Answer], list[list[tuple[object, ...]]]]:
    """The answers to orders, and the rows that stand in the books then; nothing of it stays."""
    found: tuple[list[Answer], list[list[tuple[object, ...]]]] | None = None
    with pytest.raises(Undone), writing(books.engine) as conn:
        given_answers = post(conn, orders, at=AT)
        found = given_answers, [[tuple(row) for row in conn.execute(text(query))] for query in ROWS]
        raise Undone
    assert found is not None
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(ENTRIES, min_size=1, max_size=3 * LEAST))
def test_parts_are_answered_and_written_as_the_whole_is(books: Books, entries: list[Entry]) -> None:
    assert are_plain(entries) and not are_plain([*entries, NEVER_PLACED])
    in_parts, rows = tried(books, list(entries))
    as_a_whole, same_rows = tried(books, [*entries, NEVER_PLACED])
    assert in_parts == as_a_whole[:-1]
    assert rows == same_rows


def test_an_order_meets_what_a_part_before_it_has_left(books: Books) -> None:
    orders = PARTS * LEAST
    books.post(books.load("1", orders // 2, "first"))
    taps = [books.tap("1", 1, f"tap:{number}") for number in range(orders)]
    again = taps[0]
    other = replace(taps[1], narrative="other")
    found = answers(books.post(*taps, again, other, books.load("1", 5, "late"), books.tap("1", 5, "last")))
    half = orders // 2
    assert found == ["posted"] * half + ["limit_exceeded"] * half + ["posted", "conflict", "posted", "posted"]
    assert books.nets()["purse:1"] == 0
    with writing(books.engine) as conn:
        assert list(verify_books(conn)) == []


def test_a_hold_that_has_run_out_is_ended_before_entries_are_answered(books: Books) -> None:
    books.post(books.load("1", 10, "load"))
    books.ask(Hold("hold", "test", AT, AT + timedelta(minutes=1), (Line("purse:1", "clearing:METRO-1", 10),)))
    assert answers(books.post(books.tap("1", 10, "while it is held"))) == ["limit_exceeded"]
    assert answers(books.ask(books.tap("1", 10, "when it is over"), minutes=1)) == ["posted"]


def test_more_than_come_together_online_are_not_plain(books: Books) -> None:
    entries = [books.load("1", 1, f"load:{number}") for number in range(MOST + 1)]
    assert are_plain(entries[:-1]) and not are_plain(entries)
    assert set(answers(books.post(*entries))) == {"posted"}
    assert books.nets()["purse:1"] == -MOST - 1


def test_a_writers_place_goes_on_after_what_was_rolled_back(books: Books) -> None:
    def write(conn: Connection, reference: str) -> list[str]:
        return answers(post(conn, [books.load("1", 1, reference)], at=AT))

    with Place(books.engine) as place:
        for turn in range(7):  # from the sixth on psycopg, too, keeps what it is asked
            with place.writing() as conn:
                conn.execute(text("SELECT count(*) FROM ledger_entry WHERE id > :turn"), {"turn": turn})
                assert write(conn, f"kept:{turn}") == ["posted"]
            with pytest.raises(Undone), place.writing() as conn:
                write(conn, f"undone:{turn}")
                raise Undone
    assert books.nets()["purse:1"] == -7


def test_where_nothing_is_offered_nothing_is_answered(books: Books) -> None:
    assert books.post() == []
    assert books.nets() == {}

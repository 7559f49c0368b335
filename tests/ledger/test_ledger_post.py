"""Posting: what is refused and in which order, what a retry gets, and what the database holds by itself."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import text as texts
from sqlalchemy import event

from ledger import tables
from ledger.balances import balance
from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from ledger.entry import MAX_AMOUNT_FEN, Entry, Line, Posted, Reason, Refused, canonical_bytes
from ledger.history import history
from ledger.post import post, reversal_of
from tests.ledger.some_books import AT, DAY, Books, answers, numbered

NEXT_DAY = DAY + timedelta(days=1)
LINE = Line("agent:A", "purse:1", 500)


def entry(*lines: Line, reference: str = "x", day: date = DAY, **other: Any) -> Entry:
    return Entry(reference, other.pop("kind", "test"), day, AT, lines, **other)


def test_reasons_are_listed_in_their_order() -> None:
    assert list(Reason) == [
        "malformed",
        "day_not_open",
        "day_closed",
        "account_unknown",
        "account_closed",
        "conflict",
        "forestalled",
        "original_unknown",
        "original_archived",
        "not_a_mirror",
        "already_reversed",
        "hold_unknown",
        "hold_over",
        "hold_exceeded",
        "limit_exceeded",
    ]


MALFORMED = {
    "no reference": (entry(LINE, reference=""), "reference is empty"),
    "no kind": (entry(LINE, kind=""), "kind is empty"),
    "a long kind": (entry(LINE, kind="k" * 33), "longer than 32"),
    "no lines": (entry(), "no lines"),
    "no time zone": (replace(entry(LINE), event_at=AT.replace(tzinfo=None)), "no time zone"),
    "nothing moves": (entry(Line("agent:A", "purse:1", 0)), "amount_fen 0 of line 1"),
    "a negative amount": (entry(LINE, Line("agent:A", "purse:1", -1)), "amount_fen -1 of line 2"),
    "more than there is": (entry(Line("agent:A", "purse:1", MAX_AMOUNT_FEN + 1)), "check its unit"),
    "a truth for an amount": (entry(Line("agent:A", "purse:1", True)), "amount_fen True"),
    "in a circle": (entry(Line("purse:1", "purse:1", 1)), "to itself"),
    "a control character": (entry(LINE, narrative="a\x00b"), "narrative 'a\\x00b' holds a control character"),
    "a line break": (entry(replace(LINE, item="a\nb")), "item of line 1"),
    "half a character": (entry(LINE, reference="\ud800"), "reference"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_can_never_be_posted_is_said_with_its_field(books: Books, name: str) -> None:
    wrong, message = MALFORMED[name]
    good = entry(LINE, reference="good")
    [refused, posted] = books.post(wrong, good)
    assert isinstance(refused, Refused) and refused.reason is Reason.MALFORMED
    assert message in refused.message
    assert isinstance(posted, Posted)


UNKNOWN = Line("agent:A", "purse:none", 1)
OVERDRAWING = Line("purse:2", "clearing:METRO-1", 700)
REFUSALS = [
    # Each entry also has every fault that comes later in the order.
    (entry(UNKNOWN, OVERDRAWING, day=date(2020, 1, 1), reverses="none"), Reason.DAY_NOT_OPEN, "", 0),
    (entry(UNKNOWN, OVERDRAWING, day=date(2018, 8, 31), reverses="none"), Reason.DAY_CLOSED, "", 0),
    (entry(UNKNOWN, OVERDRAWING, reverses="none"), Reason.ACCOUNT_UNKNOWN, "purse:none", 0),
    (entry(OVERDRAWING, reference="first", reverses="none"), Reason.CONFLICT, "", 0),
    (entry(OVERDRAWING, reverses="none"), Reason.ORIGINAL_UNKNOWN, "", 0),
    (entry(OVERDRAWING, reverses="first"), Reason.NOT_A_MIRROR, "", 0),
    (entry(Line("purse:1", "agent:A", 500), reverses="first"), Reason.ALREADY_REVERSED, "", 0),
    (entry(OVERDRAWING), Reason.LIMIT_EXCEEDED, "purse:2", 700),
    (entry(Line("agent:A", "till:1", 30)), Reason.LIMIT_EXCEEDED, "till:1", 30),
]


@pytest.mark.parametrize(("offered", "reason", "account", "amount_fen"), REFUSALS)
def test_the_first_reason_that_applies_is_given(
    books: Books, offered: Entry, reason: Reason, account: str, amount_fen: int
) -> None:
    with writing(books.engine) as conn:
        # A day before the first: as if it had been opened and closed in its time.
        yesterday = {"business_date": date(2018, 8, 31), "state": "closed", "opened_at": AT, "closed_at": AT}
        conn.execute(tables.day.insert().values(yesterday))
    books.post(entry(LINE, reference="first"))
    books.post(entry(Line("purse:1", "agent:A", 500), reference="back", reverses="first"))
    before = books.nets()
    [refused] = books.post(offered)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.account, refused.amount_fen) == (reason, account, amount_fen)
    assert offered.reference in refused.message and "; " in refused.message
    assert books.nets() == before


def test_the_same_again_gets_the_first_result(books: Books) -> None:
    offered = books.load("1", 500)
    [first, again] = books.post(offered, offered)
    assert first == Posted("load:1", numbered(1), True)
    assert again == Posted("load:1", numbered(1), False)
    assert books.post(offered) == [again]
    assert books.nets() == {"agent:A": 500, "purse:1": -500}


def test_a_retry_after_the_cut_off_is_still_the_same_event(books: Books) -> None:
    offered = books.load("1", 500)
    books.post(offered)
    with writing(books.engine) as conn:
        begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
    first = Posted("load:1", numbered(1), False)
    assert books.post(offered, replace(offered, business_date=NEXT_DAY)) == [first] * 2
    assert books.post(replace(books.load("2", 5), business_date=DAY))[0] == Refused(
        "load:2",
        Reason.DAY_CLOSED,
        "",
        0,
        "entry 'load:2': day 2018-09-01 is closed; book it on the open day",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"lines": (Line("agent:A", "purse:1", 501, "1"),)},
        {"lines": (Line("agent:A", "purse:2", 500, "1"),)},
        {"lines": (Line("agent:A", "purse:1", 500, "2"),)},
        {"kind": "gift"},
        {"narrative": "other"},
        {"event_at": AT + timedelta(microseconds=1)},
    ],
)
def test_other_content_under_a_taken_reference_is_a_conflict(books: Books, change: dict[str, Any]) -> None:
    offered = books.load("1", 500)
    assert answers(books.post(offered, replace(offered, **change))) == ["posted", "conflict"]
    assert answers(books.post(replace(offered, **change))) == ["conflict"]
    assert books.nets() == {"agent:A": 500, "purse:1": -500}


def test_a_refused_entry_leaves_its_reference_free(books: Books) -> None:
    too_much = books.tap("1", 600, "tap")
    assert answers(books.post(too_much, books.load("1", 500), books.tap("1", 500, "tap"))) == [
        "limit_exceeded",
        "posted",
        "posted",
    ]


def test_an_entry_is_judged_as_a_whole_not_line_by_line(books: Books) -> None:
    # The purse is emptied by the first line and filled by the second: after the entry it is not overdrawn.
    out, back = Line("purse:1", "clearing:METRO-1", 500), Line("agent:A", "purse:1", 500)
    assert answers(books.post(entry(out, back))) == ["posted"]
    assert books.nets()["purse:1"] == 0


def test_the_night_books_on_its_closing_day_and_nobody_else(books: Books) -> None:
    with writing(books.engine) as conn:
        assert begin_close(conn, DAY, at=AT) == NEXT_DAY
    assert answers(books.post(books.load("1", 500))) == ["day_not_open"]
    assert answers(books.post(books.load("1", 500), closing=True)) == ["posted"]
    assert answers(books.on(NEXT_DAY).post(books.on(NEXT_DAY).load("2", 500))) == ["posted"]


def test_a_reversal_mirrors_its_original_once(books: Books) -> None:
    books.post(books.load("1", 500), books.tap("1", 200, "tap"))
    with reading(books.engine) as conn:
        back = reversal_of(
            conn, "tap", reversal_reference="tap:back", business_date=DAY, event_at=AT, narrative="wrong fare"
        )
        with pytest.raises(LookupError, match="'none'"):
            reversal_of(conn, "none", reversal_reference="n", business_date=DAY, event_at=AT)
    assert back.lines == (Line("clearing:METRO-1", "purse:1", 200, "tap"),)
    second = replace(back, reference="tap:back:again")
    assert answers(books.post(back, back, second)) == ["posted", "posted", "already_reversed"]
    assert answers(books.post(second)) == ["already_reversed"]
    assert books.nets() == {"agent:A": 500, "purse:1": -500, "clearing:METRO-1": 0}


def test_an_entry_and_its_reversal_may_come_in_one_call(books: Books) -> None:
    back = replace(entry(Line("purse:1", "agent:A", 500), reference="back"), reverses="x")
    assert answers(books.post(back, entry(LINE), back)) == ["original_unknown", "posted", "posted"]


def test_an_entry_may_have_very_many_lines(books: Books) -> None:
    lines = tuple(Line("agent:A", f"purse:{1 + number % 2}", 1, f"tap:{number}") for number in range(30_000))
    assert books.post(entry(*lines)) == [Posted("x", numbered(1), True)]
    with reading(books.engine) as conn:
        assert balance(conn, "purse:1").balance_fen == 15_000
        assert [found.line_no for found in history(conn, "agent:A", limit=2)] == [30_000, 29_999]
        assert check_books(conn) == []


def test_the_number_of_statements_does_not_depend_on_the_number_of_entries(books: Books) -> None:
    counts = []
    for size in (1, 1000):
        statements: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_: Any, to: list[str] = statements) -> None:
            to.append(statement)

        offered = [replace(books.load("1", 5, f"{size}:{number}"), narrative="a") for number in range(size)]
        offered += [
            replace(
                entry(Line("purse:1", "agent:A", 5, "1"), reference=f"back:{found.reference}"),
                reverses=found.reference,
            )
            for found in offered
        ]
        event.listen(books.engine, "before_cursor_execute", note)
        assert set(answers(books.post(*offered))) == {"posted"}
        event.remove(books.engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts[0] == counts[1] < 20


def test_no_interleaving_of_writers_overdraws_a_purse(books: Books) -> None:
    books.post(books.load("1", 100))
    gate = threading.Barrier(6)
    seen: list[str] = []

    def ride(name: int) -> None:
        gate.wait()
        for number in range(5):
            seen.extend(answers(books.post(books.tap("1", 7, f"tap:{name}:{number}"))))

    riders = [threading.Thread(target=ride, args=(name,)) for name in range(6)]
    for rider in riders:
        rider.start()
    for rider in riders:
        rider.join()
    assert sorted(set(seen)) == ["limit_exceeded", "posted"]
    assert (seen.count("posted"), len(seen)) == (14, 30)
    assert books.nets()["purse:1"] == -2
    with reading(books.engine) as conn:
        assert check_books(conn) == []


def test_posting_waits_for_the_writer_even_without_the_usual_way_in(books: Books) -> None:
    books.post(books.load("1", 7))
    with writing(books.engine) as first:
        outcome: list[str] = []

        def ride() -> None:
            with books.engine.begin() as second:
                outcome.extend(answers(post(second, [books.tap("1", 7, "second")], at=AT)))

        rider = threading.Thread(target=ride)
        rider.start()
        rider.join(0.3)
        assert rider.is_alive()
        assert answers(post(first, [books.tap("1", 7, "first")], at=AT)) == ["posted"]
    rider.join()
    assert outcome == ["limit_exceeded"]


@given(texts(max_size=8), texts(max_size=8))
def test_different_texts_never_have_the_same_content(one: str, other: str) -> None:
    same = canonical_bytes(entry(LINE, reference=one, narrative=other)) == canonical_bytes(
        entry(LINE, reference=other, narrative=one)
    )
    assert same == (one == other)


def test_the_content_of_an_entry_is_written_one_way() -> None:
    offered = Entry(
        "tap:1",
        "tap",
        DAY,
        datetime(2018, 9, 1, 8, 0, tzinfo=UTC),
        (Line("purse:1", "clearing:METRO-1", 190, "站"), Line("purse:1", "income:fee", 10)),
        'a "b"',
    )
    assert canonical_bytes(offered) == (
        b'["onecard/entry/v2","tap:1","tap","2018-09-01T08:00:00.000000+00:00","a \\"b\\"",null,null,'
        b'[["purse:1","clearing:METRO-1",190,"\\u7ad9"],["purse:1","income:fee",10,""]]]'
    )

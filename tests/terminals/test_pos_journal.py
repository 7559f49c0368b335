"""The counter terminal's memory: every ticket durable, moving only where it may."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clearing.wire.iso8583 import Message
from terminals.pos_journal import LAST_STAN, MOVES, IllegalMove, Kind, PosJournal, State, Ticket
from terminals.pos_messages import balance_fen, pan_of
from tests.support.counter_city import NOW, card_no


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[PosJournal]:
    with PosJournal(tmp_path / "pos.db", sync="off") as opened:
        yield opened


def begun(journal: PosJournal, kind: Kind = Kind.PURCHASE) -> Ticket:
    return journal.begin(kind, card_no=card_no(0), amount_fen=100, at=NOW)


def test_a_ticket_is_on_the_disk_before_anybody_is_asked(journal: PosJournal, tmp_path: Path) -> None:
    ticket = begun(journal)
    with PosJournal(tmp_path / "pos.db", sync="off") as other:
        assert other.tickets() == [ticket]
        assert other.ticket(ticket.number) == ticket
        assert other.ticket(99) is None
        assert other.take_stan() == "000002"


def test_after_a_start_what_was_asked_is_reversed_and_nothing_else(journal: PosJournal) -> None:
    asked, approved, advice = begun(journal), begun(journal), begun(journal, Kind.STAND_IN)
    journal.move(approved, State.APPROVED, code="00", retrieval="606100000001")
    assert journal.recover() == 1
    states = {ticket.number: ticket.state for ticket in journal.tickets()}
    expected = (State.REVERSING, State.APPROVED, State.ADVISING)
    assert states == dict(zip((asked.number, approved.number, advice.number), expected, strict=True))
    assert journal.recover() == 0


def test_reversals_are_sent_before_advices_each_in_their_order(journal: PosJournal) -> None:
    advice, first, second = begun(journal, Kind.STAND_IN), begun(journal), begun(journal)
    for ticket in (second, first):
        journal.move(ticket, State.REVERSING)
    assert [ticket.number for ticket in journal.waiting()] == [first.number, second.number, advice.number]


@pytest.mark.parametrize("start", State)
@pytest.mark.parametrize("end", State)
def test_a_ticket_moves_only_where_the_table_lets_it(tmp_path: Path, start: State, end: State) -> None:
    with PosJournal(tmp_path / "pos.db", sync="off") as journal:
        ticket = begun(journal, Kind.STAND_IN if start is State.ADVISING else Kind.PURCHASE)
        ways: dict[State, tuple[State, ...]] = {
            State.REVERSED: (State.REVERSING, State.REVERSED),
            State.HELD: (State.REVERSING, State.HELD),
        }
        for step in ways.get(start, (start,)):
            ticket = ticket if step is ticket.state else journal.move(ticket, step)
        if end in MOVES.get(start, ()):
            assert journal.move(ticket, end).state is end
        else:
            with pytest.raises(IllegalMove, match=start):
                journal.move(ticket, end)
            assert journal.tickets() == [ticket]


def test_a_ticket_that_has_moved_on_is_not_moved_again(journal: PosJournal) -> None:
    ticket = begun(journal)
    journal.move(ticket, State.REVERSING)
    with pytest.raises(IllegalMove, match="read it again"):
        journal.move(ticket, State.APPROVED)


def test_trace_numbers_begin_again_after_the_last(journal: PosJournal, tmp_path: Path) -> None:
    assert journal.take_stan() == "000001"
    with sqlite3.connect(tmp_path / "pos.db") as db:
        db.execute("UPDATE setting SET value = ? WHERE name = 'stan'", (LAST_STAN - 1,))
    assert [journal.take_stan(), journal.take_stan()] == ["999999", "000001"]


def test_an_amount_that_is_none_makes_no_ticket(journal: PosJournal) -> None:
    for amount_fen in (0, -1):
        with pytest.raises(sqlite3.IntegrityError):
            journal.begin(Kind.PURCHASE, card_no=card_no(0), amount_fen=amount_fen, at=NOW)
    assert journal.tickets() == []


def test_the_working_key_is_kept_as_it_came(journal: PosJournal) -> None:
    assert journal.working_key() is None
    for key in (b"1" * 27, b"2" * 27):
        journal.keep_working_key(key)
        assert journal.working_key() == key


def test_a_card_number_of_twenty_digits_fits_field_2_without_its_first_zero() -> None:
    assert pan_of("03104870000000001234") == "3104870000000001234"
    for wrong in ("3104870000000001234", "13104870000000001234", "0310487000000000123X", ""):
        with pytest.raises(ValueError, match="20 digits"):
            pan_of(wrong)


def test_a_balance_is_read_with_its_sign() -> None:
    assert balance_fen(Message("0210", {54: "1002156C000000012345"})) == 12_345
    assert balance_fen(Message("0210", {54: "1002156D000000000001"})) == -1
    for wrong in ("", "1002156X000000000001", "1002156C00000000001"):
        with pytest.raises(ValueError, match="no balance"):
            balance_fen(Message("0210", {54: wrong}))


def test_a_ticket_says_nothing_that_another_does(journal: PosJournal) -> None:
    one, other = begun(journal), begun(journal)
    assert replace(one, number=other.number, stan=other.stan) == other

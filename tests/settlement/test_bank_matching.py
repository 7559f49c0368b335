"""Statements held against one another and lines against instructions: pure, exact, and in whatever order they come."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.bank.booking import after_status
from settlement.bank.matching import SUSPENDED, Booked, Fate, Matched, after, difference, match
from settlement.bank.statement_checks import Doubt, Kept, StatementFlaw, doubt_of, gaps, to_book
from settlement.bank.statement_file import BankLine, Direction, Statement
from settlement.bank.status_report import Meaning
from settlement.instructions import Instructed, State

DAY = date(2026, 3, 3)
NO = "755900000000001"
LINE = BankLine(1, 100, Direction.OUT, False, DAY, DAY, "E1", "B1", "Metro", "", "")
ONE = Instructed("E1", DAY, "METRO-1", 100, DAY, "755912345678901", "1" * 12, "M1", State.ACCEPTED)
PAID = replace(ONE, state=State.PAID, paid_fen=100)


def statements(moves: Sequence[int], first: int = 1) -> list[Statement]:
    """A chain of statements, a day each, that move the account so, in fen."""
    found, balance_fen = [], 1_000
    for number, fen in enumerate(moves):
        day = DAY + timedelta(days=number)
        line = replace(
            LINE,
            amount_fen=abs(fen),
            direction=Direction.IN if fen > 0 else Direction.OUT,
            bank_day=day,
        )
        found.append(
            Statement(NO, f"ST{number}", first + number, day, balance_fen, day, balance_fen + fen, (line,), 0)
        )
        balance_fen += fen
    return found


def kept(one: Statement, number: int = 1) -> Kept:
    return Kept(
        number, one.statement_id, one.sequence, one.opening_on, one.opening_fen, one.day, one.closing_fen,
        one.content, DAY, gap_explained=False,
    )  # fmt: skip


moves = st.lists(st.integers(-(10**9), 10**9).filter(bool), min_size=1, max_size=7)


@given(moves, st.data())
def test_a_chain_is_believed_in_whatever_order_it_comes_and_gaps_are_what_is_missing(
    some: list[int], data: st.DataObject
) -> None:
    chain = statements(some)
    order = data.draw(st.permutations(chain))
    known: list[Kept] = []
    for number, one in enumerate(order, 1):
        assert doubt_of(one, known, NO) is None
        known.append(kept(one, number))
        again = doubt_of(one, known, NO)
        assert again is not None and again.flaw is StatementFlaw.REPEATED
        seen = sorted(one.sequence for one in known)
        missing = {n for gap in gaps(known) for n in range(gap.first, gap.last + 1)}
        assert missing == set(range(seen[0], seen[-1] + 1)) - set(seen)
    assert gaps(known) == [] and to_book(chain, known, NO) == []
    assert to_book(order, [], NO) == chain


@given(moves.filter(lambda some: len(some) > 1), st.data(), st.integers(1, 10**6))
def test_a_statement_that_does_not_go_on_from_its_neighbour_is_refused(
    some: list[int], data: st.DataObject, off_fen: int
) -> None:
    chain = statements(some)
    place = data.draw(st.integers(0, len(chain) - 1))
    known = [kept(one) for number, one in enumerate(chain) if number != place]
    one = chain[place]
    shifted = replace(one, opening_fen=one.opening_fen + off_fen, closing_fen=one.closing_fen + off_fen)
    found = doubt_of(shifted, known, NO)
    assert found is not None
    assert found.flaw is (StatementFlaw.OPENING_DIFFERS if place else StatementFlaw.CLOSING_DIFFERS)
    sums = doubt_of(replace(one, closing_fen=one.closing_fen + off_fen), known, NO)
    assert sums is not None and sums.flaw is StatementFlaw.SUMS_DIFFER


FIRST, SECOND = statements([500, -200])


@pytest.mark.parametrize(
    ("statement", "flaw"),
    [
        (replace(SECOND, account_no="1", closing_fen=0), StatementFlaw.ACCOUNT_OTHER),
        (replace(SECOND, closing_fen=0), StatementFlaw.SUMS_DIFFER),
        (FIRST, StatementFlaw.REPEATED),
        (replace(SECOND, statement_id="ST0"), StatementFlaw.ID_TAKEN),
        (replace(SECOND, sequence=1), StatementFlaw.SEQUENCE_TAKEN),
        (replace(SECOND, opening_fen=0, closing_fen=-200), StatementFlaw.OPENING_DIFFERS),
    ],
)
def test_the_first_doubt_that_applies_is_told(statement: Statement, flaw: StatementFlaw) -> None:
    found = doubt_of(statement, [kept(FIRST)], NO)
    assert isinstance(found, Doubt) and found.flaw is flaw and statement.statement_id in found.message


def test_numbers_may_begin_anew_with_the_year() -> None:
    old = replace(FIRST, sequence=365, day=date(2025, 12, 31), opening_on=date(2025, 12, 31))
    new = replace(SECOND, sequence=1, day=date(2026, 1, 1), opening_on=date(2026, 1, 1))
    assert doubt_of(new, [kept(old)], NO) is None and gaps([kept(old), kept(new)]) == []
    later = replace(new, sequence=3)
    (gap,) = gaps([kept(old), kept(later)])
    assert (gap.first, gap.last) == (1, 2)
    assert gaps([kept(old), replace(kept(later), gap_explained=True)]) == []


@pytest.mark.parametrize(
    ("line", "one", "fate"),
    [
        (LINE, ONE, Fate.PAID),
        (LINE, replace(ONE, state=State.AWAITING_BANK), Fate.PAID),
        (replace(LINE, party_account=ONE.account_no), ONE, Fate.PAID),
        (replace(LINE, party_account="1"), ONE, Fate.DIFFERS),
        (replace(LINE, amount_fen=99), ONE, Fate.DIFFERS),
        (replace(LINE, amount_fen=101), ONE, Fate.DIFFERS),
        (LINE, PAID, Fate.TWICE),
        (LINE, replace(ONE, state=State.RETURNED), Fate.TWICE),
        (LINE, replace(ONE, state=State.REJECTED), Fate.CONTRADICTS),
        (replace(LINE, direction=Direction.IN), PAID, Fate.RETURNED),
        (replace(LINE, direction=Direction.IN, amount_fen=99), PAID, Fate.DIFFERS),
        (replace(LINE, direction=Direction.IN), ONE, Fate.DIFFERS),
        (replace(LINE, end_to_end_id="E2"), ONE, Fate.THEIRS_ONLY),
        (replace(LINE, end_to_end_id=""), ONE, Fate.THEIRS_ONLY),
    ],
)  # fmt: skip
def test_a_line_has_the_fate_of_what_it_names_to_the_fen(line: BankLine, one: Instructed, fate: Fate) -> None:
    (found,) = match([line], {one.end_to_end_id: one}, {})
    assert found.fate is fate
    if fate in SUSPENDED:
        assert "1.0" in difference(found) or "0.99" in difference(found)


lines = st.builds(
    replace,
    st.just(LINE),
    amount_fen=st.sampled_from([99, 100, 101]),
    direction=st.sampled_from(Direction),
    end_to_end_id=st.sampled_from(["E1", "E2", "", "deposit"]),
)


@given(st.lists(lines, max_size=10))
def test_whatever_stands_on_statements_an_instruction_is_paid_and_returned_once(some: list[BankLine]) -> None:
    known = {name: replace(ONE, end_to_end_id=name) for name in ("E1", "E2")}
    found = match(some, known, {"deposit": Booked("deposit", 100)})
    standing = dict(known)
    for each in found:
        if each.instruction is not None:
            standing[each.instruction.end_to_end_id] = after(standing[each.instruction.end_to_end_id], each)
    for name, one in standing.items():
        paid_fen = sum(
            _moved(each) for each in found if each.instruction and each.instruction.end_to_end_id == name
        )
        assert one.paid_fen == paid_fen and 0 <= paid_fen <= one.amount_fen
        fates = [each.fate for each in found if each.instruction and each.instruction.end_to_end_id == name]
        assert fates.count(Fate.PAID) <= 1 and fates.count(Fate.RETURNED) <= 1
    assert sum(each.fate is Fate.KNOWN for each in found) <= 1
    assert [each.line for each in found] == some


def _moved(found: Matched) -> int:
    if found.fate is Fate.PAID:
        return found.line.amount_fen
    return -found.line.amount_fen if found.fate is Fate.RETURNED else 0


@pytest.mark.parametrize(
    ("state", "meaning", "expected"),
    [
        (State.AWAITING_BANK, Meaning.WAITS, (None, "same")),
        (State.AWAITING_BANK, Meaning.ACCEPTED, (State.ACCEPTED, "moved")),
        (State.AWAITING_BANK, Meaning.REJECTED, (State.REJECTED, "moved")),
        (State.ACCEPTED, Meaning.ACCEPTED, (None, "same")),
        (State.ACCEPTED, Meaning.REJECTED, (State.REJECTED, "moved")),
        (State.REJECTED, Meaning.REJECTED, (None, "same")),
        (State.REJECTED, Meaning.ACCEPTED, (None, "contradicts")),
        (State.PAID, Meaning.ACCEPTED, (None, "same")),
        (State.PAID, Meaning.REJECTED, (None, "contradicts")),
        (State.RETURNED, Meaning.REJECTED, (None, "contradicts")),
    ],
)
def test_a_status_never_makes_a_payment_paid_or_unpaid(
    state: State, meaning: Meaning, expected: tuple[State | None, str]
) -> None:
    assert after_status(replace(ONE, state=state), meaning) == expected
    assert after_status(None, meaning) == (None, "unknown")

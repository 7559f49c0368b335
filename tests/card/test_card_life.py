"""A card's life: only what the table says can happen happens, and every move is kept with who, when and why."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from card.holders import Enrolled, cards_of, enrol, tie_card
from card.hotlist import hotlisted
from card.issue import NotTied, Terms, activate_card, block_card, issue_card, unblock_card
from card.life import (
    MOVES,
    Act,
    LifeRefusal,
    LifeRefused,
    Move,
    Moved,
    State,
    judge,
    keep_moves,
    life_of,
    move_card,
    state_of,
)  # fmt: skip
from card.loss import HOTLIST_DEADLINE, LossReported, lift_loss, report_loss
from card.office_tables import card_move
from card.registry import CardRecord, find, register
from card.stock import (
    Batch,
    Level,
    find_blank,
    move_blanks,
    next_blanks,
    personalise_blanks,
    receive_batch,
    stock_levels,
)
from card.vault import Vault
from ledger.accounts import Conflict
from ledger.balances import balance
from ledger.checks import check_books
from ledger.day import open_day
from ledger.db import reading, writing
from tests.card.people import NOW, person
from tests.support.blanks import written

ACT = Act("clerk 7", NOW, "as asked", "COUNTER-1")
BATCH = Batch("2026-03", "01011000", "03104870000000000100", 5)
FIRST, SECOND = BATCH.numbers[:2]
TERMS = Terms("COUNTER-1", 2_000, 500, NOW.date())


@pytest.fixture
def office(engine: Engine) -> Engine:
    """An office with a batch of five blanks at the depot, and a day that is open."""
    with writing(engine) as conn:
        open_day(conn, NOW.date(), at=NOW)
        receive_batch(conn, BATCH, replace(ACT, place="DEPOT"))
    return engine


def issued(office: Engine, card_no: str = FIRST, *, active: bool = True) -> None:
    with writing(office) as conn:
        personalise_blanks(conn, [written(card_no)], ACT)
        assert isinstance(issue_card(conn, card_no, TERMS, ACT), Moved)
        if active:
            activate_card(conn, card_no, ACT)


def reason(answer: object) -> LifeRefusal:
    assert isinstance(answer, LifeRefused)
    return answer.reason


def test_every_state_is_reached_and_only_the_ends_lead_nowhere() -> None:
    reached = set(MOVES.values()) | {State.STOCK}
    assert reached == set(State)
    assert set(State) - {before for before, _ in MOVES} == {State.CLOSED, State.SPOILT}
    assert {move for _, move in MOVES} == set(Move) - {Move.RECEIVE}


@given(st.sampled_from(State), st.sampled_from(Move))
def test_a_move_that_is_not_in_the_table_is_refused_with_what_is_possible(state: State, move: Move) -> None:
    answer = judge(state, FIRST, move, ACT)
    if (state, move) in MOVES:
        assert answer == Moved(FIRST, move, state, MOVES[state, move], ACT)
    else:
        assert reason(answer) is LifeRefusal.NOT_IN_THIS_STATE
        assert isinstance(answer, LifeRefused) and state.value in answer.message


def test_a_batch_comes_into_stock_once_and_its_numbers_are_taken(office: Engine) -> None:
    with writing(office) as conn:
        assert receive_batch(conn, BATCH, ACT) == 0
        with pytest.raises(Conflict, match="2026-03"):
            receive_batch(conn, replace(BATCH, count=6), ACT)
        with pytest.raises(Conflict, match=BATCH.numbers[4]):
            receive_batch(conn, replace(BATCH, id="other", first_no=BATCH.numbers[4]), ACT)
        assert stock_levels(conn) == [Level("DEPOT", State.STOCK, 1, 5)]


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"first_no": "12"}, "20 digits"),
        ({"count": 0}, "count"),
        ({"holder_class": 0}, "class"),
        ({"holder_class": 256}, "class"),
        ({"id": ""}, "name"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_with_its_remedy(
    office: Engine, wrong: dict[str, object], remedy: str
) -> None:
    with writing(office) as conn, pytest.raises(ValueError, match=remedy):
        receive_batch(conn, replace(BATCH, **{"id": "new"} | wrong), ACT)  # type: ignore[arg-type]


def test_cards_are_personalised_and_shipped_to_the_counter_that_asks(office: Engine) -> None:
    with writing(office) as conn:
        numbers = next_blanks(conn, "DEPOT", State.STOCK, 3)
        assert numbers == BATCH.numbers[:3]
        personalise_blanks(conn, [written(card_no) for card_no in numbers], ACT)
        move_blanks(conn, numbers[:2], Move.SHIP, ACT)
        move_blanks(conn, numbers[2:], Move.SPOIL, ACT)
        assert stock_levels(conn) == [
            Level("COUNTER-1", State.PERSONALISED, 1, 2), Level("DEPOT", State.STOCK, 1, 2),
        ]  # fmt: skip
        assert reason(next_blanks(conn, "COUNTER-1", State.PERSONALISED, 3)) is LifeRefusal.CARD_UNKNOWN
        mixed = personalise_blanks(conn, [written(FIRST), written(BATCH.numbers[4])], ACT)
        assert reason(mixed) is LifeRefusal.NOT_IN_THIS_STATE
        assert state_of(conn, BATCH.numbers[4]) is State.STOCK  # all or none


def test_an_issued_card_is_registered_with_deposit_and_fee_in_the_books(office: Engine) -> None:
    issued(office, active=False)
    with reading(office) as conn:
        record = find(conn, FIRST)
        assert record is not None and (record.status, record.holder_class) == ("issued", 1)
        assert balance(conn, f"deposit:{FIRST}").balance_fen == 2_000
        assert balance(conn, "income:card").balance_fen == 500
        assert balance(conn, "agent:COUNTER-1").balance_fen == 2_500
        assert check_books(conn) == []
        assert (found := find_blank(conn, FIRST)) is not None and found.state is State.ISSUED
    with writing(office) as conn:
        assert reason(issue_card(conn, FIRST, TERMS, ACT)) is LifeRefusal.NOT_IN_THIS_STATE
        assert reason(issue_card(conn, SECOND, TERMS, ACT)) is LifeRefusal.NOT_IN_THIS_STATE  # still a blank
        assert reason(issue_card(conn, SECOND, replace(TERMS, fee_fen=-1), ACT)) is LifeRefusal.AMOUNT


def test_a_card_is_activated_for_its_holder_or_not_at_all(office: Engine, vault: Vault) -> None:
    issued(office, active=False)
    with writing(office) as conn:
        owner = enrol(conn, vault, person(1), at=NOW)
        assert isinstance(owner, Enrolled)
    with pytest.raises(NotTied), writing(office) as conn:
        activate_card(conn, FIRST, ACT, holder="H9999999999")
    with writing(office) as conn:
        assert state_of(conn, FIRST) is State.ISSUED
        activate_card(conn, FIRST, ACT, holder=owner.holder)
        assert [one.card_no for one in cards_of(conn, owner.holder)] == [FIRST]


def test_a_blocked_card_is_listed_with_the_instant_and_the_deadline(office: Engine) -> None:
    issued(office)
    later = replace(ACT, at=NOW + timedelta(hours=1), why="held up at a gate")
    with writing(office) as conn:
        assert isinstance(block_card(conn, FIRST, later), Moved)
        (entry,) = hotlisted(conn)
        assert (entry.card_no, entry.listed_at, entry.effective_at) == (
            FIRST,
            later.at,
            later.at + HOTLIST_DEADLINE,
        )
        assert isinstance(unblock_card(conn, FIRST, later), Moved)
        assert hotlisted(conn) == []
        assert [(one.move, one.act.by, one.act.why) for one in life_of(conn, FIRST)][-2:] == [
            (Move.BLOCK, "clerk 7", "held up at a gate"), (Move.UNBLOCK, "clerk 7", "held up at a gate"),
        ]  # fmt: skip


def test_a_reported_loss_is_a_move_of_the_cards_life(office: Engine) -> None:
    issued(office)
    with writing(office) as conn:
        assert isinstance(report_loss(conn, FIRST, at=NOW, by="clerk 7"), LossReported)
        assert state_of(conn, FIRST) is State.LOST
        lift_loss(conn, FIRST, at=NOW, by="clerk 8")
        assert [(one.move, one.act.by) for one in life_of(conn, FIRST)][-2:] == [
            (Move.LOSE, "clerk 7"), (Move.FIND, "clerk 8"),
        ]  # fmt: skip


def test_a_card_of_before_the_office_has_a_life_from_its_first_move_on(office: Engine, vault: Vault) -> None:
    old = "03104870000000009999"
    with writing(office) as conn:
        register(conn, [CardRecord(old, "01011000", 1, 1, 0, NOW)], at=NOW)
        assert (state_of(conn, old), life_of(conn, old)) == (State.ACTIVE, [])
        owner = enrol(conn, vault, person(1), at=NOW)
        assert isinstance(owner, Enrolled)
        tie_card(conn, owner.holder, old, at=NOW)
        block_card(conn, old, ACT)
        assert [(one.before, one.after) for one in life_of(conn, old)] == [(State.ACTIVE, State.BLOCKED)]
        assert reason(move_card(conn, "0" * 20, Move.BLOCK, ACT)) is LifeRefusal.CARD_UNKNOWN


def test_moves_are_append_only_in_the_database(office: Engine) -> None:
    for change in ("UPDATE card_move SET why = ''", "DELETE FROM card_move"):
        with pytest.raises(DBAPIError, match="append-only"), writing(office) as conn:
            conn.execute(text(change))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([move for move in Move if move is not Move.RECEIVE]), max_size=12))
def test_whatever_is_tried_the_last_move_kept_says_where_the_card_stands(
    office: Engine, moves: list[Move]
) -> None:
    with writing(office) as conn:
        savepoint = conn.begin_nested()
        personalise_blanks(conn, [written(FIRST)], ACT)
        issue_card(conn, FIRST, replace(TERMS, deposit_fen=0, fee_fen=0), ACT)
        for move in moves:
            move_card(conn, FIRST, move, ACT)
        lives = life_of(conn, FIRST)
        assert lives[-1].after is state_of(conn, FIRST)
        assert all(one.after is two.before for one, two in itertools.pairwise(lives))
        assert all(MOVES[one.before, one.move] is one.after for one in lives[1:])
        savepoint.rollback()


def test_nothing_is_kept_of_no_moves(office: Engine) -> None:
    with writing(office) as conn:
        before = conn.execute(select(card_move)).all()
        keep_moves(conn, [])
        assert conn.execute(select(card_move)).all() == before

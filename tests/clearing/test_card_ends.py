"""How cards end: nothing moves while taps may come, and then every fen goes to the new card or to who paid."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, update

from card.closing import LATE_TAP_DAYS, Replaced, hand_in, refund, replace_card, replacements, waits_for_taps
from card.holders import Enrolled, cards_of, enrol, tie_card
from card.hotlist import hotlisted
from card.hsm.client import Hsm
from card.issue import Terms, activate_card, block_card, issue_card
from card.life import Act, LifeRefusal, LifeRefused, Moved, State, state_of
from card.loss import lift_loss, report_loss
from card.stock import Batch, personalise_blanks, receive_batch
from card.vault import open_vault
from city.processes import RunningHsm
from clearing.online.load import LoadBooked, LoadProof, confirm_loads
from clearing.online.migration import Migrated, move_balance
from clearing.tables import card_position
from ledger.balances import balance, totals
from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import reading, writing
from settlement.books import pending_loads_are_all_known
from settlement.chips import chip_differences
from tests.card.people import person
from tests.support.blanks import written
from tests.support.clearing_day import at as moment
from tests.support.load_counters import DAY, MORNING, A, B, Interruption, Town, found_town, number_of

ACT = Act("clerk 7", MORNING, "worn out", "COUNTER-1")
BATCH = Batch("2026-03", "01011000", "03104870000000005000", 3)
NEW, SPARE, _ = BATCH.numbers
HELD_FEN = 5_000


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm, tmp_path: Path) -> Town:
    """A town with two cards issued, not in use yet, to replace others by."""
    made = found_town(engine, city_hsm, hsm_process.transport_key_file, tmp_path)
    with writing(engine) as conn:
        receive_batch(conn, BATCH, ACT)
        personalise_blanks(conn, [written(NEW), written(SPARE)], ACT)
        for card_no in (NEW, SPARE):
            issue_card(conn, card_no, Terms("COUNTER-1", 0, 0, DAY), ACT)
    return made


def loaded_card(town: Town) -> str:
    card = town.new_card()
    assert town.do(A, card, "load", HELD_FEN) == "done"
    return number_of(card)


def with_deposit(town: Town, deposit_fen: int) -> str:
    with writing(town.engine) as conn:
        personalise_blanks(conn, [written(BATCH.numbers[2])], ACT)
        issue_card(conn, BATCH.numbers[2], Terms("COUNTER-1", deposit_fen, 0, DAY), ACT)
        activate_card(conn, BATCH.numbers[2], ACT)
    return BATCH.numbers[2]


def open_till(town: Town, last: date, first: date = DAY) -> None:
    """Close days from `first`, the open one, until `last` is."""
    day = first
    with writing(town.engine) as conn:
        while day < last:
            begin_close(conn, day, at=moment(23, day=day))
            finish_close(conn, day, at=moment(23, day=day))
            day += timedelta(days=1)


def reason(answer: object) -> LifeRefusal:
    assert isinstance(answer, LifeRefused)
    return answer.reason


def sound(conn: Connection) -> bool:
    return check_books(conn) == [] and pending_loads_are_all_known(conn, totals(conn)) == []


def test_a_replaced_cards_balance_waits_until_no_tap_can_come_and_is_then_written_on_the_new_one(
    town: Town,
) -> None:
    old = loaded_card(town)
    with writing(town.engine) as conn:
        made = replace_card(conn, old, NEW, ACT, business_date=DAY)
        assert isinstance(made, Replaced)
        # The list that names the old card is out a day later; a tap of that day may come a week after.
        assert made.due_on == DAY + timedelta(days=1 + LATE_TAP_DAYS + 1)
        assert (state_of(conn, old), state_of(conn, NEW)) == (State.REPLACED, State.ACTIVE)
        assert [entry.reason for entry in hotlisted(conn)] == ["replaced"]
        early = move_balance(conn, old, ACT, business_date=made.due_on - timedelta(days=1))
        assert reason(early) is LifeRefusal.TOO_EARLY
        assert str(made.due_on) in (early.message if isinstance(early, LifeRefused) else "")
    assert town.fen(f"purse:{old}") == HELD_FEN
    open_till(town, made.due_on)
    later = replace(ACT, at=moment(9, day=made.due_on))
    with writing(town.engine) as conn:
        moved = move_balance(conn, old, later, business_date=made.due_on)
        assert moved == Migrated(old, NEW, HELD_FEN, f"migration:{old}")
        assert (
            reason(move_balance(conn, old, later, business_date=made.due_on)) is LifeRefusal.NOT_IN_THIS_STATE
        )
        assert [one.moved_fen for one in replacements(conn)] == [HELD_FEN]
        assert replacements(conn, moved=False) == []
        assert sound(conn)
    assert (town.fen(f"purse:{old}"), town.fen(f"load:{NEW}"), town.fen("suspense:migration")) == (
        0,
        HELD_FEN,
        0,
    )
    (waiting,) = town.waiting(NEW)
    assert (waiting.amount_fen, waiting.paid_from) == (HELD_FEN, "suspense:migration")


def test_the_new_card_gets_what_the_old_one_held_at_any_counter(town: Town) -> None:
    old, new = loaded_card(town), town.factory_card(NEW)
    with writing(town.engine) as conn:
        made = replace_card(conn, old, NEW, ACT, business_date=DAY)
        assert isinstance(made, Replaced)
    open_till(town, made.due_on)
    town.now = moment(9, day=made.due_on)
    with writing(town.engine) as conn:
        move_balance(conn, old, replace(ACT, at=town.now), business_date=made.due_on)
    assert town.do(B, new, "complete", stop=Interruption(6, power=True)) == "dark"
    assert town.do(A, new, "complete") == "done"
    assert new.state.purse.balance_fen == town.fen(f"purse:{NEW}") == HELD_FEN
    assert town.waiting(NEW) == []


def test_a_load_that_waited_for_the_old_card_goes_over_with_its_balance(town: Town) -> None:
    card = town.new_card()
    old = number_of(card)
    town.do(A, card, "load", HELD_FEN)
    town.do(A, card, "load", 700, Interruption(7))
    assert [one.amount_fen for one in town.waiting(old)] == [700]
    with writing(town.engine) as conn:
        made = replace_card(conn, old, NEW, ACT, business_date=DAY)
        assert isinstance(made, Replaced)
    open_till(town, made.due_on)
    with writing(town.engine) as conn:
        moved = move_balance(
            conn, old, replace(ACT, at=moment(9, day=made.due_on)), business_date=made.due_on
        )
        assert isinstance(moved, Migrated) and moved.moved_fen == HELD_FEN + 700
        assert sound(conn)
    assert (town.waiting(old), town.fen(f"load:{old}"), town.fen("suspense:migration")) == ([], 0, 0)
    assert [one.amount_fen for one in town.waiting(NEW)] == [HELD_FEN + 700]


def test_a_late_tap_within_the_window_lowers_what_goes_over(town: Town) -> None:
    old = loaded_card(town)
    with writing(town.engine) as conn:
        made = replace_card(conn, old, NEW, ACT, business_date=DAY)
        assert isinstance(made, Replaced)
    town.spend(old, 1_200)
    open_till(town, made.due_on)
    with writing(town.engine) as conn:
        moved = move_balance(
            conn, old, replace(ACT, at=moment(9, day=made.due_on)), business_date=made.due_on
        )
    assert isinstance(moved, Migrated) and moved.moved_fen == HELD_FEN - 1_200


def test_a_lost_card_is_replaced_after_the_loss_is_lifted_for_the_others(town: Town, city_hsm: Hsm) -> None:
    old = loaded_card(town)
    vault = open_vault(town.engine, city_hsm, random=lambda count: b"7" * count, at=MORNING)
    with writing(town.engine) as conn:
        owner = enrol(conn, vault, person(1), at=MORNING)
        assert isinstance(owner, Enrolled)
        tie_card(conn, owner.holder, old, at=MORNING)
        report_loss(conn, old, at=MORNING, by="clerk 7")
        assert reason(replace_card(conn, old, NEW, ACT, business_date=DAY)) is LifeRefusal.HOLDER_LOCKED
        lift_loss(conn, old, at=MORNING, still_lost=[old], by="clerk 7")
        assert isinstance(replace_card(conn, old, NEW, ACT, business_date=DAY), Replaced)
        assert [one.card_no for one in cards_of(conn, owner.holder)] == [NEW]
        assert [(entry.card_no, entry.reason) for entry in hotlisted(conn)] == [(old, "lost")]


def test_a_replaced_card_stays_listed_when_its_loss_is_lifted_later(town: Town) -> None:
    old = loaded_card(town)
    with writing(town.engine) as conn:
        report_loss(conn, old, at=MORNING)
        assert isinstance(replace_card(conn, old, NEW, ACT, business_date=DAY), Replaced)
        lift_loss(conn, old, at=MORNING)
        assert state_of(conn, old) is State.REPLACED
        assert [entry.card_no for entry in hotlisted(conn)] == [old]


def test_a_card_is_replaced_by_none_but_one_that_is_issued(town: Town) -> None:
    old, other = loaded_card(town), loaded_card(town)
    with writing(town.engine) as conn:
        for unfit in (other, BATCH.numbers[2], "0" * 20):
            refused = replace_card(conn, old, unfit, ACT, business_date=DAY)
            assert reason(refused) is LifeRefusal.OTHER_CARD_UNFIT
        assert isinstance(replace_card(conn, old, NEW, ACT, business_date=DAY), Replaced)
        again = replace_card(conn, old, SPARE, ACT, business_date=DAY)
        assert reason(again) is LifeRefusal.NOT_IN_THIS_STATE
        assert state_of(conn, SPARE) is State.ISSUED


def test_the_deposit_goes_over_to_the_new_card(town: Town) -> None:
    old = with_deposit(town, 2_000)
    with writing(town.engine) as conn:
        assert isinstance(replace_card(conn, old, NEW, ACT, business_date=DAY), Replaced)
    assert (town.fen(f"deposit:{old}"), town.fen(f"deposit:{NEW}")) == (0, 2_000)


def test_a_card_handed_in_pays_its_deposit_now_and_its_balance_later(town: Town) -> None:
    card_no = with_deposit(town, 2_000)
    card = town.factory_card(card_no)
    town.do(A, card, "load", HELD_FEN)
    paid = {"to": "agent:COUNTER-1", "business_date": DAY}
    with writing(town.engine) as conn:
        assert (
            reason(hand_in(conn, card_no, ACT, to="purse:1", wear_fen=0, business_date=DAY))
            is LifeRefusal.AMOUNT
        )
        assert (
            reason(hand_in(conn, card_no, ACT, to="agent:COUNTER-1", wear_fen=2_001, business_date=DAY))
            is LifeRefusal.AMOUNT
        )
        assert reason(refund(conn, card_no, ACT, **paid)) is LifeRefusal.NOT_IN_THIS_STATE  # type: ignore[arg-type]
        hand_in(conn, card_no, ACT, to="agent:COUNTER-1", wear_fen=300, business_date=DAY)
        assert (balance(conn, "agent:COUNTER-1").balance_fen, balance(conn, "income:card").balance_fen) == (
            300,
            300,
        )
        assert reason(refund(conn, card_no, ACT, **paid)) is LifeRefusal.TOO_EARLY  # type: ignore[arg-type]
    due_on = DAY + timedelta(days=1 + LATE_TAP_DAYS + 1)
    open_till(town, due_on)
    with writing(town.engine) as conn:
        done = refund(
            conn, card_no, replace(ACT, at=moment(9, day=due_on)), to="bank:reserve", business_date=due_on
        )
        assert isinstance(done, tuple) and done[1] == HELD_FEN
        assert state_of(conn, card_no) is State.CLOSED
        assert balance(conn, "bank:reserve").balance_fen == -HELD_FEN
        assert sound(conn)


def test_a_card_handed_in_with_a_load_that_waits_is_not_closed(town: Town) -> None:
    card = town.new_card()
    town.do(A, card, "load", HELD_FEN, Interruption(7))
    due_on = DAY + timedelta(days=1 + LATE_TAP_DAYS + 1)
    with writing(town.engine) as conn:
        hand_in(conn, number_of(card), ACT, to="agent:COUNTER-1", wear_fen=0, business_date=DAY)
        early = refund(conn, number_of(card), ACT, to="agent:COUNTER-1", business_date=due_on)
        assert reason(early) is LifeRefusal.LOAD_WAITS
    assert town.do(B, card, "give_back") == "done"
    open_till(town, due_on)
    with writing(town.engine) as conn:
        closed = refund(conn, number_of(card), ACT, to="agent:COUNTER-1", business_date=due_on)
        assert isinstance(closed, tuple) and closed[1] == 0


def test_a_card_that_is_not_in_use_is_not_loaded(town: Town) -> None:
    new = town.factory_card(NEW)
    assert town.do(A, new, "load", HELD_FEN) == "not_authorised"
    with writing(town.engine) as conn:
        activate_card(conn, NEW, ACT)
    assert town.do(A, new, "load", HELD_FEN) == "done"


def test_a_card_in_use_waits_for_no_taps_to_end(town: Town) -> None:
    card_no = loaded_card(town)
    with reading(town.engine) as conn:
        refused = waits_for_taps(conn, card_no, DAY)
        assert reason(refused) is LifeRefusal.NOT_IN_THIS_STATE
        assert reason(move_balance(conn, card_no, ACT, business_date=DAY)) is LifeRefusal.CARD_UNKNOWN


def test_a_blocked_card_may_be_replaced_and_stays_blocked_on_the_list(town: Town) -> None:
    old = loaded_card(town)
    with writing(town.engine) as conn:
        assert isinstance(block_card(conn, old, ACT), Moved)
        assert isinstance(replace_card(conn, old, NEW, ACT, business_date=DAY), Replaced)
        assert [(entry.card_no, entry.reason) for entry in hotlisted(conn)] == [(old, "blocked")]


def test_a_migrated_load_that_is_given_back_is_paid_to_its_holder_by_that_counter(town: Town) -> None:
    old, new = loaded_card(town), town.factory_card(NEW)
    with writing(town.engine) as conn:
        made = replace_card(conn, old, NEW, ACT, business_date=DAY)
        assert isinstance(made, Replaced)
    open_till(town, made.due_on)
    town.now = moment(9, day=made.due_on)
    with writing(town.engine) as conn:
        move_balance(conn, old, replace(ACT, at=town.now), business_date=made.due_on)
    assert town.do(B, new, "give_back") == "done"
    assert (town.fen("suspense:migration"), town.fen("agent:AGENT-2"), town.waiting(NEW)) == (
        0,
        -HELD_FEN,
        [],
    )
    with reading(town.engine) as conn:
        assert sum(row.balance_fen for row in totals(conn) if row.code == "load") == 0


def test_a_proof_by_a_later_counter_and_one_by_tac_agree_on_a_load(town: Town) -> None:
    card = town.new_card()
    town.do(A, card, "load", HELD_FEN, Interruption(7, after=True))
    (waiting,) = town.waiting(number_of(card))
    town.do(B, card, "load", 100)
    with writing(town.engine) as conn:
        (answer,) = confirm_loads(
            conn, [LoadProof(waiting.reference, HELD_FEN, 0, b"\1\2\3\4", DAY, MORNING)], at=MORNING
        )
    assert answer == LoadBooked(waiting.reference, first_time=False)
    town.check(card)


def test_a_closed_cards_chip_is_held_against_its_purse_no_more(town: Town) -> None:
    old = loaded_card(town)
    with writing(town.engine) as conn:
        conn.execute(
            insert(card_position).values(
                card_no=old, first_counter=1, counter=1, balance_fen=0, event_at=MORNING + timedelta(days=1)
            )
        )
        made = replace_card(conn, old, NEW, ACT, business_date=DAY)
        assert isinstance(made, Replaced)
        assert [one.card_no for one in chip_differences(conn, DAY)] == [old]
    open_till(town, made.due_on)
    with writing(town.engine) as conn:
        conn.execute(update(card_position).values(balance_fen=HELD_FEN))
        move_balance(conn, old, replace(ACT, at=moment(9, day=made.due_on)), business_date=made.due_on)
        assert chip_differences(conn, made.due_on) == []

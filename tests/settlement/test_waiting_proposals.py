"""What waits for a second person is in the work queue from its proposal to its decision, whoever decides how."""

from dataclasses import replace
from datetime import date, timedelta

from clearing.proposals import Asked as TapsAsked
from clearing.proposals import Decision as TapsDecision
from clearing.proposals import Proposal as TapsProposal
from clearing.proposals import State as Ended
from clearing.proposals import Target
from clearing.verdict import Verdict
from ledger.db import reading, writing
from settlement import suspense_approval, suspense_decisions
from settlement.account_changes import (
    AccountChange,
    BankAccount,
    approve_account,
    end_change,
    propose_account,
)
from settlement.bank.decisions import turn_down
from settlement.bank.proposals import Asked, Decision, Proposal, propose
from settlement.participants import correct_account, participants_of
from settlement.two_people import DecisionRefused, Word
from settlement.waiting_proposals import Room, waiting_proposals
from settlement.work_found import hand_over_work
from settlement.work_queue import Happened, Item, Kind, State, events_of, items_of, move
from tests.settlement.small_day import DAY, night_of
from tests.support.bank_days import AT, METRO, BankedCity, banked_city, banked_url

NEW = BankAccount("755900009999999", "102584002910", "工商银行")
TODAY = AT.date()


database_url, city = banked_url, banked_city


def waits(city: BankedCity, *states: State) -> dict[str, Item]:
    """The items about proposals, by subject; those that are not done, unless other states are asked for."""
    with reading(city.engine) as conn:
        found = items_of(conn, states or (State.OPEN, State.TAKEN))
        assert {one.work.subject for one in waiting_proposals(conn)} == {
            one.subject for one in items_of(conn) if one.kind is Kind.APPROVAL_WAITS
        }
    return {one.subject: one for one in found if one.kind is Kind.APPROVAL_WAITS}


def account_proposed(city: BankedCity) -> int:
    with writing(city.engine) as conn:
        made = propose_account(conn, "METRO-1", NEW, by="lin", reason="letter of 3 March", at=AT)
    assert isinstance(made, AccountChange)
    return made.number


def point_proposed(city: BankedCity) -> int:
    with writing(city.engine) as conn:
        made = propose(conn, Asked(METRO, Decision.PAY_AGAIN, "new account", "lin", AT), city.today)
    assert isinstance(made, Proposal)
    return made.number


def taps_proposed(city: BankedCity) -> int:
    target = Target("BUS-1", verdict=Verdict.DEVICE_UNKNOWN, presented_on=DAY)
    with writing(city.engine) as conn:
        asked = TapsAsked(target, TapsDecision.REJECT, "no such machine", "lin", AT)
        made = suspense_decisions.propose(conn, asked)
    assert isinstance(made, TapsProposal)
    return made.number


def test_all_that_waits_is_work_with_what_to_do_and_late_after_a_day(city: BankedCity) -> None:
    city.take(city.first_day("--reject", f"{METRO}=AC04"))
    for made in (account_proposed, point_proposed, taps_proposed):
        assert made(city) == 1
    found = waits(city)
    assert set(found) == {"city 1", "bank 1", "suspense 1"}
    assert {(one.due_on, one.state, one.who) for one in found.values()} == {
        (TODAY + timedelta(days=1), State.OPEN, room) for room in Room
    }
    assert {one.late_on(TODAY + timedelta(days=3)) for one in found.values()} == {2}
    assert found["city 1"].what.startswith(
        "METRO-1 is to be paid on another account, proposed by lin: letter"
    )
    assert "ask METRO-1 by a number known before" in found["city 1"].remedy
    assert "`onecard city approve 1` or `refuse 1`, by somebody else than lin" in found["city 1"].remedy
    assert (
        found["bank 1"].amount_fen == city.amount_fen(METRO) and f"pay again {METRO}" in found["bank 1"].what
    )
    assert "`onecard suspense show 1`" in found["suspense 1"].remedy
    assert "reject" in found["suspense 1"].what and "of BUS-1 in suspense" in found["suspense 1"].what


def test_a_word_closes_it_whatever_the_word_is(city: BankedCity) -> None:
    city.take(city.first_day("--reject", f"{METRO}=AC04"))
    chen, lin = Word(1, "chen", AT, "no"), Word(1, "lin", AT)
    for made in (account_proposed, point_proposed, taps_proposed):
        made(city)
    with writing(city.engine) as conn:
        assert isinstance(end_change(conn, chen, Ended.TURNED_DOWN), AccountChange)
        assert isinstance(turn_down(conn, chen), Proposal)
        assert isinstance(suspense_decisions.withdraw(conn, lin), TapsProposal)
    assert waits(city) == {}
    account_proposed(city), taps_proposed(city)
    assert set(waits(city)) == {"city 2", "suspense 2"}
    with writing(city.engine) as conn:
        assert isinstance(approve_account(conn, replace(chen, number=2)), AccountChange)
    done = suspense_approval.approve(city.engine, replace(chen, number=2), nights=city.nights)
    assert isinstance(done, TapsProposal)
    assert isinstance(city.decide(METRO, Decision.PAY_AGAIN), Proposal)
    assert waits(city) == {}
    assert all(one.cleared for one in waits(city, State.DONE).values())


def test_what_is_proposed_while_a_night_looks_for_work_is_not_taken_for_gone(city: BankedCity) -> None:
    found = hand_over_work(city.engine, night_of(city.home, city.hsm, DAY, AT))
    account_proposed(city)
    with writing(city.engine) as conn:
        found.write(conn)
    assert set(waits(city)) == {"city 1"}


def test_what_is_void_waits_no_more(city: BankedCity) -> None:
    number = account_proposed(city)
    with writing(city.engine) as conn:
        correct_account(conn, replace(participants_of(conn)["METRO-1"], account_no="555"))
        assert isinstance(approve_account(conn, Word(number, "chen", AT)), DecisionRefused)
    assert waits(city) == {}


def test_a_night_finds_what_waits_and_what_was_called_done_undecided_comes_back(city: BankedCity) -> None:
    account_proposed(city)
    (item,) = waits(city).values()
    with writing(city.engine) as conn:
        move(conn, item.number, Happened.DONE, who="wang", note="will see to it", at=AT)
    late: list[date] = [DAY + timedelta(days=ahead) for ahead in range(1, 5)]
    for day in late:
        city.night(day)
    (item,) = waits(city).values()
    assert (item.state, item.due_on) == (State.OPEN, TODAY + timedelta(days=1)), "its deadline has stood"
    with writing(city.engine) as conn:
        end_change(conn, Word(1, "lin", AT), Ended.WITHDRAWN)
        happened = [one.happened for one in events_of(conn, item.number)]
    assert waits(city) == {}
    assert happened == [Happened.RAISED, Happened.DONE, Happened.RAISED, Happened.CLEARED]

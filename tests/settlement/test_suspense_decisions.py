"""Taps in suspense decided by two people: paid or rejected once, on the open day, and left alone by later nights."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row, select

from clearing.devices import Device, register_devices
from clearing.proposals import Asked, Decision, Proposal, ProposalRefused, State, Target, proposal_of, propose
from clearing.suspense import suspended_taps
from clearing.tables import tap
from clearing.verdict import Verdict
from ledger.balances import balance, totals
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.verify import verify_books
from settlement.batch_retry import Retried, retry_batch
from settlement.night import run_night
from settlement.night_lock import NightRunning, exclusive
from settlement.reports import night_summary
from settlement.suspense_approval import approve
from settlement.suspense_decisions import turn_down, withdraw
from settlement.two_people import DecisionRefusal, DecisionRefused, Word
from settlement.work_queue import Kind, items_of
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import AT, DAY, MORNING, STRANGE, Ridden, card_no, night_of, put
from tests.settlement.test_batch_retry import NEXT, retrying, stop_before
from tests.support.night_books import csv_table, everything, statement_fen

NOON = AT + timedelta(hours=12)
STRANGERS_TAP = Target("BUS-1", 1, 2)  # 160 fen by a terminal that nobody registered
GREY_TAP = Target("BUS-1", 1, 3)  # 160 fen whose TAC is wrong


def proposing(target: Target, decision: Decision = Decision.PAY, amount_fen: int | None = None) -> Asked:
    return Asked(target, decision, "the bus was there", "lin", NOON, amount_fen)


def proposed(day: PreparedDay, asked: Asked) -> Proposal:
    with writing(day.engine) as conn:
        made = propose(conn, asked)
    assert isinstance(made, Proposal), made
    return made


def approved(day: PreparedDay, number: int, by: str = "chen") -> Proposal | DecisionRefused:
    return approve(day.engine, Word(number, by, NOON), nights=day.home / "nights")


def tap_at(day: PreparedDay, target: Target) -> Row[Any]:
    columns = tap.c
    place = (columns.operator == target.operator, columns.sequence == target.sequence)
    with reading(day.engine) as conn:
        return conn.execute(select(tap).where(*place, columns.position == target.position)).one()


def purse_fen(day: PreparedDay, card: int) -> int:
    with reading(day.engine) as conn:
        return balance(conn, f"purse:{card_no(card)}").balance_fen


def next_night(day: PreparedDay) -> None:
    run_night(day.engine, night_of(day.home, day.night.hsm, NEXT, NOON + timedelta(hours=12)))
    with reading(day.engine) as conn:
        assert list(verify_books(conn)) == []
        assert check_books(conn) == []


def test_a_tap_that_two_people_pay_is_booked_once_and_left_alone_by_the_next_night(
    settled: PreparedDay,
) -> None:
    before_fen = purse_fen(settled, 3)
    made = proposed(settled, proposing(STRANGERS_TAP))
    assert (made.state, made.taps, made.paid_fen, made.verdict) == ("proposed", 1, 160, "device_unknown")
    own = approved(settled, made.number, by=" Lin ")
    assert isinstance(own, DecisionRefused) and own.refusal is DecisionRefusal.SAME_PERSON
    assert purse_fen(settled, 3) == before_fen, "nothing moves before a second person has said yes"
    done = approved(settled, made.number)
    assert isinstance(done, Proposal)
    assert (done.state, done.decided_by, done.business_date) == (State.APPROVED, "chen", NEXT)
    rows = everything(settled.engine)
    assert approved(settled, made.number) == done, "said again, it is so"
    assert everything(settled.engine) == rows
    assert purse_fen(settled, 3) == before_fen - 160
    # The device is registered after all, and its operator brings the tap once more.
    with writing(settled.engine) as conn:
        register_devices(conn, [Device(STRANGE, "BUS-1", MORNING)])
    put(settled.night.inbox, settled.night.hsm, "BUS-1", 4, (Ridden(3, 1, 5000, 160, 200, terminal=STRANGE),))
    next_night(settled)
    with reading(settled.engine) as conn:
        summary = night_summary(conn, NEXT)
    assert [(row.verdict, row.money) for row in summary.verdicts] == [
        ("duplicate", "none"), ("device_unknown", "paid"),
    ]  # fmt: skip
    assert [(row.participant, row.gross_fen) for row in summary.operators] == [("BUS-1", 160)]
    out = settled.home / "nights" / NEXT.isoformat() / "out"
    assert statement_fen(out / "statements", "BUS-1", f"{NEXT:%Y%m%d}") == (160, 160)
    told = [
        row for row in csv_table(out / "reports" / "exceptions.csv") if row["exception"] == "device_unknown"
    ]
    assert "decided in proposal 1: the bus was there" in str(told)


def test_a_tap_that_two_people_reject_takes_nothing_and_says_why(settled: PreparedDay) -> None:
    with reading(settled.engine) as conn:
        before = totals(conn)
    made = proposed(settled, proposing(GREY_TAP, Decision.REJECT))
    assert isinstance(approved(settled, made.number), Proposal)
    one = tap_at(settled, GREY_TAP)
    assert (one.money, one.paid_fen, one.decided_on) == ("rejected", 0, NEXT)
    assert one.flaw == "decided in proposal 1: the bus was there"
    with reading(settled.engine) as conn:
        assert totals(conn) == before
    next_night(settled)
    assert tap_at(settled, GREY_TAP) == one


def test_what_is_paid_in_part_leaves_the_rest_to_the_rider(settled: PreparedDay) -> None:
    made = proposed(settled, proposing(STRANGERS_TAP, amount_fen=100))
    before_fen = purse_fen(settled, 3)
    with reading(settled.engine) as conn:
        kept_fen = balance(conn, "suspense:overcharge").balance_fen
    assert isinstance(approved(settled, made.number), Proposal)
    assert purse_fen(settled, 3) == before_fen - 160, "the chip has given it all"
    with reading(settled.engine) as conn:
        assert balance(conn, "suspense:overcharge").balance_fen == kept_fen - 60
        assert balance(conn, "clearing:BUS-1").balance_fen == 100
    next_night(settled)


def cloned(day: PreparedDay) -> tuple[Target, Target]:
    """Two taps of one card and counter, both in suspense."""
    twin = Ridden(3, 3, 4680, 300, 300, terminal="518000000001")
    other = replace(twin, amount_fen=160, list_fare_fen=200, terminal="755000000001")
    put(day.night.inbox, day.night.hsm, "METRO-1", 3, (twin,))
    put(day.night.inbox, day.night.hsm, "BUS-1", 4, (other,))
    run_night(day.engine, day.night)
    found = Target("METRO-1", 3, 0), Target("BUS-1", 4, 0)
    assert {tap_at(day, one).verdict for one in found} == {"counter_conflict"}
    return found


def test_a_clone_is_not_paid_beside_the_tap_that_two_people_paid(day: PreparedDay) -> None:
    metro, bus = cloned(day)
    made, other = proposed(day, proposing(metro)), proposed(day, proposing(bus))
    assert isinstance(approved(day, made.number), Proposal)
    void = approved(day, other.number)
    assert isinstance(void, DecisionRefused) and void.refusal is DecisionRefusal.VOID
    assert "would be paid twice" in void.message
    next_night(day)
    assert (tap_at(day, metro).money, tap_at(day, bus).money) == ("paid", "suspended")
    with reading(day.engine) as conn:
        raised = {item.subject for item in items_of(conn) if item.kind is Kind.CLONE}
    assert raised == {card_no(3)}, "the clone of the first night, and none of the second"
    with writing(day.engine) as conn:
        again = propose(conn, proposing(bus))
    assert isinstance(again, ProposalRefused) and again.refusal.value == "card_not_to_pay"
    made = proposed(day, proposing(bus, Decision.REJECT))
    assert isinstance(approved(day, made.number), Proposal)


def test_a_card_of_ours_does_not_pay_for_another_issuers_of_the_same_number(day: PreparedDay) -> None:
    put(day.night.inbox, day.night.hsm, "BUS-1", 4, (Ridden(3, 3, 4680, 160, 200, issuer="09999000"),))
    run_night(day.engine, day.night)
    assert tap_at(day, Target("BUS-1", 4, 0)).verdict == "card_unknown"
    with writing(day.engine) as conn:
        answer = propose(conn, proposing(Target("BUS-1", 4, 0)))
    assert isinstance(answer, ProposalRefused)
    assert f"the purse of card {card_no(3)} would pay" in answer.message


def test_a_tap_of_a_card_that_nobody_knows_is_paid_out_of_suspense_alone(day: PreparedDay) -> None:
    put(day.night.inbox, day.night.hsm, "BUS-1", 4, (Ridden(77, 1, 5000, 160, 200),))
    run_night(day.engine, day.night)
    made = proposed(day, proposing(Target("BUS-1", 4, 0)))
    assert made.verdict is Verdict.CARD_UNKNOWN
    with reading(day.engine) as conn:
        before_fen = balance(conn, "suspense:purse_shortfall").balance_fen
    assert isinstance(approved(day, made.number), Proposal)
    with reading(day.engine) as conn:
        assert balance(conn, "suspense:purse_shortfall").balance_fen == before_fen + 160
        assert balance(conn, "clearing:BUS-1").balance_fen == 160
    next_night(day)


def test_of_two_twins_the_one_left_when_the_other_is_rejected_is_judged_by_itself(day: PreparedDay) -> None:
    metro, bus = cloned(day)
    made = proposed(day, proposing(metro, Decision.REJECT))
    assert isinstance(approved(day, made.number), Proposal)
    next_night(day)
    assert (tap_at(day, metro).money, tap_at(day, bus).money) == ("rejected", "paid")


def test_a_proposal_is_void_once_one_of_its_taps_was_decided_otherwise(settled: PreparedDay) -> None:
    group = Target("BUS-1", verdict=Verdict.DEVICE_UNKNOWN, presented_on=DAY)
    made = proposed(settled, proposing(group, Decision.REJECT))
    with writing(settled.engine) as conn:
        register_devices(conn, [Device(STRANGE, "BUS-1", MORNING)])
    assert isinstance(retry_batch(settled.engine, retrying(settled), "BUS-1", 1), Retried)
    rows = everything(settled.engine)
    void = approved(settled, made.number)
    assert isinstance(void, DecisionRefused) and void.refusal is DecisionRefusal.VOID
    assert f"tap 1:2 of BUS-1 is accepted, paid since {NEXT}" in void.message
    rows_after = everything(settled.engine)
    assert {name for name in rows if rows[name] != rows_after[name]} == {"suspense_proposal"}
    with reading(settled.engine) as conn:
        kept = proposal_of(conn, made.number)
    assert kept is not None and (kept.state, kept.decided_by) == (State.VOID, "chen")


def test_a_proposal_that_is_turned_down_leaves_its_taps_where_they_are(settled: PreparedDay) -> None:
    made = proposed(settled, proposing(STRANGERS_TAP))
    with writing(settled.engine) as conn:
        assert isinstance(turn_down(conn, Word(made.number, "lin", NOON, "no")), DecisionRefused)
        silent = turn_down(conn, Word(made.number, "chen", NOON, " "))
        down = turn_down(conn, Word(made.number, "chen", NOON, "ask the depot first"))
        assert turn_down(conn, Word(made.number, "chen", NOON, "ask the depot first")) == down
    assert isinstance(silent, DecisionRefused) and silent.refusal is DecisionRefusal.REASON_UNFIT
    assert isinstance(down, Proposal) and down.state is State.TURNED_DOWN
    late = approved(settled, made.number)
    assert isinstance(late, DecisionRefused) and late.refusal is DecisionRefusal.ALREADY_DECIDED
    assert tap_at(settled, STRANGERS_TAP).money == "suspended"
    assert proposed(settled, proposing(STRANGERS_TAP)).number == made.number + 1


def test_a_proposal_that_is_withdrawn_is_kept_and_its_taps_may_be_proposed_again(
    settled: PreparedDay,
) -> None:
    made = proposed(settled, proposing(STRANGERS_TAP))
    with writing(settled.engine) as conn:
        other = withdraw(conn, Word(made.number, "chen", NOON))
        gone = withdraw(conn, Word(made.number, " LIN ", NOON))
        assert withdraw(conn, Word(made.number, "lin", NOON + timedelta(hours=1))) == gone
        late = turn_down(conn, Word(made.number, "chen", NOON, "ask the depot first"))
        unknown = withdraw(conn, Word(made.number + 1, "lin", NOON))
    assert isinstance(other, DecisionRefused) and other.refusal is DecisionRefusal.NOT_THE_PROPOSER
    assert gone == replace(made, state=State.WITHDRAWN, decided_by="lin", decided_at=NOON, decided_why="")
    assert isinstance(late, DecisionRefused) and late.refusal is DecisionRefusal.ALREADY_DECIDED
    assert isinstance(unknown, DecisionRefused) and unknown.refusal is DecisionRefusal.PROPOSAL_UNKNOWN
    assert tap_at(settled, STRANGERS_TAP).money == "suspended"
    again = proposed(settled, proposing(STRANGERS_TAP))
    assert isinstance(approved(settled, again.number), Proposal)
    with writing(settled.engine) as conn:
        stands = withdraw(conn, Word(again.number, "lin", NOON))
    assert isinstance(stands, DecisionRefused) and stands.refusal is DecisionRefusal.ALREADY_DECIDED
    next_night(settled)


def test_nothing_is_carried_out_while_a_night_runs_or_has_stopped(day: PreparedDay) -> None:
    stop_before(day, "net")
    made = proposed(day, proposing(STRANGERS_TAP))
    rows = everything(day.engine)
    with exclusive(day.engine, day.home / "nights"), pytest.raises(NightRunning):
        approved(day, made.number)
    stopped = approved(day, made.number)
    assert isinstance(stopped, DecisionRefused) and stopped.refusal is DecisionRefusal.NIGHT_UNFINISHED
    assert f"run the night of {DAY}" in stopped.remedy
    assert everything(day.engine) == rows
    run_night(day.engine, day.night)
    assert isinstance(approved(day, made.number), Proposal)
    next_night(day)


def unknown_tap(_day: PreparedDay) -> Asked:
    return proposing(Target("BUS-1", 1, 99))


def paid_tap(_day: PreparedDay) -> Asked:
    return proposing(Target("BUS-1", 1, 0))


def empty_group(_day: PreparedDay) -> Asked:
    return proposing(Target("BUS-1", verdict=Verdict.CARD_UNKNOWN, presented_on=DAY))


def unexplained(_day: PreparedDay) -> Asked:
    return replace(proposing(STRANGERS_TAP), reason="  ")


def twice_proposed(day: PreparedDay) -> Asked:
    proposed(day, proposing(STRANGERS_TAP))
    return proposing(Target("BUS-1", verdict=Verdict.DEVICE_UNKNOWN, presented_on=DAY), Decision.REJECT)


def too_much(_day: PreparedDay) -> Asked:
    return proposing(STRANGERS_TAP, amount_fen=161)


def amount_of_a_rejection(_day: PreparedDay) -> Asked:
    return proposing(STRANGERS_TAP, Decision.REJECT, 100)


@pytest.mark.parametrize(
    ("make", "refusal", "remedy"),
    [
        (unknown_tap, "nothing_suspended", "onecard suspense list"),
        (paid_tap, "nothing_suspended", "onecard suspense list"),
        (empty_group, "nothing_suspended", "onecard suspense list"),
        (unexplained, "reason_unfit", "give 1 to 150"),
        (twice_proposed, "already_proposed", "onecard suspense show 1"),
        (too_much, "amount_unfit", "give at most 1.60"),
        (amount_of_a_rejection, "amount_unfit", "one tap is to be paid"),
    ],
)
def test_what_cannot_be_proposed_is_refused_with_the_remedy(
    settled: PreparedDay, make: Callable[[PreparedDay], Asked], refusal: str, remedy: str
) -> None:
    asked = make(settled)
    rows = everything(settled.engine)
    with writing(settled.engine) as conn:
        answer = propose(conn, asked)
    assert isinstance(answer, ProposalRefused)
    assert (answer.refusal, remedy in answer.remedy) == (refusal, True)
    assert everything(settled.engine) == rows


def test_a_proposal_that_nobody_made_cannot_be_approved(settled: PreparedDay) -> None:
    answer = approved(settled, 7)
    assert isinstance(answer, DecisionRefused) and answer.refusal is DecisionRefusal.PROPOSAL_UNKNOWN
    with reading(settled.engine) as conn:
        assert len(suspended_taps(conn, NEXT, operator="BUS-1", verdict=Verdict.DEVICE_UNKNOWN)) == 1
        assert suspended_taps(conn, NEXT, operator="METRO-1") == []

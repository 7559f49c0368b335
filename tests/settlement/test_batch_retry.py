"""A booked batch's taps in suspense judged again between nights: paid once, on the open day, and never too early."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from clearing.context import Night, StepResult
from clearing.devices import Device, register_devices
from clearing.suspense import suspended_taps
from ledger.db import reading, writing
from ledger.verify import verify_books
from settlement.batch_retry import Retried, RetryRefusal, RetryRefused, retry_batch
from settlement.night import run_night
from settlement.reports import night_summary
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import AT, BUS_TAPS, DAY, MORNING, STRANGE, Ridden, night_of, put
from tests.support.night_books import everything

NEXT = DAY + timedelta(days=1)
LATER = AT + timedelta(hours=12)


def retrying(day: PreparedDay) -> Night:
    """A night of the open day in a folder of its own."""
    folder = day.home / "nights" / "retry"
    return replace(night_of(day.home, day.night.hsm, NEXT, LATER), folder=folder, inbox=folder / "inbox")


def register_stranger(day: PreparedDay) -> None:
    with writing(day.engine) as conn:
        register_devices(conn, [Device(STRANGE, "BUS-1", MORNING)])


def test_what_was_settled_since_is_paid_on_the_open_day_and_not_again_by_its_night(day: PreparedDay) -> None:
    run_night(day.engine, day.night)
    register_stranger(day)
    retried = retry_batch(day.engine, retrying(day), "BUS-1", 1)
    assert retried == Retried(NEXT, {"accepted": 1, "tac_wrong": 1}, 1, 160)
    assert isinstance(
        retry_batch(day.engine, retrying(day), "BUS-1", 1), Retried
    )  # the other one is still wrong
    # The operator sends the tap once more, in a file of the next day: it is known by then.
    put(day.night.inbox, day.night.hsm, "BUS-1", 4, (BUS_TAPS[2],))
    run_night(day.engine, night_of(day.home, day.night.hsm, NEXT, LATER + timedelta(hours=12)))
    with reading(day.engine) as conn:
        summary = night_summary(conn, NEXT)
        assert list(verify_books(conn)) == []
    verdicts = {(row.verdict, row.money): row.taps for row in summary.verdicts}
    assert verdicts == {("duplicate", "none"): 1, ("accepted", "paid"): 1}
    assert [(row.participant, row.gross_fen) for row in summary.operators] == [("BUS-1", 160)]


def test_a_clone_is_not_let_through_by_judging_one_of_its_batches_alone(day: PreparedDay) -> None:
    clone = Ridden(3, 1, 5000, 300, 300)  # the card and counter of a tap by a terminal that nobody registered
    put(day.night.inbox, day.night.hsm, "METRO-1", 3, (replace(clone, terminal="518000000001"),))
    run_night(day.engine, day.night)
    register_stranger(day)
    for operator, sequence in (("BUS-1", 1), ("METRO-1", 3)):
        answer = retry_batch(day.engine, retrying(day), operator, sequence)
        assert not isinstance(answer, Retried) or "accepted" not in answer.verdicts
    with reading(day.engine) as conn:
        assert {one.verdict.value for one in suspended_taps(conn, NEXT)} >= {"counter_conflict"}


def never_came(day: PreparedDay) -> tuple[str, int]:
    run_night(day.engine, day.night)
    return "BUS-1", 2


def not_booked(day: PreparedDay) -> tuple[str, int]:
    stop_before(day, "price")
    return "BUS-1", 1


def not_finished(day: PreparedDay) -> tuple[str, int]:
    stop_before(day, "net")
    return "BUS-1", 1


def all_decided(day: PreparedDay) -> tuple[str, int]:
    run_night(day.engine, day.night)
    return "METRO-1", 1


def stop_before(day: PreparedDay, step: str) -> None:
    class Stop(Exception):
        """Stands for a crash that Python survives."""

    def stop(name: str, state: str, _result: StepResult | None) -> None:
        if (name, state) == (step, "started"):
            raise Stop

    with pytest.raises(Stop):
        run_night(day.engine, day.night, observe=stop)


@pytest.mark.parametrize(
    ("prepared", "refusal", "remedy"),
    [
        (never_came, RetryRefusal.BATCH_UNKNOWN, "give a batch that did"),
        (not_booked, RetryRefusal.NOT_BOOKED, "replace-batch"),
        (not_finished, RetryRefusal.NIGHT_UNFINISHED, f"run the night of {DAY}"),
        (all_decided, RetryRefusal.NOTHING_SUSPENDED, "under a new number"),
    ],
)
def test_a_batch_that_cannot_be_judged_again_is_refused_with_the_remedy(
    day: PreparedDay, prepared: Callable[[PreparedDay], tuple[str, int]], refusal: RetryRefusal, remedy: str
) -> None:
    operator, sequence = prepared(day)
    rows = everything(day.engine)
    answer = retry_batch(day.engine, retrying(day), operator, sequence)
    assert isinstance(answer, RetryRefused)
    assert (answer.refusal, remedy in answer.remedy) == (refusal, True)
    assert everything(day.engine) == rows

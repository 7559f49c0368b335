"""A booked batch's taps in suspense judged again between nights: paid once, on the open day, and never too early."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from card.hsm.client import Hsm
from clearing.context import Night, StepResult
from clearing.devices import Device, register_devices
from clearing.suspense import suspended_taps
from clearing.tables import tap
from ledger.db import reading, writing
from ledger.verify import verify_books
from settlement.batch_retry import Retried, RetryRefusal, RetryRefused, retry_batch
from settlement.night import run_night
from settlement.reports import night_summary
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import AT, BUS_TAPS, DAY, MORNING, STRANGE, Ridden, night_of, put
from tests.support.clearing_day import TAP, SmallCity, signed, terminal_no
from tests.support.fare_examples import shipped
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


def test_what_was_settled_since_is_paid_on_the_open_day_and_not_again_by_its_night(
    settled: PreparedDay,
) -> None:
    register_stranger(settled)
    retried = retry_batch(settled.engine, retrying(settled), "BUS-1", 1)
    assert retried == Retried(NEXT, {"accepted": 1, "tac_wrong": 1}, 1, 160)
    assert isinstance(
        retry_batch(settled.engine, retrying(settled), "BUS-1", 1), Retried
    )  # the other one is still wrong
    # The operator sends the tap once more, in a file of the next day: it is known by then.
    put(settled.night.inbox, settled.night.hsm, "BUS-1", 4, (BUS_TAPS[2],))
    run_night(settled.engine, night_of(settled.home, settled.night.hsm, NEXT, LATER + timedelta(hours=12)))
    with reading(settled.engine) as conn:
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


def test_what_was_judged_again_today_counts_in_the_caps_of_all_that_is_judged_after_it(
    engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    city = SmallCity(engine, city_hsm, tmp_path, (shipped("example-city-1"),))
    monday, tuesday = date(2026, 3, 2), date(2026, 3, 3)
    city.furnish(day=monday)
    strange = terminal_no(9)
    rides = [
        signed(
            replace(
                TAP, counter=n, balance_before_fen=10_000 - 200 * n, amount_fen=200, terminal=strange, line=12,
                terminal_sequence=n, moment=bytes.fromhex(f"20260302{2 * n + 4:02d}0000"),
            )
        )
        for n in range(1, 9)
    ]  # fmt: skip
    for sequence, own in enumerate((rides[:6], rides[6:7], rides[7:]), 1):
        city.present("BUS-1", sequence, own)
    city.clear(monday)
    with writing(engine) as conn:
        register_devices(conn, [Device(strange, "BUS-1", MORNING)])
    own_folder = city.home / "nights" / "retry"
    retrying_now = replace(city.night(tuesday), folder=own_folder, inbox=own_folder / "inbox")
    first, second = (retry_batch(engine, retrying_now, "BUS-1", sequence) for sequence in (1, 2))
    assert isinstance(first, Retried) and isinstance(second, Retried)
    assert (first.paid_fen, second.paid_fen) == (1_200, 0), "the day's cap is 1200"
    city.clear(tuesday)
    with reading(engine) as conn:
        paid_fen = conn.execute(select(tap.c.sequence, func.sum(tap.c.paid_fen)).group_by(tap.c.sequence))
        assert dict(paid_fen.all()) == {1: 1_200, 2: 0, 3: 0}
        assert list(verify_books(conn)) == []

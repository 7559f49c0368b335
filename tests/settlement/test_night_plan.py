"""A night's plan: what its inbox holds by the headers, what is in its way; nothing is read twice or written."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from clearing.context import StepResult
from clearing.wire.batch import FRAME
from ledger.db import reading
from settlement.night import run_night
from settlement.night_plan import NightPlan, look_at, plan_night
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import BUS_TAPS, DAY, METRO_TAPS, put
from tests.support.night_books import contents, everything


def plan_of(day: PreparedDay, business_date: date = DAY) -> NightPlan:
    with reading(day.engine) as conn:
        return plan_night(conn, business_date, day.night.inbox)


def test_a_plan_counts_what_the_night_then_collects(day: PreparedDay) -> None:
    rows, files = everything(day.engine), contents(day.home)
    plan = plan_of(day)
    assert (everything(day.engine), contents(day.home)) == (rows, files)
    counts = {step.step: step.counts for step in run_night(day.engine, day.night).steps}
    assert (len(plan.files), len(plan.bad)) == (counts["collect"]["accepted"], counts["collect"]["rejected"])
    assert plan.taps == counts["collect"]["taps"]
    assert sum(one.amount_fen for one in plan.files) == counts["price"]["presented_fen"]
    assert plan.missing == (("BUS-1", 2),)
    assert [(one.name, "truncated" in one.message) for one in plan.bad] == [("METRO-1-00000002.ocb", True)]
    assert (plan.refusal, plan.nights_before, plan.experience) == (None, (), 0)
    assert plan.needed_bytes > 0


def test_a_plan_names_what_comes_again_and_what_has_a_number_that_is_taken(day: PreparedDay) -> None:
    old = (day.night.inbox / "METRO-1-00000001.ocb").read_bytes()
    run_night(day.engine, day.night)
    (day.night.inbox / "METRO-1-00000001.ocb").write_bytes(old)
    put(day.night.inbox, day.night.hsm, "BUS-1", 1, BUS_TAPS[1:])
    put(day.night.inbox, day.night.hsm, "BUS-1", 2, METRO_TAPS)
    (day.night.inbox / "BUS-1-00000009.ocb").write_bytes(old)
    (day.night.inbox / "BUS-1-00000010.ocb").write_bytes(b"")
    plan = plan_of(day, DAY + timedelta(days=1))
    assert {one.name: one.standing for one in plan.files} == {
        "METRO-1-00000001.ocb": "repeated", "BUS-1-00000001.ocb": "number_taken", "BUS-1-00000002.ocb": "new",
    }  # fmt: skip
    assert {one.name: one.remedy for one in plan.bad if "BUS" in one.name} == {
        "BUS-1-00000009.ocb": "name it METRO-1-00000001.ocb",
        "BUS-1-00000010.ocb": "ask the operator to send the file again",
    }
    assert plan.retried_taps == 2
    assert plan.taps == len(METRO_TAPS) + 2


def test_a_plan_of_an_interrupted_night_says_what_is_done_and_what_is_to_come(day: PreparedDay) -> None:
    class Stop(Exception):
        """Stands for a crash that Python survives."""

    def stop(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == ("match", "started"):
            raise Stop

    with pytest.raises(Stop):
        run_night(day.engine, day.night, observe=stop)
    plan = plan_of(day)
    assert plan.steps_done[-1] == "verify"
    assert (plan.uncleared_taps, plan.taps) == (12, 12)
    assert next(iter(plan.expected_ms)) == "match"


@pytest.mark.parametrize(
    ("business_date", "reason"), [(date(2030, 1, 1), "never opened"), (DAY, "is closed already")]
)
def test_a_plan_says_what_would_stop_the_night_at_once(
    settled: PreparedDay, business_date: date, reason: str
) -> None:
    refusal = plan_of(settled, business_date).refusal
    assert refusal is not None
    assert reason in refusal[0]


def test_a_plan_names_the_nights_that_come_first(day: PreparedDay) -> None:
    plan = plan_of(day, DAY + timedelta(days=1))
    assert plan.nights_before == (DAY,)
    assert plan.refusal is not None


def test_only_the_ends_of_a_file_are_looked_at(day: PreparedDay, tmp_path: Path) -> None:
    """A flipped bit in a record breaks the checksum, which is the night's to find."""
    path = day.night.inbox / "METRO-1-00000001.ocb"
    data = bytearray(path.read_bytes())
    data[70] ^= 1
    path.write_bytes(data)
    good, bad = look_at([path], FRAME, {})
    assert ([one.records for one in good], bad) == ([5], [])

"""The scheduler as a process: it makes up for missed nights, tries refused ones again, and ends between steps."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis.strategies import dates, times
from sqlalchemy import Engine

from city.home import CITY_ZONE
from city.world import City
from ledger.day import DayState, begin_close, day_state, open_day
from ledger.db import reading, writing
from settlement.agreements import register_agreements
from settlement.cut_off import cut_off_of, night_due
from settlement.night import STEPS
from settlement.night_lock import is_running
from settlement.night_log import RunState, recorded_steps, run_of
from settlement.night_progress import PROGRESS_FILE
from settlement.participants import register_participants
from settlement.work_queue import Item, Kind, State, items_of
from tests.settlement.small_day import AGREEMENTS, MORNING, PARTICIPANTS, ROOT
from tests.support.foundry import Foundry
from tests.support.typed_commands import RunningCommand, typed_commands
from tests.support.waiting import wait_until

TODAY = datetime.now(CITY_ZONE).date()
LATELY = TODAY - timedelta(days=2)
MISSED = [LATELY + timedelta(days=number) for number in range(2)]


@pytest.fixture
def late_city(city: City) -> City:
    """A city whose oldest open day was over two days ago."""
    city.home.tariffs.mkdir()
    shutil.copy(
        ROOT / "clearing" / "sectors" / "transit" / "tariffs" / "shenzhen-2018.json", city.home.tariffs
    )
    with writing(city.engine) as conn:
        open_day(conn, LATELY, at=MORNING)
        register_participants(conn, PARTICIPANTS, at=MORNING)
        register_agreements(conn, AGREEMENTS, at=MORNING)
    return city


Start = Callable[..., RunningCommand]


@pytest.fixture
def start(late_city: City, foundry: Foundry, database_url: str, hsm_address: str) -> Iterator[Start]:
    """Start `onecard scheduler` on the late city; what still runs at the end is ended."""
    with (
        typed_commands(
            foundry, ONECARD_DATABASE=database_url, ONECARD_HSM=hsm_address, ONECARD_CUT_OFF="00:00"
        ) as commands,
        ExitStack() as stack,
    ):

        def begin(*words: str, **environment: str) -> RunningCommand:
            command = ("scheduler", "--first-wait-s", "0.1", *words)
            return stack.enter_context(commands.running(late_city.home.root, *command, **environment))

        yield begin


def finished(engine: Engine, day: date) -> bool:
    with reading(engine) as conn:
        run = run_of(conn, day)
    return run is not None and run.state is RunState.FINISHED


def ended(scheduler: RunningCommand) -> tuple[int, str]:
    """Tell it to end, wait until it has; its exit status and what it said."""
    return scheduler.end(signal.SIGTERM), scheduler.said()


def test_missed_nights_are_made_up_for_in_order_and_sigterm_ends_cleanly(
    late_city: City, start: Start
) -> None:
    scheduler = start()
    wait_until(lambda: finished(late_city.engine, MISSED[-1]))
    code, said = ended(scheduler)
    assert code == 0, said
    began = [line for line in said.splitlines() if "a night begins" in line]
    assert [day in line for day, line in zip(map(str, MISSED), began, strict=False)] == [True] * 2
    with reading(late_city.engine) as conn:
        assert [day_state(conn, day) for day in MISSED] == [DayState.CLOSED] * 2
        took = [step.duration_ms for day in MISSED for step in recorded_steps(conn, day)]
    assert len(took) == 2 * len(STEPS)
    assert None not in took


def test_a_refused_night_is_queued_for_people_and_tried_again(late_city: City, start: Start) -> None:
    kept = late_city.home.tariffs.rename(late_city.home.root / "kept")
    scheduler = start()

    def items(*states: State) -> list[Item]:
        with reading(late_city.engine) as conn:
            return [item for item in items_of(conn, states) if item.kind is Kind.NIGHT_REFUSED]

    wait_until(lambda: items(State.OPEN))
    assert [(item.subject, item.what) for item in items(State.OPEN)] == [
        (str(LATELY), "match: there is no tariff")
    ]
    kept.rename(late_city.home.tariffs)
    wait_until(lambda: finished(late_city.engine, MISSED[0]))
    assert ended(scheduler)[0] == 0
    assert [item.who for item in items(State.DONE)] == [f"night {LATELY}"]


def test_what_lies_in_the_banks_folder_is_taken_before_a_night_and_stops_none(
    late_city: City, start: Start
) -> None:
    late_city.home.bank_inbox.mkdir(parents=True)
    wrong = late_city.home.bank_inbox / "wrong.xml"
    wrong.write_bytes(b"<a/>")
    os.utime(wrong, (1, 1))
    scheduler = start("--once")
    assert scheduler.wait() == 0, scheduler.said()
    said = scheduler.said()
    assert said.index("wrong.xml") < said.index("a night begins")
    assert not wrong.exists() and finished(late_city.engine, MISSED[-1])
    with reading(late_city.engine) as conn:
        (item,) = [one for one in items_of(conn) if one.kind is Kind.BANK_FILE]
    assert "wrong.xml was not taken" in item.what


def test_two_schedulers_never_run_two_nights(late_city: City, start: Start) -> None:
    both = (start(), start())
    wait_until(lambda: finished(late_city.engine, MISSED[-1]))
    assert [ended(one)[0] for one in both] == [0, 0]
    with reading(late_city.engine) as conn:
        steps = [[step.step for step in recorded_steps(conn, day)] for day in MISSED]
        assert steps == [[name for name, _ in STEPS]] * 2
        assert items_of(conn) == []


def test_a_scheduler_told_to_end_stops_between_steps_and_another_goes_on(
    late_city: City, start: Start
) -> None:
    first = start()
    wait_until(lambda: (late_city.home.nights / PROGRESS_FILE).exists())
    with writing(late_city.engine):  # the step that runs cannot commit before this is left
        os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 0, first.said()
    assert not finished(late_city.engine, MISSED[-1])
    assert not is_running(late_city.engine, late_city.home.nights)
    second = start("--once")
    assert second.wait() == 0, second.said()
    assert finished(late_city.engine, MISSED[-1])


def test_nothing_that_is_not_due_is_run(late_city: City, start: Start) -> None:
    with reading(late_city.engine) as conn:
        before = cut_off_of(LATELY, time(0), CITY_ZONE) - timedelta(seconds=1)
        assert night_due(conn, time(0), CITY_ZONE, before) is None
        assert night_due(conn, time(0), CITY_ZONE, before + timedelta(seconds=1)) == LATELY
    with writing(late_city.engine) as conn:
        begin_close(conn, LATELY, at=MORNING)
    with reading(late_city.engine) as conn:
        assert (
            night_due(conn, time(0), CITY_ZONE, before) == LATELY
        )  # it is cut off: nobody waits for a clock


def test_a_scheduler_that_runs_once_says_by_its_status_whether_all_is_done(
    late_city: City, start: Start
) -> None:
    shutil.rmtree(late_city.home.tariffs)
    scheduler = start("--once")
    assert (scheduler.wait(), "there is no tariff" in scheduler.said()) == (1, True)
    assert "onecard queue list" in scheduler.said()


def test_a_cut_off_that_is_no_time_of_day_is_refused_by_name(start: Start) -> None:
    scheduler = start(ONECARD_CUT_OFF="25:61")
    assert scheduler.wait() == 1
    assert "ONECARD_CUT_OFF" in scheduler.said()


@given(
    day=dates(date(2018, 1, 1), date(2040, 1, 1)), cut_off=times().map(lambda at: at.replace(microsecond=0))
)
def test_a_cut_off_lies_within_twelve_hours_of_the_days_last_midnight(day: date, cut_off: time) -> None:
    midnight = datetime.combine(day + timedelta(days=1), time(0), CITY_ZONE)
    over = cut_off_of(day, cut_off, CITY_ZONE)
    assert abs(over - midnight) <= timedelta(hours=12)
    assert over.astimezone(CITY_ZONE).time() == cut_off
    assert cut_off_of(day + timedelta(days=1), cut_off, CITY_ZONE) - over == timedelta(days=1)

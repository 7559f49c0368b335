"""`onecard scheduler`: runs the nights that are due, at the cut-off and after downtime, until SIGTERM."""

from datetime import date, datetime, timedelta
from typing import Annotated, Final

import structlog
import typer
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.bank_rounds import bank_round, log_round
from api.city_doors import city
from api.doors import Refused, books, console, now, settings
from api.engine_doors import bounded_engine
from api.night_commands import run_watched
from api.peers import connected_peers
from api.settings import Settings
from api.told_to_end import ToldToEnd, told_to_end
from card.hsm.errors import HsmError
from city.home import CITY_ZONE
from clearing.context import StepResult
from ledger.day import DayOrderError
from ledger.db import reading, writing
from settlement.bank.drop_folder import sweep
from settlement.cut_off import night_due
from settlement.night import NightRefused
from settlement.work_found import refused
from settlement.work_queue import hand_over

log: structlog.stdlib.BoundLogger = structlog.get_logger("onecard.scheduler")

LONGEST_WAIT: Final = timedelta(minutes=30)
"""A night that was refused is tried again after ever longer waits, at the most so long."""


class NightStopped(Exception):
    """The scheduler was told to end: the night stops between two steps and goes on when it is started again."""


class NightShift:
    """Runs the nights that are due, in order; what stops one is logged, queued for people, and tried again."""

    def __init__(self, chosen: Settings, told: ToldToEnd, first_wait: timedelta) -> None:
        self._chosen, self._told, self._first_wait = chosen, told, first_wait
        self._failures = 0

    def run_due(self) -> bool:
        """Run every night that is due; whether nothing is due any more (or the shift ends).

        What lies finished in the bank's folder is taken first, on the day that is open still.
        """
        _take_bank_files()
        while not self._told.is_set():
            with books() as engine:
                with reading(engine) as conn:
                    day = night_due(conn, self._chosen.cut_off, CITY_ZONE, now())
                if day is None:
                    return True
                if not self._run(engine, day):
                    return False
            self._failures = 0
        return True

    def wait(self) -> timedelta:
        """How long to wait after the failure that has just been, longer after each in a row."""
        self._failures += 1
        doubled: int = 2 ** min(self._failures - 1, 30)
        return min(LONGEST_WAIT, self._first_wait * doubled)

    def _run(self, engine: Engine, day: date) -> bool:
        """Run one night; whether it was finished."""
        log.info("a night begins", business_date=str(day))
        try:
            with city() as opened, connected_peers(self._chosen) as peers:
                run_watched(opened, peers, day, now(), observe=self._between_steps, rules=bounded_engine())
        except NightStopped:
            log.info("the night was stopped between two steps", business_date=str(day))
            return True
        except NightRefused as stop:
            # What a step refuses is in the queue already, written with the refusal.
            log.error("the night was refused", business_date=str(day), step=stop.step, reason=stop.reason)
            return False
        except (HsmError, Refused, SQLAlchemyError, OSError) as error:
            log.error("the night could not be run", business_date=str(day), reason=str(error))
            _tell_people(engine, day, str(error), at=now())
            return False
        log.info("the night is finished", business_date=str(day))
        return True

    def _between_steps(self, _step: str, state: str, _result: StepResult | None) -> None:
        if state == "started" and self._told.is_set():
            raise NightStopped


def scheduler(
    once: Annotated[
        bool, typer.Option("--once", help="run what is due now and end; exit status 1 where one was refused")
    ] = False,
    first_wait_s: Annotated[
        float, typer.Option(min=0.01, help="how long to wait after a first refusal; each further doubles it")
    ] = 60.0,
) -> None:
    """Run the night of every business day when its cut-off (ONECARD_CUT_OFF) has passed, until SIGTERM.

    Nights that were missed are made up for in order, at once. What lies finished in the bank's folder is taken before.
    Several schedulers may run: one night runs at a time.
    """
    chosen = settings()
    with told_to_end() as told:
        shift = NightShift(chosen, told, timedelta(seconds=first_wait_s))
        if not once:
            _keep(shift, chosen, told)
        elif not shift.run_due():
            raise Refused("a night that is due was not finished; `onecard queue list` and the log say why")


def _keep(shift: NightShift, chosen: Settings, told: ToldToEnd) -> None:
    # One worker: a try again and the next cut-off never run side by side in here.
    shifts = BackgroundScheduler(timezone=CITY_ZONE, executors={"default": ThreadPoolExecutor(1)})

    def round_of_nights() -> None:
        if not shift.run_due():
            try_again()

    def try_again(_event: JobExecutionEvent | None = None) -> None:
        wait = shift.wait()
        log.info("tried again", after_s=wait.total_seconds())
        shifts.add_job(
            round_of_nights,
            DateTrigger(now() + wait),
            id="again",
            replace_existing=True,
            misfire_grace_time=None,
        )

    # However late: several missed cut-offs are one round, and a round runs every night that is due.
    at = chosen.cut_off
    shifts.add_job(
        round_of_nights, CronTrigger(hour=at.hour, minute=at.minute, second=at.second),
        id="cut-off", next_run_time=now(), coalesce=True, misfire_grace_time=None, max_instances=1,
    )  # fmt: skip
    shifts.add_listener(try_again, EVENT_JOB_ERROR)
    shifts.start()
    console.print(
        f"Nights are run at {chosen.cut_off:%H:%M} city time (Ctrl-C or SIGTERM ends)", highlight=False
    )
    told.wait()
    shifts.shutdown(wait=True)
    console.print(
        "Ended; a night that was under way goes on when the scheduler or `onecard night` is started."
    )


def _take_bank_files() -> None:
    """A round through the bank's folder; nothing that stops it stops a night, and the next round makes up for it."""
    try:
        with books() as engine:
            log_round(sweep(bank_round(engine)))
    except (DayOrderError, SQLAlchemyError, OSError) as error:
        log.error("the bank's files were not taken", reason=str(error))


def _tell_people(engine: Engine, day: date, reason: str, *, at: datetime) -> None:
    """Put a night that could not even begin into the queue, where the books can be written."""
    try:
        with writing(engine) as conn:
            found = refused(day, "start", reason, "clear its reason; the scheduler tries again by itself")
            hand_over(conn, [found], (), day, at=at)
    except SQLAlchemyError as error:
        log.error("the work queue cannot be written", reason=str(error))

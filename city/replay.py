"""A real trace, lived again: every row a purse transaction on a virtual card, presented, cleared and settled."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from city.casting import Cast, cast
from city.drawer import Drawer
from city.factory import Factory
from city.home import CITY_ZONE, Home
from city.issuing import issue, load_all
from city.plan import CityPlan
from city.presentment import present
from city.riders import Riders
from city.street import Street
from city.szt import BadRow, read_trace
from city.world import City, agent_pays, found, install, night_of
from clearing.devices import Device
from clearing.engine.duck import IN_PROCESS
from clearing.wire.tariff import parse_tariff
from ledger.day import DayOrderError, current_day
from ledger.db import make_engine, migrate, reading
from settlement.night import Observe, run_night

Progress = Callable[[str, int, int], None]


class Stage(StrEnum):
    """How far the replay of one trace has come; kept, so that it is taken up there."""

    PRESENTED = "presented"
    CLEARED = "cleared"


class ReplayRefused(Exception):
    """The trace cannot be replayed on that business date; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A trace that has been lived: on which day, the rows left out, and whether it had been done before."""

    business_date: date
    bad_rows: tuple[BadRow, ...]
    already: bool


def replay(
    city: City, plan: CityPlan, data: bytes, *, business_date: date, progress: Progress, observe: Observe
) -> Replayed:
    """Live a Shenzhen trace on `business_date` and run its night; the same trace again changes nothing.

    A replay cut off anywhere is repeated, or taken up at its night, with the same outcome: chips draw their
    random numbers from their own numbers and counters. Raises ReplayRefused, TraceError.
    """
    digest = sha256(data).hexdigest()
    stages = _Stages(city.home.world)
    stages.recover()
    past = stages.of(digest)
    if past is None:
        performed = cast(plan, read_trace(data))
        if not performed.taps:
            raise ReplayRefused("no row of the trace can be replayed; give a file with at least one good row")
        _require_turn(city, business_date)
        stages.begin()
        turned_away = _live(city, plan, performed, business_date, progress)
        past = Past(Stage.PRESENTED, business_date, (*performed.bad_rows, *turned_away))
        stages.reach(digest, past)
    if past.stage is Stage.CLEARED:
        return Replayed(past.business_date, past.bad_rows, already=True)
    at = datetime.combine(past.business_date, time(23, 30), CITY_ZONE)
    run_night(
        city.engine,
        night_of(city, past.business_date, at=at, progress=progress, rules=IN_PROCESS),
        observe=observe,
    )
    stages.reach(digest, replace(past, stage=Stage.CLEARED))
    return Replayed(past.business_date, past.bad_rows, already=False)


def can_take(home: Home, data: bytes, business_date: date) -> bool:
    """Whether the books in this home can take the trace on that day, or have taken it before."""
    if _Stages(home.world).of(sha256(data).hexdigest()) is not None:
        return True
    if not (home.root / "onecard.db").exists():
        return True
    engine = make_engine(home.database_url)
    migrate(engine)
    with reading(engine) as conn:
        current = _current(conn)
    engine.dispose()
    return current in (None, business_date)


def _current(conn: Connection) -> date | None:
    """The day that the books are at; None in a city not founded yet."""
    try:
        return current_day(conn)
    except DayOrderError:
        return None


def _require_turn(city: City, business_date: date) -> None:
    with reading(city.engine) as conn:
        current = _current(conn)
    if current not in (None, business_date):
        raise ReplayRefused(
            f"the books under {city.home.root} are at business day {current}, not {business_date}; give "
            f"--business-date {current}, or another ONECARD_HOME for a city of its own"
        )


def _live(
    city: City, plan: CityPlan, performed: Cast, business_date: date, progress: Progress
) -> tuple[BadRow, ...]:
    """From issuing cards to the batch files in the inbox; the rows that a validator turned away."""
    dawn = datetime.combine(business_date, time(0, 1), CITY_ZONE)
    found(city, plan, business_date=business_date, at=dawn)
    drawer = Drawer(city.home.world / "cards.db")
    riders = Riders(Factory(city.hsm, city.transport_key_file), drawer)
    issue(city, riders, performed.riders, at=dawn, progress=progress)
    since = dawn - timedelta(days=365)
    places = sorted({(tap.terminal, tap.operator) for tap in performed.taps})
    install(city, [Device(terminal, operator, since) for terminal, operator in places])
    loaded_fen = load_all(
        city, riders, performed.riders, business_date=business_date, at=performed.loads_at, progress=progress
    )
    with Street(city.home.world / "depots", city.hsm, parse_tariff(plan.tariff_text), "off") as street:
        lived = street.live(performed.taps, riders, {}, progress)
        at = datetime.combine(business_date, time(23), CITY_ZONE)
        present(street, city.hsm, city.home.inbox, business_date=business_date, at=at, mischief={})
    riders.keep()
    drawer.close()
    agent_pays(city, loaded_fen, business_date=business_date, at=at)
    return tuple(
        performed.as_bad_row(place, f"the validator said {why}; look at the card's other rows")
        for place, why in lived.turned_away
    )


@dataclass(frozen=True, slots=True)
class Past:
    """How far a trace had come, on which day, and its rows left out."""

    stage: Stage
    business_date: date
    bad_rows: tuple[BadRow, ...]


class _Stages:
    """What has been replayed, in a file of the simulated world, and a copy of the world from before each attempt."""

    def __init__(self, world: Path) -> None:
        self._world = world
        self._before = world.with_name(f"{world.name}.before")
        self._file = world / "replays.json"

    def recover(self) -> None:
        """After an attempt that was cut off: its chips have paid rides that never left the depot."""
        if self._before.exists():
            shutil.rmtree(self._world, ignore_errors=True)
            self._before.rename(self._world)

    def of(self, digest: str) -> Past | None:
        """What is known of this trace."""
        entry = self._known().get(digest)
        if entry is None:
            return None
        rows = tuple(BadRow(**row) for row in entry["bad_rows"])
        return Past(Stage(entry["stage"]), date.fromisoformat(entry["business_date"]), rows)

    def begin(self) -> None:
        """Keep the world as it is, to come back to."""
        self._world.mkdir(parents=True, exist_ok=True)
        part = self._before.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(self._world, part)
        part.rename(self._before)

    def reach(self, digest: str, past: Past) -> None:
        """Say that the trace has come this far; there is no way back then."""
        entry = {
            "stage": past.stage.value,
            "business_date": past.business_date.isoformat(),
            "bad_rows": [asdict(row) for row in past.bad_rows],
        }
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps({**self._known(), digest: entry}, ensure_ascii=False))
        part.replace(self._file)
        shutil.rmtree(self._before, ignore_errors=True)

    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return known

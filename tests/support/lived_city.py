"""A small city after its day and its night, for what is read afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from city.day import Mischief, plan_day
from city.demo import DEMO_DATE, live_day, moment
from city.plan import read_plan
from city.world import City, night_of
from clearing.engine.duck import IN_PROCESS
from ledger.db import make_engine
from settlement.night import run_night, unobserved

MakeCity = Callable[[Path, Engine], City]


@contextmanager
def lived(make_city: MakeCity, folder: Path, template: Path, *mischief: Mischief) -> Iterator[City]:
    """A city after a day and its night."""
    (folder / "onecard.db").write_bytes(template.read_bytes())
    city = make_city(folder, make_engine(f"sqlite:///{folder / 'onecard.db'}"))
    day = plan_day(read_plan("demo"), DEMO_DATE, riders=4, mischief=mischief, seed=2)
    live_day(city, day, progress=lambda *_: None)
    night = night_of(
        city, DEMO_DATE, at=moment(DEMO_DATE, 23, 30), progress=lambda *_: None, rules=IN_PROCESS
    )
    run_night(city.engine, night, observe=unobserved)
    yield city
    city.engine.dispose()

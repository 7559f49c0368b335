"""How fast a night goes, beside plain Python, a bare load of as many rows, and an empty night's memory."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, Table, func, quoted_name, select

from city.benchmarks.figures import Figure, at_least, at_most
from city.benchmarks.plain_python import decide
from city.benchmarks.workload import DAY, card_keys, prepare
from city.day import STATIONS, terminal_of
from city.home import CITY_ZONE, Home
from city.plan import CityPlan, read_plan
from city.processes import private_postgres
from city.world import City, night_of, open_city
from clearing.context import StepResult
from clearing.tables import tap
from clearing.wire.tariff import parse_tariff
from ledger.bulk import insert_rows
from ledger.db import reading, writing
from ledger.tables import line
from settlement.night import run_night

DEFAULT_TAPS = 100_000
EMPTY_TAPS = 100
RULE_STEPS = ("collect", "verify", "match", "price")


def bench_night(size: int | None) -> list[Figure]:
    """Clear a generated day of `size` taps (2% anomalies) on SQLite and on a private PostgreSQL, fsync on."""
    taps = size or DEFAULT_TAPS
    plan = read_plan("demo")
    with _founded(plan, taps, None) as (city, bodies):
        steps_s, verdicts = _timed_night(city)
        plain_s = _plain_python(city, plan, bodies, verdicts)
        sqlite_bare_s = _bare_load(city.engine)
    rules_s = sum(steps_s[step] for step in RULE_STEPS)
    figures = [
        at_least(
            f"collect to price, {taps:,} taps, DuckDB", taps / rules_s, "taps/s",
            against="plain Python, tap by tap", peer=taps / plain_s, ratio=30,
        ),
        at_least(
            f"whole night, {taps:,} taps, SQLite", taps / sum(steps_s.values()), "taps/s",
            against="bare insert of its tap and ledger rows", peer=taps / sqlite_bare_s, ratio=0.5,
        ),
    ]  # fmt: skip
    with private_postgres() as url, _founded(plan, taps, url) as (city, _):
        steps_s, _verdicts = _timed_night(city)
        bare_s = _bare_load(city.engine)
    figures.append(
        at_least(
            f"whole night, {taps:,} taps, PostgreSQL", taps / sum(steps_s.values()), "taps/s",
            against="bare COPY of its tap and ledger rows", peer=taps / bare_s, ratio=0.5,
        )
    )  # fmt: skip
    figures.append(
        at_most(
            f"peak memory of a night of {taps:,} taps, SQLite", _peak_mib(plan, taps), "MiB",
            against=f"a night of {EMPTY_TAPS} taps", peer=_peak_mib(plan, EMPTY_TAPS), ratio=3,
        )
    )  # fmt: skip
    return figures


@contextmanager
def _founded(plan: CityPlan, taps: int, database_url: str | None) -> Iterator[tuple[City, dict[str, bytes]]]:
    with (
        tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder,
        open_city(Home(Path(folder)), database_url=database_url) as city,
    ):
        yield city, prepare(city, plan, taps=taps)


def _timed_night(city: City) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds of every step of the night, and the taps by verdict."""
    ended: dict[str, float] = {}
    began: dict[str, float] = {}

    def observe(step: str, state: str, _result: StepResult | None) -> None:
        (began if state == "started" else ended)[step] = time.perf_counter()

    at = datetime(DAY.year, DAY.month, DAY.day, 23, 30, tzinfo=CITY_ZONE)
    run_night(city.engine, night_of(city, DAY, at=at, progress=lambda *_: None), observe=observe)
    with reading(city.engine) as conn:
        verdicts = {
            row[0]: row[1]
            for row in conn.execute(select(tap.c.verdict, func.count()).group_by(tap.c.verdict))
        }
    return {step: ended[step] - began[step] for step in ended}, verdicts


def _plain_python(city: City, plan: CityPlan, bodies: dict[str, bytes], expected: dict[str, int]) -> float:
    """Seconds that the obvious loop takes for the same records; its verdicts must be the night's."""
    with reading(city.engine) as conn:
        numbers = list(conn.scalars(select(tap.c.card_no).distinct()))
    keys = card_keys(city, numbers)
    owner = {terminal_of(i, stop): one.id for i, one in enumerate(plan.operators) for stop in range(STATIONS)}
    began = time.perf_counter()
    counts = decide(bodies, keys, owner, parse_tariff(plan.tariff_text))
    took_s = time.perf_counter() - began
    found = {verdict.value: count for verdict, count in counts.items() if count}
    if found != expected:
        raise RuntimeError(f"the loop and the night disagree: {found} and {expected}")
    return took_s


def _bare_load(engine: Engine) -> float:
    """Seconds to put the night's tap and ledger rows into empty copies of their tables, indexes and all."""
    took_s = 0.0
    for table in (tap, line):
        with reading(engine) as conn:
            rows = [tuple(row) for row in conn.execute(select(table))]
        with writing(engine) as conn:
            copy = _empty_copy(conn, table)
        began = time.perf_counter()
        with writing(engine) as conn:
            insert_rows(conn, copy, rows)
        took_s += time.perf_counter() - began
    return took_s


def _empty_copy(conn: Connection, table: Table) -> Table:
    """A table of the same columns and indexes under another name."""
    copy = table.to_metadata(MetaData(), name=f"bare_{table.name}")
    copy.dialect_options["postgresql"]["partition_by"] = None
    for foreign in list(copy.foreign_key_constraints):
        copy.constraints.discard(foreign)
    for constraint in copy.constraints:
        constraint.name = quoted_name(f"bare_{constraint.name}", quote=None)
    for index in copy.indexes:
        index.name = quoted_name(f"bare_{index.name}", quote=None)
    copy.create(conn)
    return copy


def _peak_mib(plan: CityPlan, taps: int) -> float:
    """Peak resident memory of a process that runs one night, in MiB."""
    with tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder:
        with open_city(Home(Path(folder))) as city:
            prepare(city, plan, taps=taps)
        run = [sys.executable, "-m", "city.benchmarks.one_night", folder]
        done = subprocess.run(run, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["peak_mib"])

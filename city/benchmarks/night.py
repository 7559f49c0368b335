"""How fast a night goes, beside plain Python, a bare load of as many rows, and an empty night's memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Engine, MetaData, Table, func, quoted_name, select

from card.chip.keys import CardKeys, unwrap_card_keys
from card.hsm.codec import CardKeyRef
from card.tables import card
from city.benchmarks.door import door_and_disk
from city.benchmarks.figures import Figure, at_least, at_most
from city.benchmarks.one_night import rule_steps, the_night
from city.benchmarks.orm_ledger import entries_a_second
from city.benchmarks.others_wait import Waited, others_asking
from city.benchmarks.plain_python import Known, decide
from city.benchmarks.workload import DAY, bodies, prepare
from city.day import ISSUER
from city.home import Home
from city.plan import CityPlan, read_plan
from city.processes import RunningHsm, private_postgres, running_hsm
from city.world import City, open_city
from clearing.priced import PRICED
from clearing.tables import tap
from clearing.verdict import Verdict
from clearing.wire.batch import RECORD_BYTES
from clearing.wire.tariff import parse_tariff
from clearing.workfiles import counted
from ledger.bulk_columns import insert_columns
from ledger.db import reading, writing
from ledger.sharing import PATIENCE_S
from ledger.tables import line

DEFAULT_TAPS = 1_000_000
PLAIN_TAPS = 50_000
WHOLE_TAPS = 1_000_000
"""Of a night that is cleared whole: it takes some fifty times as long a tap as from files to prices."""
LEAST_TAPS = 100_000
"""Of the smaller day that growth is told by."""
A_TABLE = 100_000
"""Rows of the bare load that are made columns at once."""
ORM_TAPS = 3_000
GROWTH = 20
"""By how much less the smaller day has that the time a tap is compared with."""
BOUND_MIB = 2_560
WANTED_PER_S = 1_500_000
"""Taps from files to prices: ten million of them, or more."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a night went, whole or from files to prices, in a process of its own; others may have waited for it."""

    taps: int
    took_s: float
    peak_mib: float
    others_waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cities:
    """Makes a city for each figure, with all of its taps in its inbox; they share a running HSM, and nothing else."""

    plan: CityPlan
    hsm: RunningHsm

    @contextmanager
    def prepared(self, taps: int, database_url: str | None = None) -> Iterator[City]:
        """A city with money in its purses, in a folder that is gone when the block ends."""
        with self._founded(database_url) as city:
            prepare(city, self.plan, taps=taps)
            yield city

    def from_files_to_prices(self, taps: int) -> Ran:
        """How the first steps of a night go in a process of their own."""
        with self._founded() as city:
            prepare(city, self.plan, taps=taps, purses=False)
            # Files come during the day; the disk is not to be busy with them at night.
            os.sync()
            told = self._in_a_process(city, "rules")
        return Ran(told["counts"]["collect"]["taps"], sum(told["took_s"].values()), told["peak_mib"])

    def at_the_door(self, taps: int) -> tuple[int, float, float]:
        """How many taps came in through the door, in how many seconds, and in how many they are written down."""
        with self._founded() as city:
            prepare(city, self.plan, taps=taps, purses=False)
            files = bodies(city, [one.id for one in self.plan.operators])
            came = sum(len(records) // RECORD_BYTES for _, records in files)
            return came, *door_and_disk(city, city.home.root / "again")

    def whole(self, city: City, database_url: str | None) -> Ran:
        """How the whole night of a city goes in a process of its own."""
        if database_url is None:
            told, waited = self._in_a_process(city, "whole"), Waited()
        else:
            with others_asking(city.engine) as waited:
                told = self._in_a_process(city, "whole", database_url)
        with reading(city.engine) as conn:
            taps = conn.execute(select(func.count()).select_from(tap)).scalar_one()
        return Ran(taps, told["took_s"]["night"], told["peak_mib"], waited.longest_s)

    def plain_python(self, taps: int) -> float:
        """Seconds a tap that the obvious loop takes on a small day; its verdicts must be those of the rules."""
        with self._founded() as city:
            registries = prepare(city, self.plan, taps=taps, purses=False)
            with reading(city.engine) as conn:
                keys = card_keys(city, list(conn.scalars(select(card.c.card_no))))
            known = Known(
                keys,
                {(device.terminal, device.operator): device for device in registries.devices},
                dict.fromkeys(registries.listed, (registries.listed_at, registries.effective_at)),
                parse_tariff(self.plan.tariff_text),
                ISSUER,
                DAY,
            )
            presented = list(bodies(city, [one.id for one in self.plan.operators]))
            began = time.perf_counter()
            counts = decide(presented, known)
            took_s = time.perf_counter() - began
            found = {verdict.value: count for verdict, count in counts.items() if count}
            expected = _verdicts(city)
        if found != expected:
            raise RuntimeError(f"the loop and the rules disagree: {found} and {expected}")
        return took_s / counts.total()

    @contextmanager
    def _founded(self, database_url: str | None = None) -> Iterator[City]:
        with (
            tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder,
            open_city(
                Home(Path(folder)),
                database_url=database_url,
                hsm_addresses=[(self.hsm.host, self.hsm.port)],
            ) as city,
        ):
            yield replace(city, transport_key_file=self.hsm.transport_key_file)

    def _in_a_process(self, city: City, what: str, *database_url: str) -> dict[str, Any]:
        words = [str(city.home.root), what, f"{self.hsm.port}", *database_url]
        run = [sys.executable, "-m", "city.benchmarks.one_night", *words]
        done = subprocess.run(run, check=True, capture_output=True, text=True)
        told: dict[str, Any] = json.loads(done.stdout)
        return told


def bench_night(size: int | None) -> list[Figure]:
    """From files to prices at `size` taps (1 million; 10 and 20 million are a city's), 2% of them wrong in every way.

    The whole night is cleared on a smaller day, on SQLite and on a private PostgreSQL, fsync on; where there are more
    taps than that has, PostgreSQL clears all of them, too.
    """
    taps = size or DEFAULT_TAPS
    plan = read_plan("demo")
    with (
        tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder,
        running_hsm(Path(folder)) as hsm,
    ):
        cities = Cities(plan, hsm)
        prices, few = _prices(cities, taps), min(taps, WHOLE_TAPS)
        whole, small = _whole_nights(cities, few)
        return [*prices, *whole, *(_whole_day(cities, taps, small) if few < taps else ())]


def _prices(cities: Cities, taps: int) -> list[Figure]:
    """From files to prices: speed, whether it grows with the day, and memory."""
    plain_s = cities.plain_python(min(taps, PLAIN_TAPS))
    smaller = max(min(taps, LEAST_TAPS), taps // GROWTH)
    ran = {count: cities.from_files_to_prices(count) for count in sorted({smaller, taps})}
    small, large = ran[smaller], ran[taps]
    came, door_s, disk_s = cities.at_the_door(smaller)
    return [
        at_least(
            f"taken in through the door, {came:,} taps in files, durable", came / door_s, "taps/s",
            against="writing the same files, durable", peer=came / disk_s, ratio=0.25,
        ),
        at_least(
            f"collect to price, {taps:,} taps, DuckDB", large.taps / large.took_s, "taps/s",
            against="the bound that was set", peer=WANTED_PER_S, ratio=1,
        ),
        at_least(
            f"collect to price, {taps:,} taps, DuckDB", large.taps / large.took_s, "taps/s",
            against="plain Python, tap by tap", peer=1 / plain_s, ratio=30,
        ),
        _growth(f"collect to price, a tap of {taps:,}", small, large),
        _memory(f"collect to price, peak memory at {taps:,} taps", large),
    ]  # fmt: skip


def _whole_nights(cities: Cities, few: int) -> tuple[list[Figure], Ran]:
    """Whole nights of a smaller day on both kinds of database, speed and memory; and how PostgreSQL's went."""
    figures, orm_taps = [], min(few, ORM_TAPS)
    for database, url in (("SQLite", nullcontext(None)), ("PostgreSQL", private_postgres())):
        with url as database_url, cities.prepared(few, database_url) as city:
            ran = cities.whole(city, database_url)
            bare_s = _bare_load(city.engine)
            by_row = entries_a_second(city.engine, orm_taps) if database_url else None
        figures += [
            at_least(
                f"whole night, {few:,} taps, {database}", ran.taps / ran.took_s, "taps/s",
                against="bare load of its tap and ledger rows", peer=ran.taps / bare_s, ratio=0.5,
            ),
            _memory(f"whole night, {few:,} taps, {database}, peak memory", ran),
        ]  # fmt: skip
        if by_row is not None:
            figures += [
                _waited(f"whole night, {few:,} taps, {database}", ran),
                at_least(
                    f"whole night, {few:,} taps, {database}", ran.taps / ran.took_s, "taps/s",
                    against=f"ORM, row by row, a line a tap, {orm_taps:,} of them", peer=by_row, ratio=1_000,
                ),
            ]  # fmt: skip
    return figures, ran


def _whole_day(cities: Cities, taps: int, small: Ran) -> list[Figure]:
    """The whole night of all taps on PostgreSQL: whether it grows with the day, and memory."""
    with private_postgres() as url, cities.prepared(taps, url) as city:
        large = cities.whole(city, url)
    return [
        _growth(f"whole night, a tap of {taps:,}, PostgreSQL", small, large),
        _memory(f"whole night, {taps:,} taps, PostgreSQL, peak memory", large),
        _waited(f"whole night, {taps:,} taps, PostgreSQL", large),
    ]


def _growth(figure: str, small: Ran, large: Ran) -> Figure:
    """What a tap of the larger day takes, beside one of the smaller."""
    tap_us, peer_us = (1e6 * ran.took_s / ran.taps for ran in (large, small))
    return at_most(figure, tap_us, "µs", against=f"a tap of {small.taps:,}", peer=peer_us, ratio=1.2)


def _memory(figure: str, ran: Ran) -> Figure:
    return at_most(figure, ran.peak_mib, "MiB", against="the bound that was set", peer=BOUND_MIB, ratio=1)


def _waited(figure: str, ran: Ran) -> Figure:
    """What a payment waits at the most, which is turned away after a while."""
    return at_most(
        f"{figure}, longest that a payment waits", ran.others_waited_s, "s",
        against="after which it is turned away", peer=PATIENCE_S, ratio=1,
    )  # fmt: skip


def _verdicts(city: City) -> dict[str, int]:
    """How many taps of the day get which verdict by the rules."""
    counts = {name: found for name, _, found in rule_steps(city)}
    own = counted(the_night(city).work / PRICED, "verdict")
    usual = counts["collect"]["taps"] - own.total()
    return dict(own + Counter({Verdict.ACCEPTED.value: usual}))


def card_keys(city: City, numbers: list[str]) -> dict[str, CardKeys]:
    """The keys of generated cards, as their chips would hold them."""
    transport_key = bytes.fromhex(city.transport_key_file.read_text())
    references = {number: CardKeyRef.of(ISSUER, number, 1) for number in numbers}
    return {
        number: unwrap_card_keys(city.hsm.card_keys(keys).wrapped, transport_key)
        for number, keys in references.items()
    }


def _bare_load(engine: Engine) -> float:
    """Seconds to put the night's tap and ledger rows, as columns, into empty copies of their tables, with indexes."""
    took_s = 0.0
    for table in (tap, line):
        with reading(engine) as conn:
            names = [column.name for column in table.c]
            rows = conn.execute(select(table), execution_options={"yield_per": A_TABLE}).partitions()
            some = [
                pa.table(dict(zip(names, map(pa.array, zip(*part, strict=True)), strict=True)))
                for part in rows
            ]
        with writing(engine) as conn:
            copy = _empty_copy(conn, table)
        began = time.perf_counter()
        with writing(engine) as conn:
            insert_columns(conn, copy, some)
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

"""How fast the night's rules and TACs go on a Spark cluster of two workers, beside DuckDB on the same two cores."""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from card.hsm.access import HsmAccess
from city.benchmarks.figures import Figure, at_least, at_most
from city.benchmarks.one_night import stand_by, the_night
from city.benchmarks.workload import prepare
from city.home import Home
from city.plan import read_plan
from city.spark_cluster import running_spark
from city.world import City, open_city
from clearing import steps
from clearing.context import Night
from clearing.engine.duck import IN_PROCESS
from clearing.engine.rules import RuleEngine
from clearing.engine.spark import SparkEngine, spark_engine
from ledger.db import writing

DEFAULT_TAPS = 100_000
CUTS = (1, 2, 4, None)
"""Into how many partitions the warm nights cut their work; the last as the engine does by itself."""
PATIENCE_S = 900.0
"""How long the HSM may take: figures are wanted, whatever else the machine does."""
WANTED_TAPS_S = 300_000
STEPS = (("verify", steps.verify), ("match", steps.match), ("price", steps.price))

Took = Mapping[str, float]
"""Seconds, by step."""


@dataclass(frozen=True, slots=True)
class Nights:
    """How a session went: its start, its first night, one for each cut, and one with every rule on the cluster."""

    start_s: float
    cold: Took
    warm: Sequence[Took]
    spread: Took


def bench_spark(size: int | None) -> list[Figure]:
    """Decide and price a generated day of `size` taps on both engines, whose files must be the same.

    Whatever the size, what reads all taps runs on the cluster, and what reads the few of the closer look in this
    process, as in a city's night. The session's start and its first night, which is slower while the machines compile
    what they run, are figures of their own; the curve of 1, 2, 4 partitions and so on is of the nights after it.
    """
    with tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder:
        home = Home(Path(folder) / "var")
        with (
            open_city(home, hsm_timeout_s=PATIENCE_S) as city,
            running_spark(Path(folder) / "spark") as cluster,
        ):
            prepare(city, read_plan("demo"), taps=size or DEFAULT_TAPS, purses=False)
            night, taps = _collected(city)
            stand_by(city)
            duck, expected = _timed(city, night, IN_PROCESS)
            ran = _ran(city, night, cluster.master, taps // 4, expected)
    return [*_once(taps, ran, duck), *_curve(taps, ran, duck)]


def _ran(city: City, night: Night, master: str, few: int, expected: list[bytes]) -> Nights:
    """A session's nights. Raises RuntimeError where one has made other files than `expected`."""
    access = HsmAccess(tuple(standing.address for standing in city.hsm.standings()), PATIENCE_S)

    def timed(engine: SparkEngine) -> Took:
        took_s, made = _timed(city, night, engine)
        if made != expected:
            raise RuntimeError(
                f"the files of Spark are not those of DuckDB, cut into {engine.partitions or 'some'}"
            )
        return took_s

    began = time.perf_counter()
    with spark_engine(master, access, python=sys.executable) as opened:
        start_s = time.perf_counter() - began
        spark = replace(opened, spread_rows=min(opened.spread_rows, few))
        cold = timed(spark)
        warm = [timed(replace(spark, partitions=partitions)) for partitions in CUTS]
        return Nights(start_s, cold, warm, timed(replace(spark, spread_rows=0)))


def _once(taps: int, ran: Nights, duck: Took) -> list[Figure]:
    """What a session costs before it is warm."""
    return [
        at_most(
            "a session with a cluster of two workers, from nothing to the first executor", ran.start_s, "s",
            against="the same taps on DuckDB", peer=sum(duck.values()), ratio=100,
        ),
        _against(duck, "verify to price", "the first night of a session", taps, ran.cold, ratio=0.01),
    ]  # fmt: skip


def _curve(taps: int, ran: Nights, duck: Took) -> list[Figure]:
    """The warm nights, cut by cut, and the fastest of them against what was wanted."""
    figures = []
    for cut, took_s in zip(CUTS, ran.warm, strict=True):
        how = f"two workers, {cut} partitions" if cut else "two workers, cut as it likes"
        for name, of in (("verify", ["verify"]), ("match and price", ["match", "price"])):
            part = {step: took_s[step] for step in of}
            figures.append(_against({step: duck[step] for step in of}, name, how, taps, part, ratio=0.1))
    every = "two workers, no rule in this process"
    figures.append(_against(duck, "verify to price", every, taps, ran.spread, ratio=0.1))
    fastest_s = min(sum(took_s.values()) for took_s in ran.warm)
    wanted = at_least(
        f"verify to price, {taps:,} taps, Spark, two workers, the fastest of these", taps / fastest_s, "taps/s",
        against="the bound that was set", peer=WANTED_TAPS_S, ratio=1,
    )  # fmt: skip
    return [*figures, wanted]


def _against(duck: Took, name: str, how: str, taps: int, took: Took, *, ratio: float) -> Figure:
    """A speed of some steps on Spark, beside that of the same steps on DuckDB."""
    return at_least(
        f"{name}, {taps:,} taps, Spark, {how}", taps / sum(took.values()), "taps/s",
        against="DuckDB in this process", peer=taps / sum(duck.values()), ratio=ratio,
    )  # fmt: skip


def _collected(city: City) -> tuple[Night, int]:
    """The night of the day, its batches collected, and how many taps they have."""
    night = the_night(city)
    collected = steps.collect(city.engine, night)
    with writing(city.engine) as conn:
        collected.write(conn)
    return night, collected.counts["taps"]


def _timed(city: City, night: Night, rules: RuleEngine) -> tuple[Took, list[bytes]]:
    """Seconds of every step on an engine, and the files that the steps made."""
    took_s, made = {}, []
    for name, step in STEPS:
        began = time.perf_counter()
        result = step(city.engine, replace(night, rules=rules))
        took_s[name] = time.perf_counter() - began
        made += [path.read_bytes() for path in result.files]
    return took_s, made

"""How fast the night's rules and TACs go on a Spark cluster of two workers, beside DuckDB on the same two cores."""

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from card.hsm.access import HsmAccess
from city.benchmarks.figures import Figure, at_least, at_most
from city.benchmarks.workload import DAY, prepare
from city.home import CITY_ZONE, Home
from city.plan import read_plan
from city.spark_cluster import running_spark
from city.world import City, night_of, open_city
from clearing import steps
from clearing.context import Night
from clearing.engine.duck import IN_PROCESS
from clearing.engine.rules import RuleEngine
from clearing.engine.spark import SparkEngine, spark_engine
from ledger.db import writing

DEFAULT_TAPS = 100_000
PARTITIONS = (1, 2, 4)
PATIENCE_S = 900.0
"""How long the HSM may take: figures are wanted, whatever else the machine does."""
WANTED_TAPS_S = 300_000
STEPS = (("verify", steps.verify), ("match", steps.match), ("price", steps.price))


def bench_spark(size: int | None) -> list[Figure]:
    """Decide and price a generated day of `size` taps on both engines, whose files must be the same.

    The session's start and its first night, which is slower while the machines compile what they run, are figures of
    their own; the curve of 1, 2 and 4 partitions is of the nights after it.
    """
    taps = size or DEFAULT_TAPS
    with tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder:
        home = Home(Path(folder) / "var")
        with (
            open_city(home, hsm_timeout_s=PATIENCE_S) as city,
            running_spark(Path(folder) / "spark") as cluster,
        ):
            prepare(city, read_plan("demo"), taps=taps)
            night = _collected(city)
            steps.verify(
                city.engine, night
            )  # the HSM compiles what it does in bulk the first time it is asked
            duck_s, expected = _timed(city, night, IN_PROCESS)
            access = HsmAccess(tuple(standing.address for standing in city.hsm.standings()), PATIENCE_S)
            began = time.perf_counter()
            with spark_engine(cluster.master, access, python=sys.executable) as spark:
                start_s = time.perf_counter() - began
                cold_s, _ = _timed(city, night, spark)
                warm = [_partitioned(city, night, spark, partitions, expected) for partitions in PARTITIONS]
    against = "DuckDB in this process"
    figures = [
        at_most(
            "a session with a cluster of two workers, from nothing to the first executor", start_s, "s",
            against="the same taps on DuckDB", peer=sum(duck_s.values()), ratio=100,
        ),
        at_least(
            f"verify to price, {taps:,} taps, Spark, the first night of a session",
            taps / sum(cold_s.values()), "taps/s",
            against=against, peer=taps / sum(duck_s.values()), ratio=0.01,
        ),
    ]  # fmt: skip
    for partitions, spark_s in zip(PARTITIONS, warm, strict=True):
        for name, of in (("verify", ("verify",)), ("match and price", ("match", "price"))):
            figures.append(
                at_least(
                    f"{name}, {taps:,} taps, Spark, two workers, {partitions} partitions",
                    taps / sum(spark_s[step] for step in of), "taps/s",
                    against=against, peer=taps / sum(duck_s[step] for step in of), ratio=0.1,
                )
            )  # fmt: skip
    fastest_s = min(sum(spark_s.values()) for spark_s in warm)
    figures.append(
        at_least(
            f"verify to price, {taps:,} taps, Spark, two workers, the fastest of these", taps / fastest_s, "taps/s",
            against="the bound that was set", peer=WANTED_TAPS_S, ratio=1,
        )
    )  # fmt: skip
    return figures


def _collected(city: City) -> Night:
    """The night of the day, its batches collected."""
    at = datetime(DAY.year, DAY.month, DAY.day, 23, 30, tzinfo=CITY_ZONE)
    night = night_of(city, DAY, at=at, progress=lambda *_: None)
    collected = steps.collect(city.engine, night)
    with writing(city.engine) as conn:
        collected.write(conn)
    return night


def _timed(city: City, night: Night, rules: RuleEngine) -> tuple[Mapping[str, float], list[bytes]]:
    """Seconds of every step on an engine, and the files that the steps made."""
    took_s, made = {}, []
    for name, step in STEPS:
        began = time.perf_counter()
        result = step(city.engine, replace(night, rules=rules))
        took_s[name] = time.perf_counter() - began
        made += [path.read_bytes() for path in result.files]
    return took_s, made


def _partitioned(
    city: City, night: Night, spark: SparkEngine, partitions: int, expected: list[bytes]
) -> Mapping[str, float]:
    took_s, made = _timed(city, night, replace(spark, partitions=partitions))
    if made != expected:
        raise RuntimeError(f"the files of Spark with {partitions} partitions are not those of DuckDB")
    return took_s

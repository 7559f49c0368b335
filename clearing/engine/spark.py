"""The night's rules on Spark, on one machine or on a cluster: the same text, and files of the same bytes.

A job of Spark costs about half a second, over however few rows. So what reads all taps runs on the cluster, and what
reads the few that are not simply accepted runs in this process, as long as they are few.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from card.hsm.access import HsmAccess
from clearing.engine.duck import IN_PROCESS, DuckEngine, rows_in_files
from clearing.engine.rules import Awaited, EngineFailed, Inputs, names_read, passes_by, rule_text, view_name
from clearing.engine.spark_session import Session, spark_session
from clearing.engine.tac_batches import ANSWERED, asking
from clearing.workfiles import write_table

TYPES = ("bigint", "int", "boolean", "string", "binary")
"""What a rule's columns may be: the types that both engines write alike."""

PARTITIONS_A_CORE = 4
"""So that a partition is small in memory, and a slow machine gets fewer of them; Spark joins those that stay tiny."""

SPREAD_ROWS = 4_000_000
"""Rows in files from which on rules run on the cluster: DuckDB does a million of them and more a second, in bounded
memory, so that fewer are done here before all jobs of a list of rules would have begun there.
"""

Frame = Any
"""A DataFrame of Spark."""


@dataclass(frozen=True, slots=True)
class SparkEngine:
    """A session with a Spark master; `hsm` is how the machines of the cluster reach the HSMs.

    Work is cut into `partitions`, or into as many as suit the cores and the taps where they are not given. Rules run
    `near` where the files that they read have fewer than `spread_rows` together; their tables are in memory anyway.
    Every rule's result but of those that pass by another is kept as Parquet in a folder beside the file that is to be
    made, and is gone when that is there. So all machines have to see that folder under the same path, a rule is
    computed once, and a worker that dies takes nothing with it that cannot be read or computed again.
    """

    session: Session
    master: str
    hsm: HsmAccess
    near: DuckEngine = IN_PROCESS
    spread_rows: int = SPREAD_ROWS
    partitions: int | None = None

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules in order over named tables (see RuleEngine). Raises EngineFailed."""
        read = set[str]().union(*map(names_read, rules))
        given = {name: table for name, table in inputs.items() if name in read}
        if rows_in_files(given) < self.spread_rows:
            return self.near.run(rules, given, result, to)
        with self._scratch(to) as scratch:
            self._cut()
            for name, table in given.items():
                self._read(_in_a_file(table, scratch / f"in-{name}.parquet")).createOrReplaceTempView(name)
            for rule in rules:
                name = view_name(rule)
                made = self.session.sql(rule_text(rule))
                _check_types(made)
                if not passes_by(rule, rules):
                    made = self._read(_keep(made, scratch / name), made.schema)
                made.createOrReplaceTempView(name)
            return self.near.in_order(_parts(scratch / result), to)

    def verify(self, pieces: pa.Table, to: Path) -> Path:
        """Have every machine ask the HSMs about its part of the pieces (see TacEngine). Raises EngineFailed."""
        with self._scratch(to) as scratch:
            asked = self._read(write_table(scratch / "pieces.parquet", pieces))
            # A machine that has no piece would open a client of the HSM for nothing.
            asked = asked.repartition(max(1, min(self._cut(), pieces.num_rows)))
            answered = asked.mapInArrow(asking(self.hsm), ANSWERED)
            return self.near.in_order(_parts(_keep(answered, scratch / "tac")), to)

    def _cut(self) -> int:
        """Tell the session into how many partitions to cut what it sorts, joins and sums: so many."""
        chosen, conf = self.partitions, self.session.conf
        partitions = chosen or PARTITIONS_A_CORE * self.session.sparkContext.defaultParallelism
        conf.set("spark.sql.shuffle.partitions", partitions)
        conf.set("spark.sql.adaptive.coalescePartitions.enabled", chosen is None)
        return int(partitions)

    def _read(self, path: Path, schema: Any = None) -> Frame:
        """The rows of a Parquet file, or of a folder of them whose columns are known: no job is spent on looking."""
        from pyspark.sql.pandas.types import from_arrow_schema

        columns = from_arrow_schema(pq.read_schema(path)) if schema is None else schema
        return self.session.read.schema(columns).parquet(_plain(path))

    @contextmanager
    def _scratch(self, to: Path) -> Iterator[Path]:
        """An empty folder beside a file, while that is made; what Spark raises meanwhile becomes EngineFailed."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        folder = to.resolve().with_name(f"{to.name}.spark")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        except (PySparkException, Py4JError) as error:
            raise EngineFailed(
                f"Spark at {self.master} did not make {to.name}: {_cause(str(error))}",
                "mend that and run the night again, or run it with --engine duckdb",
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def spark_engine(
    master: str,
    hsm: HsmAccess,
    *,
    python: str,
    java_home: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[SparkEngine]:
    """An engine on a Spark master, as long as the block lasts (see spark_session). Raises EngineFailed."""
    with spark_session(master, python=python, java_home=java_home, settings=settings) as session:
        yield SparkEngine(session, master, hsm)


def _in_a_file(table: pa.Table | Path | Awaited, path: Path) -> Path:
    if isinstance(table, Path):
        return table
    return write_table(path, table if isinstance(table, pa.Table) else table())


def _keep(frame: Frame, folder: Path) -> Path:
    """Write a frame as Parquet: a file a partition, in the order of their names."""
    frame.write.parquet(f"file://{folder}")
    return folder


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _check_types(frame: Frame) -> None:
    for column in frame.schema.fields:
        if column.dataType.simpleString() not in TYPES:
            raise EngineFailed(
                f"column {column.name} of a rule's result is {column.dataType.simpleString()}",
                f"cast it in the rule to one of {', '.join(TYPES)}",
            )


def _plain(path: Path) -> str:
    """A path as Spark reads it: on the file system that all machines share, and no pattern."""
    return "file://" + re.sub(r"([\\{}\[\]*?])", r"\\\1", str(path.resolve()))


def _cause(text: str) -> str:
    """The line of Spark's long stories that says what happened."""
    python = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception): .+$", text, re.MULTILINE)
    lines = [line.strip() for line in (python or text.splitlines()) if line.strip()]
    return lines[-1 if python else 0] if lines else "no reason given"

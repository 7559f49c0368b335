"""The night's rules on Spark, on one machine or on a cluster: the same text, and files of the same bytes."""

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
from clearing.engine.rules import Awaited, EngineFailed, Inputs, rule_text, view_name
from clearing.engine.spark_session import ARROW_ROWS, Session, spark_session
from clearing.engine.tac_batches import ANSWERED, asking
from clearing.verification import TAC_SCHEMA
from clearing.workfiles import write_batches, write_rows, write_table

TYPES: Mapping[str, pa.DataType] = {
    "bigint": pa.int64(),
    "int": pa.int32(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
}
"""What a result's columns may be: the types that both engines write alike."""

PARTITIONS_A_CORE = 4
"""So that a partition is small in memory, and a slow machine gets fewer of them; Spark joins those that stay tiny."""

Frame = Any
"""A DataFrame of Spark."""


@dataclass(frozen=True, slots=True)
class SparkEngine:
    """A session with a Spark master; `hsm` is how the machines of the cluster reach the HSMs.

    Work is cut into `partitions`, or into as many as suit the cores and the taps where they are not given.
    Every rule's result is kept as Parquet in a folder beside the file that is to be made, and is gone when that is
    there. So all machines have to see that folder under the same path, a rule is computed once, and a worker that
    dies takes nothing with it that cannot be read or computed again.
    """

    session: Session
    master: str
    hsm: HsmAccess
    partitions: int | None = None

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules in order over named tables (see RuleEngine). Raises EngineFailed."""
        with self._scratch(to) as scratch:
            self._cut()
            for name, table in inputs.items():
                self._read(_in_a_file(table, scratch / f"in-{name}.parquet")).createOrReplaceTempView(name)
            for rule in rules:
                name = view_name(rule)
                made = self.session.sql(rule_text(rule))
                self._read(_keep(made, scratch / name), made.schema).createOrReplaceTempView(name)
            return self._gather(scratch / result, to)

    def verify(self, pieces: pa.Table, to: Path) -> Path:
        """Have every machine ask the HSMs about its part of the pieces (see TacEngine). Raises EngineFailed."""
        with self._scratch(to) as scratch:
            asked = self._read(write_table(scratch / "pieces.parquet", pieces)).repartition(self._cut())
            answered = asked.mapInArrow(asking(self.hsm), ANSWERED)
            parts = self._in_order(_keep(answered, scratch / "tac"))[1]
            return write_rows(to, TAC_SCHEMA, _batches(parts, TAC_SCHEMA), packed=())

    def _cut(self) -> int:
        """Tell the session into how many partitions to cut what it sorts, joins and sums: so many."""
        chosen, conf = self.partitions, self.session.conf
        partitions = chosen or PARTITIONS_A_CORE * self.session.sparkContext.defaultParallelism
        conf.set("spark.sql.shuffle.partitions", partitions)
        conf.set("spark.sql.adaptive.coalescePartitions.enabled", chosen is None)
        return int(partitions)

    def _gather(self, kept: Path, to: Path) -> Path:
        """Put what was kept into one file in order of `no`, holding little of it at a time."""
        ordered, parts = self._in_order(kept)
        schema = pa.schema([(column.name, _type(column)) for column in ordered.schema.fields])
        return write_batches(to, schema, _batches(parts, schema))

    def _in_order(self, kept: Path) -> tuple[Frame, list[Path]]:
        """What was kept, in order of `no`: as a frame, and as files.

        Sorting looks at everything twice, so it is sorted out of its files: else the HSM would be asked twice.
        """
        ordered = self._read(kept).orderBy("no")
        folder = _keep(ordered, kept.with_name(f"{kept.name}-in-order"))
        return ordered, sorted(folder.glob("part-*.parquet"))

    def _read(self, path: Path, schema: Any = None) -> Frame:
        """The rows of Parquet files; where their columns are known, no job is spent on looking."""
        read = self.session.read if schema is None else self.session.read.schema(schema)
        return read.parquet(_plain(path))

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


def _batches(parts: Sequence[Path], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(ARROW_ROWS):
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _type(column: Any) -> pa.DataType:
    name = column.dataType.simpleString()
    if name not in TYPES:
        raise EngineFailed(
            f"column {column.name} of a rule's result is {name}",
            f"cast it in the rule to one of {', '.join(TYPES)}",
        )
    return TYPES[name]


def _plain(path: Path) -> str:
    """A path as Spark reads it: on the file system that all machines share, and no pattern."""
    return "file://" + re.sub(r"([\\{}\[\]*?])", r"\\\1", str(path.resolve()))


def _cause(text: str) -> str:
    """The line of Spark's long stories that says what happened."""
    python = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception): .+$", text, re.MULTILINE)
    lines = [line.strip() for line in (python or text.splitlines()) if line.strip()]
    return lines[-1 if python else 0] if lines else "no reason given"

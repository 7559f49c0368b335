"""Which engine a name means: DuckDB in this process, or Spark on the master that is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from card.hsm.access import HsmAccess
from clearing.engine.duck import IN_PROCESS, DuckEngine
from clearing.engine.rules import EngineFailed, RuleEngine
from clearing.engine.spark import SPREAD_ROWS, spark_engine
from clearing.engine.spark_session import is_spark_master

DUCKDB = "duckdb"


def check_name(name: str) -> None:
    """Raise EngineFailed for what is no engine's name."""
    if name != DUCKDB and not is_spark_master(name):
        raise EngineFailed(
            f"no engine is named {name!r}",
            f"give {DUCKDB}, or a Spark master: local[2], local[*], spark://host:port",
        )


@contextmanager
def opened_engine(
    name: str,
    hsm: HsmAccess,
    *,
    python: str,
    java_home: Path | None = None,
    in_process: DuckEngine = IN_PROCESS,
    spread_rows: int = SPREAD_ROWS,
) -> Iterator[RuleEngine]:
    """The engine of a name, until the block ends; for Spark see SparkEngine. Raises EngineFailed."""
    check_name(name)
    if name == DUCKDB:
        yield in_process
        return
    with spark_engine(name, hsm, python=python, java_home=java_home) as engine:
        yield replace(engine, near=in_process, spread_rows=spread_rows)

"""A session with Spark, in this process or on a cluster: what it needs, how it is set, and when it is given up."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from clearing.engine.rules import EngineFailed

LOCAL = re.compile(r"local\[(?:[1-9][0-9]*|\*)\]")
STANDALONE = re.compile(r"spark://(?:[^:/,@\s]+:[0-9]+)(?:,[^:/,@\s]+:[0-9]+)*")
LOOPBACK = "127.0.0.1"
JAVA_VERSIONS = range(17, 22)
"""Releases of Java on which the Spark of the extra runs."""
CONNECT_TIMEOUT_S = 5.0
WORKERS_TIMEOUT_S = 60.0
"""How long a cluster may take to give the first executor; Spark itself would wait for ever."""
ARROW_ROWS = 50_000
"""Rows of a batch given to Python: those of one bulk request to the HSM."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "spark.sql.session.timeZone": "UTC",
        # An overflow or a bad cast is an error, as on DuckDB, and never a silent NULL.
        "spark.sql.ansi.enabled": "true",
        "spark.sql.adaptive.enabled": "true",
        # What is cut by a card's number already is joined by it as it lies, in a hash table where that fits.
        "spark.sql.requireAllClusterKeysForCoPartition": "false",
        "spark.sql.join.preferSortMergeJoin": "false",
        # By its file's size, which is small for the many rows of a registry: each core has a copy in its memory.
        "spark.sql.autoBroadcastJoinThreshold": "4MB",
        # The rules make more classes than Spark would keep, and would compile them anew in the same session.
        "spark.sql.codegen.cache.maxEntries": "1000",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_ROWS),
        # Tables are files that the night names: no metastore, and nothing in the folder of whoever runs it.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
)

Session = Any
"""A SparkSession; the extra that knows the type may be absent."""


def is_spark_master(name: str) -> bool:
    """Whether a name is a Spark master that we know how to use."""
    return bool(LOCAL.fullmatch(name) or STANDALONE.fullmatch(name))


@contextmanager
def spark_session(
    master: str, *, python: str, java_home: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Session]:
    """Open a session with a master, the only one of this process, until the block ends.

    `python` is the interpreter on every machine; `settings` come after our own. Raises EngineFailed where Spark,
    Java, the master or its workers are not to be had.
    """
    if find_spec("pyspark") is None:
        raise EngineFailed(
            f"engine {master!r} needs pyspark, which is not installed",
            "run `make spark`, or pip install 'onecard[spark]'; the engine duckdb needs neither",
        )
    _check_java(java_home)
    driver = _own_address(master)
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        raise EngineFailed("this process has a session with Spark already", "end that one first")
    with TemporaryDirectory(prefix="onecard-spark-") as folder:
        chosen = {
            **SETTINGS,
            "spark.driver.host": driver,
            "spark.driver.bindAddress": driver,
            "spark.sql.warehouse.dir": folder,
            "spark.local.dir": folder,
            **(settings or {}),
        }
        session = _start(master, chosen, Path(folder) / "spark.log")
        session.sparkContext.pythonExec = python
        try:
            if not master.startswith("local"):
                _await_workers(session, master)
            yield session
        finally:
            session.stop()


def _start(master: str, settings: Mapping[str, str], log_file: Path) -> Session:
    """Start Spark's own process, if this one has none yet, and a session in it; what it prints goes to the log."""
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    conf = SparkConf(loadDefaults=False).setMaster(master).setAppName("onecard night")
    conf.setAll(list(settings.items()))
    try:
        with log_file.open("ab") as log:
            gateway = SparkContext._gateway or launch_gateway(conf, {"stdout": log, "stderr": log})
        return SparkSession(SparkContext(gateway=gateway, conf=conf))
    except (PySparkException, Py4JError) as error:
        said = [
            line for line in (str(error) + "\n" + log_file.read_text("utf-8", "replace")).splitlines() if line
        ]
        raise EngineFailed(
            f"Spark did not start with the master {master}: {said[0].strip()} {said[-1].strip()}",
            "see that the address is a Spark master's, of the same version of Spark",
        ) from error


def _check_java(java_home: Path | None) -> None:
    """Raise EngineFailed where there is no Java that Spark can use."""
    found = shutil.which("java") if java_home is None else str(java_home / "bin" / "java")
    remedy = "install Java 17: apt-get install openjdk-17-jre-headless"
    try:
        said = subprocess.run([found or "java", "-version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise EngineFailed(f"Spark needs Java, and {found or 'java'} cannot be run", remedy) from error
    version = re.search(r'version "(\d+)', said.stderr)
    if version is None or int(version[1]) not in JAVA_VERSIONS:
        first = (said.stderr.strip().splitlines() or ["nothing"])[0]
        raise EngineFailed(
            f"Spark needs Java {JAVA_VERSIONS.start} to {JAVA_VERSIONS.stop - 1}, and {found} says {first}",
            f"{remedy}; where there are several, JAVA_HOME says which",
        )


def _own_address(master: str) -> str:
    """The address under which the master's machines reach this one. Raises EngineFailed where no master answers."""
    if master.startswith("local"):
        return LOOPBACK
    troubles = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S) as connection:
                return str(connection.getsockname()[0])
        except (OSError, OverflowError) as error:
            troubles.append(f"{address}: {error}")
    raise EngineFailed(
        f"no Spark master can be reached: {', '.join(troubles)}",
        "start it, give the address that it prints, or run the night with --engine duckdb",
    )


def _await_workers(session: Session, master: str) -> None:
    """Wait until the cluster has given the first executor. Raises EngineFailed where that takes too long."""
    context = session.sparkContext
    deadline = time.monotonic() + WORKERS_TIMEOUT_S
    while time.monotonic() < deadline:
        if context._jsc is None or context._jsc.sc().isStopped():
            break
        # The driver itself is one of them.
        if len(context._jsc.sc().statusTracker().getExecutorInfos()) > 1:
            return
        time.sleep(0.1)
    raise EngineFailed(
        f"the Spark master {master} gave no executor within {WORKERS_TIMEOUT_S:g} s",
        "see on its page that workers are alive and have cores and 1 GB of memory to give",
    )

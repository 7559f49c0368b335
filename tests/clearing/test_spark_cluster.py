"""A night on a real cluster: a master and two workers as processes, one of them killed in the middle."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from city.benchmarks.workload import DAY, prepare
from city.home import Home
from city.plan import read_plan
from city.spark_cluster import SparkCluster, running_spark
from city.world import open_city

TAPS = 300
PATIENCE_S = 600.0
MADE = ("tac.parquet", "verdicts.parquet", "priced.parquet")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with running_spark(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose day is over and whose night has not been run."""
    home = tmp_path_factory.mktemp("prepared") / "var"
    with open_city(Home(home)) as city:
        prepare(city, read_plan("demo"), taps=TAPS)
    return home


def night_on(engine: str, home: Path, folder: Path) -> subprocess.Popen[str]:
    """Begin `onecard night` in a home, from a folder of its own."""
    folder.mkdir()
    return subprocess.Popen(
        [Path(sys.executable).with_name("onecard"), "night", f"{DAY}", "--at", f"{DAY}T23:30:00", "--engine", engine],
        env={**os.environ, "ONECARD_HOME": str(home), "COLUMNS": "160"}, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(said: str) -> tuple[list[list[str]], str]:
    """What a night says of its steps but for how long they took, and what it says after them."""
    table, _, after = said.partition("\n└")
    rows = [[cell.strip() for cell in line.split("│")] for line in table.splitlines() if "│" in line]
    return [[*row[:4], row[5]] for row in rows], after.partition("\n")[2]


def await_sight(wanted: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    """Wait until a running night has written a file of this pattern."""
    deadline = time.monotonic() + PATIENCE_S
    while not any(wanted.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"there was no {pattern} within {PATIENCE_S:g} s"
        time.sleep(0.01)


def test_a_night_on_a_cluster_that_loses_a_worker_is_the_night_of_one_process(
    prepared: Path, cluster: SparkCluster, tmp_path: Path
) -> None:
    one, many = (Path(shutil.copytree(prepared, tmp_path / name)) for name in ("one", "many"))
    plain = night_on("duckdb", one, tmp_path / "from-one")
    expected, errors = plain.communicate(timeout=PATIENCE_S)
    assert plain.returncode == 0, errors
    spread = night_on(cluster.master, many, tmp_path / "from-many")
    work = Home(many).night(DAY) / "work"
    await_sight(work, "verdicts.parquet.spark/copies/part-*", spread)
    cluster.kill_worker(1)
    assert not (work / "verdicts.parquet").exists(), "the worker was not killed in the middle"
    said, errors = spread.communicate(timeout=PATIENCE_S)
    assert spread.returncode == 0, errors
    assert told(said) == told(expected) and "Sealed: root" in said
    for name in MADE:
        assert (work / name).read_bytes() == (Home(one).night(DAY) / "work" / name).read_bytes(), name
    assert errors == "" and list((tmp_path / "from-many").iterdir()) == []


def test_a_command_with_an_engine_that_is_not_there_changes_nothing(prepared: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(prepared, tmp_path / "var"))
    refused = night_on("spark://127.0.0.1:1", home, tmp_path / "from")
    said, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 1 and said == ""
    assert "no Spark master can be reached: 127.0.0.1:1" in errors and "Traceback" not in errors
    assert not (Home(home).night(DAY) / "work").exists()

"""A night on a real cluster: a master and two workers as processes, one of them killed at a random instant.

A seed says which and when. `make soak SPARK_SEEDS=20 SPARK_FIRST=2` plays more of them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from city.benchmarks.workload import DAY, prepare
from city.home import Home
from city.plan import read_plan
from city.spark_cluster import SparkCluster, running_spark
from city.world import open_city

TAPS = 300
PATIENCE_S = 600.0
FIRST, NIGHTS = int(os.environ.get("SPARK_FIRST", "1")), int(os.environ.get("SPARK_SEEDS", "1"))
LAST_TASK = 85
"""One of the last that both workers together begin in such a night."""
LULL_S = 0.3
"""A task takes about so long."""
MADE = ("tac.parquet", "bounds.parquet", "verdicts.parquet", "priced.parquet")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SparkCluster]:
    """Two workers, of whom one will not be there in the end."""
    with running_spark(tmp_path / "spark") as running:
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
        env={**os.environ, "ONECARD_HOME": str(home), "ONECARD_NIGHT_SPREAD_ROWS": "0"}, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(said: str) -> tuple[list[list[str]], str]:
    """What a night says of its steps but for how long they took, and what it says after them."""
    table, _, after = said.partition("\n└")
    rows = [[cell.strip() for cell in line.split("│")] for line in table.splitlines() if "│" in line]
    return [[*row[:4], row[5]] for row in rows], after.partition("\n")[2]


@pytest.fixture(scope="module")
def in_one_process(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home after the night that one process has run, and what that said."""
    folder = tmp_path_factory.mktemp("one")
    home = Path(shutil.copytree(prepared, folder / "var"))
    plain = night_on("duckdb", home, folder / "from")
    said, errors = plain.communicate(timeout=PATIENCE_S)
    assert plain.returncode == 0, errors
    return home, said


def await_task(cluster_home: Path, number: int, night: subprocess.Popen[str]) -> None:
    """Wait until the workers have begun so many tasks, as they log them."""
    deadline = time.monotonic() + PATIENCE_S
    logs = "worker-*/app-*/*/stderr"
    while (
        sum(log.read_text(errors="replace").count("Running task") for log in cluster_home.glob(logs)) < number
    ):
        assert night.poll() is None, night.communicate()
        assert time.monotonic() < deadline, f"there were no {number} tasks within {PATIENCE_S:g} s"
        time.sleep(0.02)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + NIGHTS))
def test_a_night_on_a_cluster_that_loses_a_worker_is_the_night_of_one_process(
    seed: int, prepared: Path, in_one_process: tuple[Path, str], cluster: SparkCluster, tmp_path: Path
) -> None:
    chance = Random(f"spark:{seed}")
    worker, task, lull_s = chance.randrange(2), chance.randint(1, LAST_TASK), chance.uniform(0, LULL_S)
    one, expected = in_one_process
    many = Path(shutil.copytree(prepared, tmp_path / "many"))
    spread = night_on(cluster.master, many, tmp_path / "from-many")
    await_task(tmp_path / "spark", task, spread)
    time.sleep(lull_s)
    assert spread.poll() is None, f"the night was over before worker {worker} was killed"
    cluster.kill_worker(worker)
    said, errors = spread.communicate(timeout=PATIENCE_S)
    assert spread.returncode == 0, f"worker {worker} was killed after task {task}: {errors}"
    assert told(said) == told(expected) and "Sealed: root" in said
    for name in MADE:
        mine, others = (Home(home).night(DAY) / "work" / name for home in (many, one))
        assert mine.read_bytes() == others.read_bytes(), name
    assert errors == "" and list((tmp_path / "from-many").iterdir()) == []


def test_a_command_with_an_engine_that_is_not_there_changes_nothing(prepared: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(prepared, tmp_path / "var"))
    refused = night_on("spark://127.0.0.1:1", home, tmp_path / "from")
    said, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 1 and said == ""
    assert "no Spark master can be reached: 127.0.0.1:1" in errors and "Traceback" not in errors
    assert not (Home(home).night(DAY) / "work").exists()

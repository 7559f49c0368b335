"""The night's rules and TACs on a real Spark of two threads: the same bytes as DuckDB's and this process's."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.hsm.access import HsmAccess
from card.hsm.addresses import Address
from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing import steps
from clearing.columns import with_fares
from clearing.context import StepRefused
from clearing.engine.choice import opened_engine
from clearing.engine.duck import IN_PROCESS
from clearing.engine.rules import FARE, EngineFailed, Inputs
from clearing.engine.spark import SparkEngine, spark_engine
from clearing.facts import tariff_facts
from clearing.workfiles import read_table
from tests.clearing.test_random_nights import dirty_city, world
from tests.support.clearing_day import DAY, SmallCity, shenzhen
from tests.support.depth import UNSHRUNK, examples
from tests.support.two_engines import TwoEngines


@pytest.fixture(scope="module")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


@pytest.fixture(scope="module")
def spark(hsm_process: RunningHsm) -> Iterator[SparkEngine]:
    """The one session that all tests here share; every rule goes there, over however few rows."""
    access = HsmAccess((Address(hsm_process.host, hsm_process.port),))
    with spark_engine("local[2]", access, python=sys.executable) as engine:
        yield replace(engine, spread_rows=0)


def present(city: SmallCity, seed: int, nights: int) -> None:
    """Put the rides of a random world into the inbox, for the nights up to one."""
    for night in range(nights):
        batches: dict[str, list[bytes]] = {}
        for on, operator, record in world(seed):
            if min(on, nights - 1) == night:
                batches.setdefault(operator, []).append(record)
        for operator, records in batches.items():
            city.present(operator, night + 1, records)


def one_night(template: Path, hsm: Hsm, home: Path, seed: int) -> SmallCity:
    """A city whose taps of a random world are collected."""
    city = dirty_city(template, hsm, home, 1_000)
    present(city, seed, 1)
    city.step("collect")
    return city


def judged_and_priced(city: SmallCity) -> list[bytes]:
    """The files that these two steps make."""
    return [path.read_bytes() for name in ("match", "price") for path in city.step(name).files]


@dataclass(frozen=True, slots=True)
class Watched:
    """An engine, and in `jobs` how many jobs of Spark each file took."""

    engine: SparkEngine
    jobs: dict[str, int]

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules (see RuleEngine)."""
        context, group = self.engine.session.sparkContext, str(to)
        context.setJobGroup(group, to.name)
        path = self.engine.run(rules, inputs, result, to)
        self.jobs[to.name] = len(context.statusTracker().getJobIdsForGroup(group))
        return path


@examples(1, phases=UNSHRUNK)
@given(seed=st.integers(0, 1 << 32))
def test_dirty_nights_have_the_same_bytes_on_both_engines(
    sqlite_template: Path, hsm: Hsm, spark: SparkEngine, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        city = dirty_city(sqlite_template, hsm, Path(folder) / "a [b] {c}", 1_000)
        both = TwoEngines(spark, {})
        city.rules = both
        present(city, seed, 2)
        for night in range(2):
            city.clear(DAY + timedelta(days=night))
        city.engine.dispose()
        made = ("look", "kinds", "bounds", "own", "twins", "verdicts", "paid")
        assert both.compared == {f"{name}.parquet": 2 for name in made}


def test_tacs_asked_about_by_machines_are_those_of_this_process(
    sqlite_template: Path, tmp_path: Path, hsm: Hsm, spark: SparkEngine
) -> None:
    city = one_night(sqlite_template, hsm, tmp_path / "city", seed=3)
    ours = steps.verify(city.engine, city.night())
    expected = [file.read_bytes() for file in ours.files]
    theirs = steps.verify(city.engine, replace(city.night(), rules=spark))
    assert theirs.files == ours.files and [file.read_bytes() for file in theirs.files] == expected
    assert theirs.counts == ours.counts and theirs.counts["wrong"] > 0
    city.engine.dispose()


def test_a_cluster_that_cannot_ask_the_hsm_refuses_the_step(
    sqlite_template: Path, tmp_path: Path, hsm: Hsm, spark: SparkEngine
) -> None:
    city = one_night(sqlite_template, hsm, tmp_path / "city", seed=3)
    lost = replace(spark, hsm=HsmAccess((Address("127.0.0.1", 1),), timeout_s=1))
    with pytest.raises(StepRefused, match=r"verify: .*HsmError.*127\.0\.0\.1:1.*run the night again"):
        steps.verify(city.engine, replace(city.night(), rules=lost))
    left = {path.name for path in city.night().work.iterdir()}
    assert not any(".spark" in name for name in left) and "tac.parquet" not in left
    city.engine.dispose()


def test_a_number_too_large_for_its_type_is_told_and_leaves_nothing(
    sqlite_template: Path, tmp_path: Path, hsm: Hsm, spark: SparkEngine
) -> None:
    city = one_night(sqlite_template, hsm, tmp_path / "city", seed=3)
    steps.verify(city.engine, city.night())
    taps = read_table(city.night().work / "taps.parquet").select(["no", "tap_day", "fare_kind"])
    taps = with_fares(taps.filter(taps["fare_kind"].is_valid()))
    sharing = next(number for number, pay_bp in shenzhen().class_pay_bp.items() if pay_bp is not None)
    for name, value in (("list_fare_fen", 1 << 60), ("holder_class", sharing)):
        taps = taps.set_column(
            taps.schema.get_field_index(name), name, pa.array(np.full(taps.num_rows, value))
        )
    with pytest.raises(EngineFailed, match=r"price\.parquet: .*overflow"):
        spark.run(FARE, {"tap": taps} | tariff_facts([shenzhen()]), "fare", tmp_path / "price.parquet")
    assert list(tmp_path.glob("price.parquet*")) == []
    city.engine.dispose()


@pytest.mark.parametrize(
    ("more", "spread"),
    [(0, {"look", "kinds", "own", "verdicts"}), (1, set())],
    ids=["as many as the taps", "more than any file has"],
)
def test_rules_over_fewer_rows_than_the_bound_run_in_this_process_and_make_the_same_bytes(
    sqlite_template: Path, tmp_path: Path, hsm: Hsm, spark: SparkEngine, more: int, spread: set[str]
) -> None:
    city = one_night(sqlite_template, hsm, tmp_path / "city", seed=3)
    steps.verify(city.engine, city.night())
    expected = judged_and_priced(city)
    taps = read_table(city.night().work / "taps.parquet").num_rows
    watched = Watched(replace(spark, spread_rows=taps + more * (1 << 30)), {})
    city.rules = watched
    assert judged_and_priced(city) == expected
    assert {name.partition(".")[0] for name, jobs in watched.jobs.items() if jobs} == spread
    city.engine.dispose()


def test_a_second_session_is_refused_while_the_first_lasts(spark: SparkEngine) -> None:
    with (
        pytest.raises(EngineFailed, match="has a session with Spark already"),
        opened_engine("local[2]", spark.hsm, python=sys.executable),
    ):
        raise AssertionError("a second session was opened")


def test_duckdb_is_the_engine_of_its_name() -> None:
    with opened_engine("duckdb", HsmAccess(()), python=sys.executable) as engine:
        assert engine is IN_PROCESS


@pytest.mark.parametrize(
    "name", ["", "duck", "local", "local[0]", "spark://", "spark://host", "spark://a:b", "yarn"]
)
def test_what_names_no_engine_is_refused_with_those_that_do(name: str) -> None:
    with (
        pytest.raises(EngineFailed, match=r"no engine is named .*give duckdb, or a Spark master: local\[2\]"),
        opened_engine(name, HsmAccess(()), python=sys.executable),
    ):
        raise AssertionError("an engine was opened")


def test_without_pyspark_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with (
        pytest.raises(EngineFailed, match=r"pyspark, which is not installed; .*onecard\[spark\]"),
        spark_engine("local[2]", HsmAccess(()), python=sys.executable),
    ):
        raise AssertionError("a session was opened")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "cannot be run"),
        ("echo 'openjdk version \"11.0.2\"' >&2", "says openjdk"),
        ("exit 3", "says nothing"),
    ],
)
def test_without_a_java_that_will_do_the_package_is_named(
    tmp_path: Path, script: str | None, said: str
) -> None:
    if script is not None:
        program = tmp_path / "bin" / "java"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    with (
        pytest.raises(EngineFailed, match=rf"{said}.*apt-get install openjdk-17-jre-headless"),
        spark_engine("local[2]", HsmAccess(()), python=sys.executable, java_home=tmp_path),
    ):
        raise AssertionError("a session was opened")


def test_a_master_that_is_not_there_is_told_at_once() -> None:
    with (
        pytest.raises(EngineFailed, match=r"no Spark master can be reached: 127\.0\.0\.1:1: .*refused"),
        spark_engine("spark://127.0.0.1:1", HsmAccess(()), python=sys.executable),
    ):
        raise AssertionError("a session was opened")

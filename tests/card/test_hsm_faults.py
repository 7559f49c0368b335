"""A client before an HSM that is unwell, each fault in turn, by the program that plays it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from card.hsm.addresses import Address
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from city.processes import RunningHsm, wait_for_port


@contextmanager
def unwell(folder: Path, hsm: RunningHsm, fault: str, *words: str) -> Iterator[Address]:
    """The address of a program that stands before the HSM and plays the fault."""
    port_file, log_file = folder / f"{fault}.port", folder / f"{fault}.log"
    command = [sys.executable, "-m", "hsm_sim.faults", "--to", f"{hsm.host}:{hsm.port}", "--port", "0"]
    command += ["--port-file", str(port_file), "--fault", fault, *words]
    with log_file.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield Address("127.0.0.1", wait_for_port(process, port_file, log_file))
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("silent", "unreachable"),
        ("slow", "unreachable"),
        ("dropping", "unreachable"),
        ("refusing", "68"),
        ("wrong-version", "12"),
        ("alarm", "13"),
    ],
)
def test_each_fault_of_the_only_hsm_is_a_clear_error(
    tmp_path: Path, hsm_process: RunningHsm, fault: str, code: str
) -> None:
    with (
        unwell(tmp_path, hsm_process, fault, "--delay-s", "30") as address,
        Hsm.at([address], timeout_s=0.5) as hsm,
        pytest.raises(HsmError) as said,
    ):
        hsm.echo(b"x")
    assert said.value.code == code
    assert "B2" in str(said.value)
    assert code != "unreachable" or str(address) in str(said.value)


@pytest.mark.parametrize("fault", ["silent", "slow", "dropping", "alarm"])
def test_where_another_hsm_is_well_every_request_is_answered(
    tmp_path: Path, hsm_process: RunningHsm, fault: str
) -> None:
    well = Address(hsm_process.host, hsm_process.port)
    with (
        unwell(tmp_path, hsm_process, fault, "--delay-s", "30") as sick,
        Hsm.at([sick, well], timeout_s=0.5) as hsm,
    ):
        assert [hsm.echo(bytes((number,))) for number in range(20)] == [bytes((n,)) for n in range(20)]
        assert [standing.failures > 0 for standing in hsm.standings()] == [True, False]


def test_an_answer_that_is_late_but_in_time_is_taken(tmp_path: Path, hsm_process: RunningHsm) -> None:
    with (
        unwell(tmp_path, hsm_process, "slow", "--delay-s", "0.02") as address,
        Hsm.at([address], timeout_s=10) as hsm,
    ):
        assert [hsm.echo(b"x") for _ in range(3)] == [b"x"] * 3
        assert hsm.standings()[0].failures == 0


def test_every_third_answer_dropped_costs_no_request_its_answer(
    tmp_path: Path, hsm_process: RunningHsm
) -> None:
    well = Address(hsm_process.host, hsm_process.port)
    with (
        unwell(tmp_path, hsm_process, "dropping", "--every", "3") as sick,
        Hsm.at([sick, well], timeout_s=5) as hsm,
    ):
        assert all(hsm.random(16) != hsm.random(16) for _ in range(30))


def test_an_address_that_is_none_is_refused_with_the_remedy() -> None:
    command = [sys.executable, "-m", "hsm_sim.faults", "--to", "nowhere", "--port", "0", "--fault", "slow"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert "--to is 'nowhere'; give host:port of an HSM" in ended.stderr

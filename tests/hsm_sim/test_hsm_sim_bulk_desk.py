"""The desk and its worker processes: every way in which a worker may find its machine, and several at once."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hsm_sim.bulk_desk import BulkDesk
from hsm_sim.bulk_work import ROWS_BOUND, BulkWork
from hsm_sim.keys import DEMO_KEYS, Usage

from tests.hsm_sim.worked_example import bulk_columns

WORKER = [sys.executable, "-m", "hsm_sim.bulk_worker"]
WITHOUT_NUMBA = [
    sys.executable,
    "-c",
    "import sys; sys.modules['numba'] = None; from hsm_sim.bulk_worker import main; main()",
]
ROOTS = {(1, 0): DEMO_KEYS[Usage.TAC_ROOT], (1, 1): DEMO_KEYS[Usage.TAC_ROOT]}
TACS = {0: "CFF2892D", 1: "43AABEE5"}


def work(rows: int, algorithm: int, wrong: int) -> BulkWork:
    """The worked purchase so many times; the row numbered `wrong` has a TAC that is off by a bit."""
    tac = bytes.fromhex(TACS[algorithm])
    columns = bulk_columns(rows, algorithm=algorithm)
    tacs = tac * wrong + bytes((tac[0] ^ 128, *tac[1:])) + tac * (rows - wrong - 1)
    return BulkWork(rows, columns + tacs, ROOTS)


def bits_with_one_wrong(rows: int, wrong: int) -> bytes:
    bits = ["1"] * rows
    bits[wrong] = "0"
    return int("".join(bits).ljust(-(-rows // 8) * 8, "0"), 2).to_bytes(-(-rows // 8))


def verified(command: list[str], environment: Mapping[str, str], asked: list[BulkWork]) -> list[bytes]:
    async def scenario() -> list[bytes]:
        desk = BulkDesk(command, environment, workers=2)
        try:
            return await asyncio.gather(*(desk.verify(each) for each in asked))
        finally:
            await desk.close()

    return asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize("algorithm", [0, 1])
@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (WORKER, dict(os.environ)),
        (WORKER, {**os.environ, "XDG_CACHE_HOME": os.devnull}),
        (WORKER, {}),
        (WITHOUT_NUMBA, dict(os.environ)),
    ],
    ids=["as it is", "cache unusable", "no home", "no Numba"],
)
def test_a_worker_verifies_whatever_its_machine_lacks(
    command: list[str], environment: dict[str, str], algorithm: int
) -> None:
    found = verified(command, environment, [work(1001, algorithm, 17)])
    assert found == [bits_with_one_wrong(1001, 17)]


def test_each_of_many_askers_gets_its_own_verdicts() -> None:
    sizes = [1, 8, 9, 700, 2000, 3, 513, 64, 1024, 5]
    asked = [work(rows, number % 2, rows // 2) for number, rows in enumerate(sizes)]
    assert verified(WORKER, os.environ, asked) == [bits_with_one_wrong(rows, rows // 2) for rows in sizes]


def test_the_largest_work_of_all_finds_room() -> None:
    found = verified(WORKER, os.environ, [work(ROWS_BOUND, 0, ROWS_BOUND - 1)])
    assert found == [bits_with_one_wrong(ROWS_BOUND, ROWS_BOUND - 1)]


def test_the_server_itself_loads_nothing_that_takes_long() -> None:
    asked = "import sys, hsm_sim.cli; print([name for name in ('numpy', 'numba') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"

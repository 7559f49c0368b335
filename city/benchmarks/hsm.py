"""How fast the simulated HSM verifies and answers, beside the obvious loop over `cryptography` in the same run."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from card.hsm.client import Hsm
from city.benchmarks.bulk_stream import BATCH_ROWS, batch, stream
from city.benchmarks.figures import Figure, at_least, at_most
from city.benchmarks.memory import children_of, peak_kib
from city.benchmarks.online_load import call
from city.processes import PROJECT, running_program

DEFAULT_TAPS = 20_000_000
SOCKET_ROWS = 4_000_000
KERNEL_ROWS = 400_000
ROUNDS = 5
WORKERS = 2
CONNECTIONS = 32
ONLINE_REQUESTS = 25_000
ONLINE_PER_S = 5_000
ONLINE_ROUNDS = 3
BOUND = "the bound that was set"


def bench_hsm(size: int | None) -> list[Figure]:
    """Verify TACs in bulk in one process and over the socket, `size` taps (20 million) as a stream; ask for MACs."""
    taps = size or DEFAULT_TAPS
    figures = _kernels(min(taps, KERNEL_ROWS))
    with _hsm(WORKERS) as (port, _):
        figures += _socket(port, min(taps, SOCKET_ROWS))
    with _hsm(1) as (port, process_id):
        figures += _online(port, min(taps, ONLINE_REQUESTS))
        figures += _memory(port, process_id, taps)
    return figures


@contextmanager
def _hsm(workers: int) -> Iterator[tuple[int, int]]:
    """A running HSM with demo keys: its port, and the number of its process."""
    with tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder:
        home = Path(folder) / "hsm"
        init = [sys.executable, "-m", "hsm_sim", "init", "--home", str(home), "--demo"]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
        words = ("serve", "--port", "0", "--bulk-workers", str(workers))
        with running_program("hsm_sim", home, *words) as (port, process):
            yield port, process.pid


def _kernels(rows: int) -> list[Figure]:
    run = [sys.executable, "-m", "hsm_sim.bulk_speed", str(rows)]
    done = subprocess.run(run, check=True, capture_output=True, text=True, cwd=PROJECT)
    figures = []
    for suite, ratio in (("3DES", 200), ("SM4", 20)):
        speeds = json.loads(done.stdout)[suite]
        figures.append(
            at_least(
                f"TACs from the root key in bulk, {suite}, one core, kernel alone", speeds["compiled"], "TACs/s",
                against="one after another by `cryptography`", peer=speeds["singly"], ratio=ratio,
            )
        )  # fmt: skip
    return figures


def _socket(port: int, rows: int) -> list[Figure]:
    ready = batch(min(rows, BATCH_ROWS), seed=0)
    with Hsm("127.0.0.1", port) as hsm:
        # The first round meets workers that have only begun; the best has them as a night does.
        rounded = rows // len(ready) * len(ready)
        best_s = min(stream(hsm, rounded, ready) for _ in range(ROUNDS))
    what = f"TACs in bulk through the socket, 3DES, {WORKERS} workers, client to client"
    return [at_least(what, rounded / best_s, "TACs/s", against=BOUND, peer=5_000_000, ratio=1)]


def _online(port: int, requests: int) -> list[Figure]:
    call(port, connections=CONNECTIONS, requests=requests // 5, per_s=None)
    without_pause = call(port, connections=CONNECTIONS, requests=requests, per_s=None)
    # Whatever else the machine does shows in the slowest answers first, so the best round is the HSM's own.
    rounds = [
        call(port, connections=CONNECTIONS, requests=requests, per_s=ONLINE_PER_S)
        for _ in range(ONLINE_ROUNDS)
    ]
    paced = min(rounds, key=lambda calls: calls.p99_ms)
    paced_as = f"{CONNECTIONS} connections, {paced.per_s:,.0f} requests/s, best of {ONLINE_ROUNDS} rounds"
    return [
        at_least(
            f"online MACs, {CONNECTIONS} connections, each asking again when answered", without_pause.per_s,
            "requests/s", against=BOUND, peer=ONLINE_PER_S, ratio=1,
        ),
        at_most(
            f"one online MAC there and back, p99, {paced_as}", paced.p99_ms, "ms", against=BOUND, peer=2, ratio=1,
        ),
    ]  # fmt: skip


def _memory(port: int, process_id: int, taps: int) -> list[Figure]:
    run = [sys.executable, "-m", "city.benchmarks.bulk_stream", str(port), str(taps)]
    done = subprocess.run(run, check=True, capture_output=True, text=True, cwd=PROJECT)
    client_mib = json.loads(done.stdout)["peak_mib"]
    worker_mib = sum(peak_kib(worker) for worker in children_of(process_id)) / 1024
    what = f"peak memory of {taps:,} taps verified as a stream, client and HSM worker"
    return [at_most(what, client_mib + worker_mib, "MiB", against=BOUND, peer=300, ratio=1)]

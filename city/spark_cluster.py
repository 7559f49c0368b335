"""A Spark cluster of our own on this machine: a master and workers, each a process, for tests and benchmarks."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 120.0
MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
MASTER_LISTENS = re.compile(r"Starting Spark master at (spark://\S+)")
WORKER_JOINED = re.compile(r"Registering worker ")


@dataclass(frozen=True, slots=True)
class SparkCluster:
    """Where the master listens, as `spark://host:port`, and the workers, who may be killed."""

    master: str
    workers: tuple[subprocess.Popen[bytes], ...]

    def kill_worker(self, index: int) -> None:
        """Kill a worker and all it has started, at once."""
        _kill(self.workers[index])


@contextmanager
def running_spark(home: Path, *, workers: int = 2) -> Iterator[SparkCluster]:
    """Start a master and workers of one core each on free loopback ports; all are gone when the block ends.

    Logs and the workers' folders are in `home`. Raises ChildProcessError where one ends before it is up.
    """
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        log = home / "master.log"
        master = stack.enter_context(_daemon(home, log, MASTER, "--host", LOOPBACK, "--port", "0"))
        address = _await_line(master, log, MASTER_LISTENS, 1)[0]
        started = tuple(
            stack.enter_context(
                _daemon(
                    home, home / f"worker-{number}.log", WORKER, "--host", LOOPBACK, "--cores", "1",
                    "--memory", "1g", "--work-dir", str(home / f"worker-{number}"), address,
                )
            )
            for number in range(workers)
        )  # fmt: skip
        _await_line(master, log, WORKER_JOINED, workers)
        yield SparkCluster(address, started)


@contextmanager
def _daemon(home: Path, log_file: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of Spark's daemons in a process group of its own, so that what it starts ends with it.

    The kernel ends it when this process is killed and cannot.
    """
    environment = {
        **os.environ,
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": str(home),
        "SPARK_DAEMON_MEMORY": "256m",
    }
    spark_class = str(_spark_home() / "bin" / "spark-class")
    command = ["setpriv", "--pdeathsig", "KILL", spark_class, name, *words, "--webui-port", "0"]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home, env=environment,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it and all it started have ended
    finally:
        process.wait()


def _await_line(
    process: subprocess.Popen[bytes], log_file: Path, wanted: re.Pattern[str], count: int
) -> list[str]:
    """Wait until a log has a line often enough: what the pattern found.

    Raises ChildProcessError where the program ends before, TimeoutError where it takes too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        found = wanted.findall(log_file.read_text(encoding="utf-8", errors="replace"))
        if len(found) >= count:
            return found
        if process.poll() is not None:
            raise ChildProcessError(f"it ended with {process.returncode} before it was up; see {log_file}")
        time.sleep(0.05)
    raise TimeoutError(f"it was not up within {START_TIMEOUT_S:.0f} s; see {log_file}")


def _spark_home() -> Path:
    """The folder of the pyspark that is installed here: a whole distribution of Spark."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise FileNotFoundError("pyspark is not installed; run `make spark`")
    return Path(found.origin).parent

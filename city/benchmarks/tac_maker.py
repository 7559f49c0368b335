"""The TACs of generated taps, made by the million in a process of the HSM's own program."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from card.hsm.columns import TacColumns
from city.processes import PROJECT

Sign = Callable[[TacColumns], np.ndarray]
"""The TACs of purchases, n × 4 bytes; those that the columns hold do not matter."""


@contextmanager
def tac_maker() -> Iterator[Sign]:
    """A running maker of TACs under the demo keys, as the simulated HSM has them."""
    command = [sys.executable, "-m", "hsm_sim.bulk_make"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT) as process:
        source, sink = process.stdout, process.stdin
        if source is None or sink is None:
            raise RuntimeError("the maker of TACs has no pipes")

        def sign(columns: TacColumns) -> np.ndarray:
            for part in columns.parts():
                sink.write(part)
            sink.flush()
            raw = source.read(4 * len(columns))
            if len(raw) != 4 * len(columns):
                raise RuntimeError("the maker of TACs has ended before its answer")
            return np.frombuffer(raw, np.uint8).reshape(-1, 4)

        yield sign

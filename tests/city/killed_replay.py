"""Replay a trace and die on the way: `killed_replay.py HOME DATABASE HSM TRANSPORT_KEY TRACE CUT`."""

import os
import signal
import sys
from datetime import date
from pathlib import Path

from card.hsm.client import Hsm
from city.home import Home
from city.plan import read_plan
from city.replay import replay
from city.world import City
from clearing.context import StepResult
from ledger.db import make_engine


def main() -> None:
    """Kill this process half-way through some long work, or when a step of the night is done."""
    home, url, address, transport_key, trace, cut = sys.argv[1:]
    host, _, port = address.rpartition(":")

    def progress(what: str, done: int, total: int) -> None:
        if what == cut and done > total // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def observe(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == (cut, "done"):
            os.kill(os.getpid(), signal.SIGKILL)

    with Hsm(host, int(port)) as hsm:
        city = City(Home(Path(home)), make_engine(url), hsm, Path(transport_key))
        replay(
            city, read_plan("shenzhen"), Path(trace).read_bytes(), business_date=date(2018, 9, 1),
            progress=progress, observe=observe,
        )  # fmt: skip


if __name__ == "__main__":
    main()

"""A replay in a process of its own that dies on the way."""

import os
import signal
from datetime import date
from pathlib import Path

from card.hsm.client import Hsm
from city.home import Home
from city.plan import read_plan
from city.processes import RunningHsm
from city.replay import replay
from city.world import City
from clearing.context import StepResult
from ledger.db import make_engine
from tests.support.forked import FORKED


def killed(hsm: RunningHsm, city: City, trace: bytes, business_date: date, cut: str) -> int | None:
    """Replay in a process that kills itself half-way through `cut`, or when that step is done; its exit code."""
    url, home = city.engine.url.render_as_string(), str(city.home.root)
    process = FORKED.Process(
        target=run_until_killed,
        args=(home, url, hsm.host, hsm.port, str(city.transport_key_file), trace, business_date, cut),
    )
    process.start()
    process.join(60)
    return process.exitcode


def run_until_killed(
    home: str, url: str, host: str, port: int, transport_key: str, trace: bytes, business_date: date, cut: str
) -> None:
    """Kill this process half-way through some long work, or when a step of the night is done."""

    def progress(what: str, done: int, total: int) -> None:
        if what == cut and done > total // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def observe(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == (cut, "done"):
            os.kill(os.getpid(), signal.SIGKILL)

    with Hsm(host, port) as hsm:
        city = City(Home(Path(home)), make_engine(url), hsm, Path(transport_key))
        replay(
            city,
            read_plan("shenzhen"),
            trace,
            business_date=business_date,
            progress=progress,
            observe=observe,
        )

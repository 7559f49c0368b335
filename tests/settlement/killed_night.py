"""A night in a process of its own that dies without a word at one instant of one step."""

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import event

from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.context import StepResult
from clearing.interop.http_centre import HttpCentre
from clearing.peers import Peers
from clearing.sectors.healthcare.insurer_http import HttpInsurer
from clearing.sectors.utilities.http_biller import HttpBiller
from ledger.db import make_engine
from settlement.night import run_night
from tests.settlement.small_day import night_of
from tests.support.forked import FORKED

COMMITS: Final = {"commit": 0, "opened": 1, "kept": 2}
"""Of those that a step makes, how many come before the one at which a night dies at this instant."""


def instants(step: str) -> tuple[str, ...]:
    """When to kill a city's first night, one after the other, so that each time less of the step is left."""
    return ("commit", "opened", "done") if step == "post" else ("commit", "done")


def killed(
    hsm: RunningHsm,
    database_url: str,
    home: Path,
    step: str,
    instant: str,
    *,
    billers: Mapping[str, str] | None = None,
    insurer: str | None = None,
    centres: Mapping[str, str] | None = None,
) -> int | None:
    """Run the night, with peers at these addresses, in a process that kills itself there; its exit code."""
    process = FORKED.Process(
        target=run_until_killed,
        args=(
            database_url,
            str(home),
            hsm.host,
            hsm.port,
            step,
            instant,
            dict(billers or {}),
            insurer,
            dict(centres or {}),
        ),
    )
    process.start()
    process.join(60)
    return process.exitcode


def run_until_killed(
    url: str,
    home: str,
    host: str,
    port: int,
    step: str,
    instant: str,
    billers: Mapping[str, str],
    insurer: str | None,
    centres: Mapping[str, str],
) -> None:
    """Run the night; SIGKILL ourselves when `step` is about to commit (`commit`) or just did (`done`).

    `post` commits more than once in a city's first night: at `opened` the accounts for its taps are there, at `kept`,
    on PostgreSQL, the taps as well, and it is about to commit what comes next.
    """
    engine = make_engine(url)
    armed, spared = False, 0

    def observe(name: str, state: str, _result: StepResult | None) -> None:
        nonlocal armed, spared
        if (name, state) == (step, instant):
            os.kill(os.getpid(), signal.SIGKILL)
        armed = name == step and state == "started" and instant in COMMITS
        spared = COMMITS.get(instant, 0)

    def at_commit(_conn: object) -> None:
        nonlocal spared
        if armed and not spared:
            os.kill(os.getpid(), signal.SIGKILL)
        spared -= 1

    # Everything is written by then, to files and inside the transaction, and nothing is certain yet.
    event.listen(engine, "commit", at_commit)
    with ExitStack() as stack:
        hsm = stack.enter_context(Hsm(host, port))
        clients = {name: stack.enter_context(HttpBiller(address)) for name, address in billers.items()}
        asked = stack.enter_context(HttpInsurer(insurer)) if insurer is not None else None
        abroad = {code: stack.enter_context(HttpCentre(address)) for code, address in centres.items()}
        night = replace(night_of(Path(home), hsm), peers=Peers(clients, asked, abroad))
        run_night(engine, night, observe=observe)

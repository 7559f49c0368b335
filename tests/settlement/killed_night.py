"""A night in a process of its own that dies without a word at one instant of one step."""

import os
import signal
from pathlib import Path

from sqlalchemy import event

from card.hsm.client import Hsm
from clearing.context import StepResult
from ledger.db import make_engine
from settlement.night import run_night
from tests.settlement.small_day import night_of


def run_until_killed(url: str, home: str, host: str, port: int, step: str, instant: str) -> None:
    """Run the night; SIGKILL ourselves when `step` is about to commit (`commit`) or just did (`done`)."""
    engine = make_engine(url)
    armed = False

    def observe(name: str, state: str, _result: StepResult | None) -> None:
        nonlocal armed
        if (name, state) == (step, instant):
            os.kill(os.getpid(), signal.SIGKILL)
        armed = name == step and state == "started" and instant == "commit"

    def at_commit(_conn: object) -> None:
        if armed:
            os.kill(os.getpid(), signal.SIGKILL)

    # Everything is written by then, to files and inside the transaction, and nothing is certain yet.
    event.listen(engine, "commit", at_commit)
    with Hsm(host, port) as hsm:
        run_night(engine, night_of(Path(home), hsm), observe=observe)

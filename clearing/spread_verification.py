"""Asking the HSM about the TAC of every tap from the machines of the night's engine, each about its part."""

from sqlalchemy import Engine

from clearing.columns import truths
from clearing.context import Night, StepResult
from clearing.engine.rules import TacEngine
from clearing.intake import TAPS, clear_inbox
from clearing.verification import TACS
from clearing.workfiles import read_table


def verify_spread(engine: Engine, night: Night, machines: TacEngine) -> StepResult:
    """As `verification.verify`, with the same file as its result. Raises EngineFailed where it is not to be had."""
    # What `collect` has committed is certain to be held, so the inbox need not keep it.
    clear_inbox(engine, night)
    path = machines.verify(night.work / TAPS, night.work / TACS)
    right = truths(read_table(path), "tac_ok")
    night.progress("TACs", len(right), len(right))
    return StepResult({"taps": len(right), "right": int(right.sum()), "wrong": int((~right).sum())}, (path,))

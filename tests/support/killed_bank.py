"""Whoever takes a file of the bank's, or approves a proposal, killed at one instant in a process of its own."""

import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path

from sqlalchemy import event

from ledger.db import make_engine
from settlement.bank.decisions import approve
from settlement.bank.taking import take_file
from settlement.two_people import Word
from tests.support.bank_days import AT
from tests.support.forked import FORKED


def killed_taking(url: str, home: Path, file: Path, today: date) -> int | None:
    """Take a file in a process that kills itself when it is about to commit; its exit code."""
    return _ended(_take, url, str(home), str(file), today)


def killed_approving(url: str, home: Path, number: int, today: date) -> int | None:
    """Approve a proposal in a process that kills itself when it has committed and written nothing yet."""
    return _ended(_approve, url, str(home), number, today)


def _ended(target: Callable[..., None], *words: object) -> int | None:
    process = FORKED.Process(target=target, args=words)
    process.start()
    process.join(60)
    return process.exitcode


def _take(url: str, home: str, file: str, today: date) -> None:
    engine = make_engine(url)
    event.listen(engine, "commit", lambda _conn: _die())
    take_file(engine, Path(home) / "archive", Path(file).name, Path(file).read_bytes(), at=AT, today=today)


def _approve(url: str, home: str, number: int, today: date) -> None:
    engine = make_engine(url)
    # The connection comes back when all is committed, and the payment's message is not written yet.
    event.listen(engine, "checkin", lambda *_: _die())
    approve(engine, Word(number, "chen", AT), nights=Path(home) / "nights", today=today)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

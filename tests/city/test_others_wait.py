"""What others wait for the writer's lock is measured beside what they wait for, and a fault of asking is told."""

from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from city.benchmarks import others_wait
from city.benchmarks.others_wait import others_asking
from ledger.db import make_engine


def test_the_longest_of_all_waits_is_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    instants, told = [0.0, 3.0, 10.0, 11.0], Event()

    def now() -> float:
        if len(instants) == 1:
            told.set()
            return instants[0]
        return instants.pop(0)

    monkeypatch.setattr(others_wait, "perf_counter", now)
    with others_asking(engine) as waited:
        assert told.wait(60)
    assert waited.longest_s == 3.0


def test_who_cannot_ask_says_so(tmp_path: Path) -> None:
    nowhere = make_engine(f"sqlite:///{tmp_path}/none/books.db")
    with pytest.raises(OperationalError), others_asking(nowhere) as waited:
        assert not waited.longest_s

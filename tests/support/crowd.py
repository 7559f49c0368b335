"""Many who ask to write at the same time, while somebody else is writing: they wait, and go on together."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, event

from ledger.db import lock_writers
from ledger.group import GroupCommit

T = TypeVar("T")
Group = GroupCommit[Any, Any]
FIRST_WORDS = {"postgresql": "begin", "sqlite": "before_cursor_execute"}
"""What is heard of a transaction before it waits for the writer's lock."""


@contextmanager
def held(engine: Engine) -> Iterator[threading.Event]:
    """Be the one writer until the block ends, and change nothing; the event is set when a group waits for it."""
    begun = threading.Event()

    def begin(*_: object) -> None:
        if threading.current_thread().name == "group commit":
            begun.set()

    with engine.connect() as conn, conn.begin() as transaction:
        lock_writers(conn)
        first_words = FIRST_WORDS[engine.dialect.name]
        event.listen(engine, first_words, begin)
        yield begun
        event.remove(engine, first_words, begin)
        transaction.rollback()


@contextmanager
def counted_commits(engine: Engine) -> Iterator[list[int]]:
    """A list that grows by one with every commit of the block."""
    commits: list[int] = []

    def count(_conn: object) -> None:
        commits.append(1)

    event.listen(engine, "commit", count)
    yield commits
    event.remove(engine, "commit", count)


def wait_for(group: Group, waiting: int) -> None:
    """Return when so many wait for their turn."""
    while len(group._waiting) != waiting:
        threading.Event().wait(0.001)


def all_at_once(engine: Engine, group: Group, asks: Sequence[Callable[[], T]]) -> tuple[list[Future[T]], int]:
    """Have all asked in order while another writes: what became of each, and in how many transactions."""
    with ThreadPoolExecutor(len(asks)) as pool, counted_commits(engine) as commits:
        with held(engine) as begun:
            futures = [pool.submit(asks[0])]
            assert begun.wait(20)
            for number, ask in enumerate(asks[1:], 1):
                futures.append(pool.submit(ask))
                wait_for(group, number + 1)
        pool.shutdown()
    return futures, len(commits)

"""Many writers at once onto few accounts: nothing is overdrawn, nobody waits for ever, nothing acknowledged is lost."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.balances import balance
from ledger.db import make_engine, reading
from ledger.sharing import Alone
from ledger.verify import verify_books
from tests.ledger.some_books import Books
from tests.ledger.writer import Acknowledged, assert_kept, write
from tests.ledger.writers import heard, start

BATCHES = int(os.environ.get("LEDGER_BATCHES", "8"))
"""Of each writing process; `make soak` asks for as many as take ten minutes."""
PATIENCE_S = 120 + BATCHES
"""Longer than any writer takes; who waits for another for ever is found by it."""


def assert_good(books: Books, said: dict[str, list[Acknowledged]], batches: int) -> None:
    """Each writer's answers are kept, some were refused for want of money, and the books hold."""
    with reading(books.engine) as conn:
        for name, acknowledged in said.items():
            assert [one.batch for one in acknowledged] == list(range(batches))
            assert_kept(conn, name, acknowledged, batches)
        assert list(verify_books(conn)) == []
        for purse in ("purse:1", "purse:2"):
            assert balance(conn, purse).balance_fen >= 0
    answers = {answer for found in said.values() for one in found for _, _, answer in one.answers}
    assert answers >= {"posted", "held", "voided", "remembered", "forestalled", "limit_exceeded"}


def test_threads_onto_the_same_purses_overdraw_nothing(books: Books) -> None:
    names, batches = [f"t{number}" for number in range(6)], 6
    said: dict[str, list[Acknowledged]] = {}
    gate = threading.Barrier(len(names))

    def run(name: str) -> None:
        gate.wait()
        said[name] = list(write(Alone(books.engine), name, batches))

    writers = [threading.Thread(target=run, args=(name,), daemon=True) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE_S)
        assert not writer.is_alive()
    assert_good(books, said, batches)


def test_processes_onto_the_same_purses_overdraw_nothing(books: Books, database_url: str) -> None:
    names, batches = ["p0", "p1", "p2"], BATCHES
    running = [start(database_url, name, batches) for name in names]
    # Heard all at once, so that none waits until another has said its last word.
    with ThreadPoolExecutor(len(names)) as ears:
        told = list(ears.map(lambda process: process.communicate(timeout=PATIENCE_S), running))
    assert [process.returncode for process in running] == [0] * len(names), [errors for _, errors in told]
    said = {
        name: heard(output.splitlines(keepends=True)) for name, (output, _) in zip(names, told, strict=True)
    }
    assert_good(books, said, batches)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_readers_see_whole_batches_while_others_write(books: Books, database_url: str) -> None:
    ended = threading.Event()
    sums: list[tuple[int, int]] = []

    def look() -> None:
        engine = make_engine(database_url)
        while not ended.is_set():
            with reading(engine) as conn:
                # Each batch takes from the agent what it brings to purses and operator: all of it or nothing.
                codes = ("agent:A", "purse:1", "purse:2", "clearing:METRO-1")
                sums.append(
                    (sum(balance(conn, code).net_fen for code in codes), balance(conn, "agent:A").net_fen)
                )
        engine.dispose()

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    list(write(Alone(books.engine), "w", 12))
    ended.set()
    reader.join(PATIENCE_S)
    assert not reader.is_alive() and sums
    assert {total for total, _ in sums} == {0}
    # The first batch has one load of 1 fen that later ones have taken back before it comes.
    assert {agent_fen for _, agent_fen in sums} <= {0, *(1 + 90 * batches for batches in range(1, 13))}

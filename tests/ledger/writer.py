"""A program that writes to the books, batch after batch, and says on its output what was answered once it is kept.

`python -m tests.ledger.writer URL NAME BATCHES [STATEMENT]` kills itself before the given statement, if it comes.
Several names with a comma between are as many threads that share transactions.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, event, select

from ledger import tables
from ledger.db import make_engine
from ledger.entry import Entry, Line
from ledger.orders import Hold, Order, Reversal, Void
from ledger.post import post
from ledger.sharing import Shared, Writer
from tests.ledger.some_books import AT, DAY, answers

PURSES = ("purse:1", "purse:2")


@dataclass(frozen=True)
class Acknowledged:
    """What one batch of a writer was answered: for each order its kind, its reference and the answer."""

    batch: int
    answers: tuple[tuple[str, str, str], ...]

    @property
    def name(self) -> str:
        """The writer's: all its references begin with it."""
        return self.answers[0][1].partition(":")[0]


def orders_of(name: str, batch: int) -> list[Order]:
    """A batch onto few accounts: loads that are never refused, rides and holds that may be, and their ends."""

    def entry(what: str, debit: str, credit: str, amount_fen: int, settles: str | None = None) -> Entry:
        line = Line(debit, credit, amount_fen, "x")
        return Entry(f"{name}:{batch}:{what}", "test", DAY, AT, (line,), settles=settles)

    purse, other = PURSES[batch % 2], PURSES[(batch + 1) % 2]
    held = Line(purse, "clearing:METRO-1", 30, "x")
    last = f"{name}:{batch - 1}"
    settled = entry("settled", other, "clearing:METRO-1", 20, settles=f"{last}:hold")
    # A third of the holds is settled, a third voided, and a third runs out.
    ends: tuple[list[Order], ...] = ([settled], [Void(f"{last}:hold")], [])
    return [
        entry("first", "agent:A", purse, 50),
        Hold(f"{name}:{batch}:hold", "test", AT, AT + timedelta(minutes=batch + 3), (held,)),
        *ends[batch % 3],
        *(entry(f"ride:{number}", PURSES[number % 2], "clearing:METRO-1", 17) for number in range(6)),
        Reversal(f"{name}:{batch}:back", f"{last}:ride:0", DAY, AT),
        Reversal(f"{name}:{batch}:too soon", f"{name}:{batch + 1}:early", DAY, AT),
        entry("early", "agent:A", other, 1),
        entry("last", "agent:A", other, 40),
    ]


def write(writer: Writer, name: str, batches: int) -> Iterator[Acknowledged]:
    """Post batches, each as one piece of work, and yield what was answered when it is kept."""
    for batch in range(batches):
        offered, at = orders_of(name, batch), AT + timedelta(minutes=batch)
        found = answers(writer.write(partial(post, orders=offered, at=at)))
        kinds = [type(order).__name__ for order in offered]
        references = [order.reference for order in offered]
        yield Acknowledged(batch, tuple(zip(kinds, references, found, strict=True)))


def assert_kept(conn: Connection, name: str, acknowledged: Sequence[Acknowledged], batches: int) -> None:
    """What was acknowledged is all there and as it was answered; of any other batch there is all or nothing."""
    entry, hold, forestalled = tables.entry.c, tables.hold.c, tables.forestalled.c
    there = {
        "Entry": set(conn.scalars(select(entry.reference))),
        "Hold": set(conn.scalars(select(hold.reference))),
    }
    there["Reversal"] = there["Entry"] | set(conn.scalars(select(forestalled.by_reference)))
    for one in acknowledged:
        for kind, reference, answer in one.answers:
            if kind != "Void":
                assert (reference in there[kind]) == (answer in ("posted", "held", "remembered")), (
                    reference,
                    answer,
                )
    for batch in range(len(acknowledged), batches):
        always = [f"{name}:{batch}:{what}" for what in ("first", "last")]
        assert len({reference in there["Entry"] for reference in always}) == 1
    beyond = f"{name}:{len(acknowledged) + 1}:first"
    assert beyond not in there["Entry"], "more than one batch was kept without being acknowledged"


def die_before(engine: Engine, number: int) -> None:
    """Be killed, without a chance to clean up, before this statement from now on."""
    left = [number]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", count)


def main(url: str, name: str, batches: str, statement: str = "0") -> None:
    """Write, and print each batch's answers as a line of JSON when it is kept."""
    engine = make_engine(url)
    die_before(engine, int(statement))

    def run(one_name: str) -> None:
        for one in write(writer, one_name, int(batches)):
            with whole_lines:
                print(json.dumps([one.batch, one.answers]), flush=True)

    names, whole_lines = name.split(","), threading.Lock()
    with Shared(engine) as writer, ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(run, one_name) for one_name in names]:
            done.result()
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""How long others wait for the writer's lock while something goes on, as a payment does before it is begun."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from time import perf_counter

from sqlalchemy import Engine

from ledger.db import writing

EVERY_S = 0.02
"""How often one more asks: some hundredths of a second hide between two of them, and the lock is hardly ever theirs."""


@dataclass(slots=True)
class Waited:
    """The longest that one waited, which grows while it is looked at."""

    longest_s: float = 0.0


@contextmanager
def others_asking(engine: Engine) -> Iterator[Waited]:
    """Be the one writer over and over, for nothing, until the block ends. Raises what asking raises."""
    waited, over = Waited(), Event()

    def ask() -> None:
        while True:
            began = perf_counter()
            with writing(engine):
                waited.longest_s = max(waited.longest_s, perf_counter() - began)
            if over.wait(EVERY_S):
                return

    with ThreadPoolExecutor(1, "others") as thread:
        asking = thread.submit(ask)
        try:
            yield waited
        finally:
            over.set()
        asking.result()

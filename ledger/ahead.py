"""Making the next while the last is used: for long work of which one half waits for the other."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterable[Item]) -> Iterator[Iterator[Item]]:
    """The same items, each made by a thread while the one before it is used; two are in memory at once.

    What making one raises is raised where it was to be given. Only that thread touches `items`, and not after the
    block, however that ends: what an item is made from may be closed then.
    """
    rest = iter(items)

    def take() -> list[Item]:
        return list(islice(rest, 1))

    def each() -> Iterator[Item]:
        coming = thread.submit(take)
        while found := coming.result():
            coming = thread.submit(take)
            yield found[0]

    with ThreadPoolExecutor(1, "ahead") as thread:
        yield each()

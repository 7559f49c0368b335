"""Runs: the stretches of a sequence in which no key comes twice."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def runs(items: Sequence[Item], keys: Callable[[Item], Iterable[Hashable]]) -> Iterator[list[Item]]:
    """Cut `items` before each one that shares a key with another of its run.

    Within a run no decision depends on another, so that its facts can be loaded at once. Where nothing
    comes twice, which is nearly always, there is one run.
    """
    run: list[Item] = []
    seen: set[Hashable] = set()
    for item in items:
        own = set(keys(item))
        if own & seen:
            yield run
            run, seen = [], set()
        run.append(item)
        seen |= own
    if run:
        yield run

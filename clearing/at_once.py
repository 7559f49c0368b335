"""Something of each of many files, some at a time: while some wait for the disk, others compute."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = 4
"""Files that are worked on at once."""
Given = TypeVar("Given")
Found = TypeVar("Found")


def each(given: Sequence[Given], of: Callable[[Given], Found]) -> Iterator[tuple[Given, Found]]:
    """Each with what is found of it, in order; no more are begun once that is no longer asked for."""
    with ThreadPoolExecutor(AT_ONCE, "files") as threads:
        yield from zip(given, threads.map(of, given), strict=True)

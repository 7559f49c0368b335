"""Rooms in memory for DuckDB: each is empty when it is opened and gone when it is closed; the house may stay.

To start DuckDB costs 20 ms of processor time, most of it for naming its own functions. A night opens it ten times, and
a small night does little more in it than that. So whoever wants DuckDB takes an instance that another has left, and
works there over a connection of its own, with which everything temporary goes. One that has held much, or in which
several threads have worked, ends with its work: what it has freed stays with it until then, hundreds of megabytes
after a large night. Whoever does several pieces of such work, one after the other, keeps it for them (`kept_house`):
to get those megabytes anew for each costs more than to open the room.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

SMALL_BYTES: Final = 16 << 20
"""What an instance may hold at the end of its work to be left to others."""
PORTION_ROWS: Final = 122_880
"""What DuckDB gives to a thread at once: a row group."""


@dataclass(slots=True)
class _House:
    """An instance, and the limits that it has; to set one takes as long as a query."""

    instance: duckdb.DuckDBPyConnection = field(default_factory=lambda: duckdb.connect(":memory:"))
    limits: dict[str, Any] = field(default_factory=dict)

    def limit(self, name: str, value: str | int) -> None:
        if self.limits.get(name) != value:
            self.instance.execute(f"SET {name} = $1", [value])
            self.limits[name] = value

    def holds_little(self) -> bool:
        held = self.instance.execute("SELECT memory_usage_bytes FROM duckdb_memory()").fetchall()
        return sum(int(of_a_kind) for (of_a_kind,) in held) <= SMALL_BYTES


_left: list[_House] = []
"""Instances that nobody uses. Whoever takes one has it alone, since its limits are for all that work in it."""
_kept: ContextVar[dict[int | None, list[_House]] | None] = ContextVar("kept", default=None)
"""Of a block, those of several threads that it keeps, by how many."""


@contextmanager
def opened_room(memory: str, spill: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database in memory, where all that is made is to be temporary: it goes with the block.

    It holds at most `memory` (as `800MB`); what does not fit it spills into the folder `spill`. `threads` run at once,
    by default as many as there are cores. An instance in which work has failed is not used again.
    """
    waiting = _waiting(threads)
    house = waiting.pop() if waiting else _House()
    try:
        house.limit("memory_limit", memory)
        house.limit("temp_directory", str(spill))
        if threads is not None:
            house.limit("threads", threads)
        with house.instance.cursor() as room:
            yield room
        # One that has spilled keeps its folder, and cannot be given another one.
        stays = (waiting is not _left or house.holds_little()) and not spill.exists()
    except BaseException:
        house.instance.close()
        raise
    if stays and waiting is not None:
        waiting.append(house)
    else:
        house.instance.close()


@contextmanager
def kept_house() -> Iterator[None]:
    """Rooms in which several threads work, opened one after the other in this block, are in one instance."""
    houses = dict[int | None, list[_House]]()
    before = _kept.set(houses)
    try:
        yield
    finally:
        _kept.reset(before)
        _end(*houses.values())


def _waiting(threads: int | None) -> list[_House] | None:
    """Where those of so many threads wait for whoever comes next; None: nowhere."""
    if threads == 1:
        return _left
    houses = _kept.get()
    return None if houses is None else houses.setdefault(threads, [])


def _end(*all_waiting: list[_House]) -> None:
    for waiting in all_waiting:
        while waiting:
            waiting.pop().instance.close()


def threads_for(rows: int) -> int | None:
    """How many threads can share the work on so many rows: one, or as many as there are cores.

    Where there is nothing to share, several are woken for each piece of a plan and cost more than the work.
    """
    return 1 if rows <= PORTION_ROWS else None


def name_file(room: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    """Let a Parquet file be read as the view `name`, which costs one look at the file."""
    room.execute(f"CREATE TEMP VIEW {name} AS {rows_of_file(path)}")


def rows_of_file(path: Path) -> str:
    """A query for the rows of a Parquet file."""
    return f"FROM read_parquet({quoted(str(path))})"


def quoted(text: str) -> str:
    """A text as it stands in a query."""
    return "'" + text.replace("'", "''") + "'"


def end_those_left() -> None:
    """End the instances that nobody uses, as before a fork: their threads would not be in the forked process."""
    _end(_left, *(_kept.get() or {}).values())


os.register_at_fork(before=end_those_left)

"""Rooms in memory for DuckDB: each is empty when it is opened and gone when it is closed; the house may stay.

To start DuckDB costs 20 ms of processor time, most of it for naming its own functions. A night opens it ten times, and
a small night does little more in it than that. So whoever wants DuckDB takes an instance that another has left, and
works there in a database of its own. One that has held much, or in which several threads have worked, ends with its
work: what it has freed stays with it until then, hundreds of megabytes after a large night.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import duckdb

SMALL_BYTES: Final = 16 << 20
"""What an instance may hold at the end of its work to be left to others."""
PORTION_ROWS: Final = 122_880
"""What DuckDB gives to a thread at once: a row group."""
_HELD_BYTES: Final = "SELECT coalesce(sum(memory_usage_bytes), 0) FROM duckdb_memory()"

_left: list[duckdb.DuckDBPyConnection] = []
"""Instances that nobody uses. Whoever takes one has it alone, since its limits are for all that work in it."""
_numbers: Final = count(1)


@contextmanager
def opened_room(memory: str, spill: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database in memory, which is gone with all it held when the block ends.

    It holds at most `memory` (as `800MB`); what does not fit it spills into the folder `spill`. `threads` run at once,
    by default as many as there are cores. An instance in which work has failed is not used again.
    """
    house = _taken()
    name = f"room_{next(_numbers)}"
    try:
        with house.cursor() as room:
            room.execute(f"SET memory_limit = '{memory}'")
            room.execute("SET temp_directory = $1", [str(spill)])
            room.execute("RESET threads" if threads is None else f"SET threads = {threads}")
            room.execute(f"ATTACH ':memory:' AS {name}")
            room.execute(f"USE {name}")
            yield room
            ((held_bytes,),) = house.execute(_HELD_BYTES).fetchall()
        house.execute(f"DETACH {name}")
    except BaseException:
        house.close()
        raise
    if threads == 1 and held_bytes <= SMALL_BYTES and not _has_spilled(house):
        _left.append(house)
    else:
        house.close()


def threads_for(rows: int) -> int | None:
    """How many threads can share the work on so many rows: one, or as many as there are cores.

    Where there is nothing to share, several are woken for each piece of a plan and cost more than the work.
    """
    return 1 if rows <= PORTION_ROWS else None


def name_file(room: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    """Let a Parquet file be read as the view `name`, which costs one look at the file."""
    text = str(path).replace("'", "''")
    room.execute(f"CREATE VIEW {name} AS FROM read_parquet('{text}')")


def end_those_left() -> None:
    """End the instances that nobody uses, as before a fork: their threads would not be in the forked process."""
    while _left:
        _left.pop().close()


def _taken() -> duckdb.DuckDBPyConnection:
    try:
        return _left.pop()
    except IndexError:
        return duckdb.connect(":memory:")


def _has_spilled(house: duckdb.DuckDBPyConnection) -> bool:
    """Whether it has used its folder, which it then keeps, and cannot be given another one."""
    try:
        house.execute("SET temp_directory = ''")
    except duckdb.NotImplementedException:
        return True
    return False


os.register_at_fork(before=end_those_left)

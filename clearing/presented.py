"""All taps that come before a night, as `collect` laid them out: read from the archive a bounded piece at a time."""

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clearing.archive import archived
from clearing.atomic_files import write_bytes
from clearing.columns import Presented, numbers, rows_of, rule_table, tap_table
from clearing.context import Night, StepRefused
from clearing.wire.batch import RECORD_BYTES
from clearing.wire.frame import PART_BYTES
from clearing.workfiles import CACHE_ROWS, GROUP_ROWS, read_table, write_table

SOURCES = "sources.json"
RETRIED = "retried.parquet"
PIECE_ROWS = GROUP_ROWS
"""Records that are read, laid out and written at once."""
WORKERS = 2
"""Pieces that are made at once."""

Made = TypeVar("Made")
Piece = tuple[int, list[Presented]]
"""The number of the first tap, and the groups that the piece is made of."""


@dataclass(frozen=True, slots=True)
class Source:
    """A batch whose records come before the night: `count` of them, whole from the archive, or those retried."""

    operator: str
    sequence: int
    presented_on: date
    count: int
    digest: str | None  # None: out of suspense, from the night's own file of retried records


def lay_out(night: Night, fresh: Sequence[Source], retried: Sequence[Presented]) -> tuple[Path, Path]:
    """Write down which taps come before the night and in which order: the two files that `pieces` reads."""
    again = [
        Source(group.operator, group.sequence, group.presented_on, len(group.positions), None)
        for group in retried
    ]
    sources = sorted([*fresh, *again], key=lambda source: (source.operator, source.sequence))
    listed = [asdict(source) | {"presented_on": source.presented_on.isoformat()} for source in sources]
    groups = sorted(retried, key=lambda group: (group.operator, group.sequence))
    raw = b"".join(group.records for group in groups)
    held = pa.table(
        {
            "position": np.concatenate([np.empty(0, np.int64), *(group.positions for group in groups)]),
            "record": pa.Array.from_buffers(
                pa.binary(RECORD_BYTES), len(raw) // RECORD_BYTES, [None, pa.py_buffer(raw)]
            ),
        }
    )
    return (
        write_bytes(night.work / SOURCES, json.dumps(listed, indent=1).encode() + b"\n"),
        write_table(night.work / RETRIED, held),
    )


def count_presented(night: Night) -> int:
    """How many taps come before the night."""
    return sum(source.count for source in _sources(night))


def pieces(night: Night) -> Iterator[Piece]:
    """All taps of the night in their order, at most PIECE_ROWS at a time.

    Raises StepRefused where the archive no longer holds what was collected.
    """
    first_no = 0
    for groups in cut(_groups(night), PIECE_ROWS):
        yield first_no, groups
        first_no += sum(len(group.positions) for group in groups)


def rule_pieces(night: Night) -> Iterator[pa.Table]:
    """What the rules read of the taps, piece by piece."""
    return in_turn(_rule_piece, pieces(night))


def presented_taps(
    night: Night,
    names: Collection[str] | None = None,
    *,
    by_card: bool = False,
    retried: bool | None = None,
) -> Iterator[pa.Table]:
    """All that is known of the taps, or `names` of it and some more, piece by piece (see `tap_table`).

    Where it is asked for those that are `retried`, or for the others, only pieces that have any.
    """
    given = (piece for piece in pieces(night) if retried is None or _has(piece, retried=retried))
    return in_turn(lambda piece: tap_table(piece[1], piece[0], names, by_card=by_card), given)


def presented_columns(night: Night, names: Sequence[str]) -> pa.Table:
    """Some of what is known of the taps, in one table."""
    found = (tap_table([], names=names), *presented_taps(night, names))
    return pa.concat_tables([piece.select(names) for piece in found])


def _has(piece: Piece, *, retried: bool) -> bool:
    return any(group.retried == retried for group in piece[1])


def _rule_piece(piece: Piece) -> pa.Table:
    first_no, groups = piece
    tables = []
    for some in cut(groups, CACHE_ROWS):
        tables.append(rule_table(some, first_no))
        first_no += tables[-1].num_rows
    return pa.concat_tables(tables)


def in_turn(make: Callable[[Piece], Made], given: Iterator[Piece]) -> Iterator[Made]:
    """What is made of each piece, in order; WORKERS of them at a time, and never far ahead of who takes them."""
    with ThreadPoolExecutor(WORKERS, "pieces") as threads:
        asked = deque(threads.submit(make, piece) for piece in islice(given, WORKERS))
        while asked:
            done = asked.popleft().result()
            asked.extend(threads.submit(make, piece) for piece in islice(given, 1))
            yield done


def cut(groups: Iterable[Presented], rows: int) -> Iterator[list[Presented]]:
    """The same records in the same order, in lists of exactly so many rows but for the last."""
    held, room = list[Presented](), rows
    for group in groups:
        # Parts are views of the group's own bytes.
        group = replace(group, records=memoryview(group.records))
        while len(group.positions) >= room:
            head, group = _parted(group, room)
            yield [*held, head]
            held, room = [], rows
        if len(group.positions):
            held.append(group)
            room -= len(group.positions)
    if held:
        yield held


def _parted(group: Presented, rows: int) -> tuple[Presented, Presented]:
    at = rows * RECORD_BYTES
    return (
        replace(group, positions=group.positions[:rows], records=group.records[:at]),
        replace(group, positions=group.positions[rows:], records=group.records[at:]),
    )


def _groups(night: Night) -> Iterator[Presented]:
    """The records of every source, PIECE_ROWS at most at a time."""
    retried = read_table(night.work / RETRIED)
    taken = 0
    for source in _sources(night):
        if source.digest is None:
            held = retried.slice(taken, source.count)
            taken += source.count
            yield _group(source, numbers(held, "position"), rows_of(held).tobytes())
            continue
        whole = _mapped(night.archive, source)
        for start in range(0, source.count, PIECE_ROWS):
            end = min(start + PIECE_ROWS, source.count)
            records = whole[start * RECORD_BYTES : end * RECORD_BYTES]
            yield _group(source, np.arange(start, end, dtype=np.int64), records)


def _group(source: Source, positions: npt.NDArray[np.int64], records: bytes | memoryview) -> Presented:
    retried = source.digest is None
    return Presented(source.operator, source.sequence, source.presented_on, retried, positions, records)


def _mapped(archive: Path, source: Source) -> memoryview:
    """The records in the batch's file in the archive, which nobody changes; mapped for as long as someone looks."""
    path = archived(archive, str(source.digest))
    expected = source.count * RECORD_BYTES + 2 * PART_BYTES
    if not path.is_file() or path.stat().st_size != expected:
        raise StepRefused(
            "collect",
            f"{path} does not hold the {source.count} records collected",
            "restore it from the backup",
        )
    with path.open("rb") as file:
        return memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))[PART_BYTES:-PART_BYTES]


def _sources(night: Night) -> list[Source]:
    listed = json.loads((night.work / SOURCES).read_bytes())
    return [Source(**(one | {"presented_on": date.fromisoformat(one["presented_on"])})) for one in listed]

"""Hearing centres: what they have for us is fetched into the inbox, and judged there like what is brought by hand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, select

from clearing.archive import keep
from clearing.atomic_files import write_new
from clearing.context import Night, StepResult
from clearing.interop.centres import centre_codes
from clearing.interop.files import Kind, digests_of
from clearing.interop.peer import CentreClient, NoAnswer, Offered
from clearing.interop.results import result_inbox
from clearing.tables import batch_file
from clearing.wire.batch import FRAME, BatchError
from clearing.wire.frame import BatchFrame
from clearing.wire.interop import RESULT
from ledger.db import reading

MOST_FILES: Final = 1_000
"""Files of one kind that are fetched from one centre in one night."""
FRAMES: Final = {Offered.PRESENTMENTS: FRAME, Offered.RESULTS: RESULT}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files of a centre's, of which those numbered so are here already."""

    centre: str
    kind: Offered
    here: frozenset[int]

    def numbers(self) -> Iterator[int]:
        """Those to be asked for, in order: what was left out, and then what comes next, without an end."""
        highest = max(self.here, default=0)
        yield from (number for number in range(1, highest) if number not in self.here)
        yield from range(highest + 1, highest + 1 + MOST_FILES)


def hear_centres(engine: Engine, night: Night) -> StepResult:
    """Fetch every file that a connected centre has for us and that is not here; silence stops nothing.

    Killed at any instant, it is asked again: what lies in the inbox already is not fetched twice. `files` counts what
    lies there of centres in the end.
    """
    with reading(engine) as conn:
        wanted = [
            Wanted(centre, kind, numbers | _in_inbox(night, centre, kind))
            for centre in centre_codes(conn)
            for kind, numbers in _registered(conn, centre).items()
        ]
    silent = 0
    for one in wanted:
        client = night.peers.centres.get(one.centre)
        if client is None:
            continue
        try:
            for found in _fetched(client, one):
                _put(night, one, found)
        except NoAnswer:
            silent += 1
    files = sum(len(_in_inbox(night, one.centre, one.kind)) for one in wanted)
    return StepResult({"files": files, "silent": silent})


def _fetched(client: CentreClient, wanted: Wanted) -> Iterator[tuple[int, bytes]]:
    for number in wanted.numbers():
        content = client.file(wanted.kind, number)
        if content is not None:
            yield number, content
        elif number > max(wanted.here, default=0):
            return


def _put(night: Night, wanted: Wanted, found: tuple[int, bytes]) -> None:
    """Keep a file and put it into the inbox under its own name, unless one of that name lies there."""
    number, content = found
    keep(night.archive, content)
    folder = night.inbox if wanted.kind is Offered.PRESENTMENTS else result_inbox(night.inbox)
    write_new(folder / _name(FRAMES[wanted.kind], wanted.centre, number, content), content)


def _name(frame: BatchFrame, centre: str, number: int, content: bytes) -> str:
    """What a file of the centre says it is named; where it says nothing so, what was asked for."""
    try:
        header = frame.header(content)
    except BatchError:
        return frame.name(centre, number)
    return frame.name(centre, header.sequence if header.operator == centre else number)


def _registered(conn: Connection, centre: str) -> dict[Offered, frozenset[int]]:
    columns = batch_file.c
    presented = conn.scalars(select(columns.sequence).where(columns.operator == centre))
    results = (number for whose, number in digests_of(conn, Kind.RESULT) if whose == centre)
    return {Offered.PRESENTMENTS: frozenset(presented), Offered.RESULTS: frozenset(results)}


def _in_inbox(night: Night, centre: str, kind: Offered) -> frozenset[int]:
    folder = night.inbox if kind is Offered.PRESENTMENTS else result_inbox(night.inbox)
    return frozenset(_numbers(FRAMES[kind], centre, folder.iterdir() if folder.is_dir() else ()))


def _numbers(frame: BatchFrame, centre: str, paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        parsed = frame.parse_name(path.name)
        if parsed is not None and parsed[0] == centre:
            yield parsed[1]

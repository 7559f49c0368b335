"""What a sender is told of a file, and what is written down of one that is turned away: the same at every door."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, select

from clearing.arrivals import Arrival, Rejected, Repeated
from clearing.atomic_files import part_of
from clearing.tables import rejected_file
from ledger.bulk import one_of
from ledger.durable import put_in_place


class Status(StrEnum):
    """Where a file stands; all but WAITING are said by a night, in the file's `.ack`, or by the door."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a sender is told of a file, member by member as in its `.ack`; the last four of rejected ones only."""

    name: str
    sha256: str
    status: Status
    reason: str | None = None
    offset: int | None = None
    message: str | None = None
    remedy: str | None = None

    @property
    def content(self) -> dict[str, object]:
        """The members of its `.ack`."""
        told = asdict(self)
        return told if self.status is Status.REJECTED else {name: told[name] for name in TOLD_ALWAYS}


TOLD_ALWAYS: Final = ("name", "sha256", "status")


def receipt_for(arrival: Arrival, outcome: object) -> Receipt:
    """What is told of an arrived file: that it is rejected or a repetition where it is, else that it is accepted."""
    name, digest = arrival.name, arrival.digest
    match outcome:
        case Rejected(_, flaw, offset, message, remedy):
            return Receipt(name, digest, Status.REJECTED, flaw, offset, message, remedy)
        case Repeated():
            return Receipt(name, digest, Status.REPEATED)
        case _:
            return Receipt(name, digest, Status.ACCEPTED)


def write_answer(path: Path, receipt: Receipt) -> None:
    """Write an `.ack`: whole or not at all, whoever else writes it."""
    content = json.dumps(receipt.content, ensure_ascii=False, indent=1) + "\n"
    put_in_place(part_of(path, content.encode()), path)


def read_answer(path: Path) -> Receipt | None:
    """What an `.ack` says; None where there is none."""
    try:
        said: Mapping[str, object] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    offset = said.get("offset")
    reason, message, remedy = (
        None if said.get(name) is None else str(said[name]) for name in ("reason", "message", "remedy")
    )
    return Receipt(
        str(said["name"]), str(said["sha256"]), Status(str(said["status"])), reason,
        offset if isinstance(offset, int) else None, message, remedy,
    )  # fmt: skip


def turned_away(conn: Connection) -> set[tuple[str, str]]:
    """Name and digest of every file that was turned away."""
    query = select(rejected_file.c.name, rejected_file.c.digest)
    return {(name, digest) for name, digest in conn.execute(query)}


def keep_turned_away(conn: Connection, rejected: Sequence[Receipt], business_date: date) -> None:
    """Write down files that are rejected, each once, however often it comes."""
    columns = rejected_file.c
    named = one_of(conn, columns.name, [one.name for one in rejected])
    query = select(columns.name, columns.digest).where(named)
    known = {(name, digest) for name, digest in conn.execute(query)}
    rows = [
        {
            "name": one.name,
            "digest": one.sha256,
            "collected_on": business_date,
            "flaw": one.reason,
            "byte_offset": one.offset,
            "message": one.message,
            "remedy": one.remedy,
        }
        for one in rejected
        if (one.name, one.sha256) not in known
    ]
    if rows:
        conn.execute(insert(rejected_file), rows)

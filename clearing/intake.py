"""Taking operators' files in: every file is kept, acknowledged, and either registered or turned away."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date
from hashlib import file_digest
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection, Engine, insert, select

from card.hsm.errors import HsmError
from clearing.archive import fetch, keep_file
from clearing.arrivals import Arrival, Outcome, Registered, Rejected, Repeated, Taken, batch_key, decide
from clearing.columns import rule_table
from clearing.context import Night, StepRefused, StepResult
from clearing.devices import known_operators
from clearing.presented import Source, lay_out, rule_pieces
from clearing.suspense import retried_taps
from clearing.tables import batch_file, rejected_file
from clearing.wire.batch import BatchHeader, read_batch
from clearing.wire.bcd import moment_of
from clearing.workfiles import write_bytes, write_rows
from ledger.db import reading

TAPS = "taps.parquet"
"""What the rules read of every tap (`rule_table`)."""
PACKED = ("operator", "sequence", "presented_day", "tap_day", "terminal_no", "issuer_no", "card_head", "ride",
          "holder_class", "list_fare_fen", "amount_fen")  # fmt: skip
"""Columns of few values, which are written as numbers of a list."""
UNFINISHED = (".part", ".tmp")
"""Endings of files that their senders are still writing."""


def collect(engine: Engine, night: Night) -> StepResult:
    """Take in every file of the inbox and lay out all taps that come before this night.

    A bad file is turned away and the night goes on. Raises StepRefused where the HSM cannot be asked.
    """
    arrivals = _arrivals(night)
    with reading(engine) as conn:
        before = _registered(conn)
        retried = retried_taps(conn)
    try:
        outcomes = decide(
            arrivals,
            before,
            night.hsm,
            night.archive,
            lambda done: night.progress("batches", done, len(arrivals)),
        )
    except HsmError as error:
        raise StepRefused(
            "collect", f"batch MACs cannot be checked: {error}", "restore the HSM, run again"
        ) from error
    for outcome in outcomes:
        _acknowledge(night.inbox, outcome)
    taken = [outcome for outcome in outcomes if isinstance(outcome, Taken)]
    fresh = [_source(one.header, one.arrival.digest, night.business_date) for one in taken]
    fresh += [_source_again(night, before.digests[key]) for key in before.uncleared]
    sources, again = lay_out(night, fresh, retried)
    path, taps = _write_taps(night, sum(one.count for one in fresh))
    gaps = missing(set(before.digests) | {batch_key(outcome.header) for outcome in taken})
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    counts = {
        "files": len(arrivals),
        "accepted": len(taken),
        "repeated": len(outcomes) - len(taken) - len(rejected),
        "rejected": len(rejected),
        "missing": len(gaps),
        "batches": len(fresh),
        "taps": taps,
        "retried": sum(len(group.positions) for group in retried),
    }

    def write(conn: Connection) -> None:
        _register(conn, taken, rejected, night.business_date)

    requests = [{"operator": operator, "sequence": sequence} for operator, sequence in gaps]
    files = (
        path,
        sources,
        again,
        write_bytes(night.work / "missing.json", json.dumps(requests, indent=1).encode() + b"\n"),
    )
    return StepResult(counts, files, write)


def missing(keys: set[tuple[str, int]]) -> list[tuple[str, int]]:
    """Numbers that an operator skipped, to be asked for: batches are numbered from 1 without gaps."""
    highest: dict[str, int] = {}
    for operator, sequence in keys:
        highest[operator] = max(sequence, highest.get(operator, 0))
    return [
        (operator, sequence)
        for operator in sorted(highest)
        for sequence in range(1, highest[operator])
        if (operator, sequence) not in keys
    ]


def missing_batches(conn: Connection) -> list[tuple[str, int]]:
    """The (operator, sequence) of batches that never came though a later one did."""
    return missing(set(_registered(conn).digests))


def clear_inbox(engine: Engine, night: Night) -> None:
    """Remove the files that the committed `collect` has dealt with; the archive keeps them."""
    with reading(engine) as conn:
        held = set(conn.scalars(select(batch_file.c.digest)))
        turned_away = _turned_away(conn)
    for path in _files(night.inbox):
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        if digest in held or (path.name, digest) in turned_away:
            path.unlink()


def _turned_away(conn: Connection) -> set[tuple[str, str]]:
    query = select(rejected_file.c.name, rejected_file.c.digest)
    return {(name, digest) for name, digest in conn.execute(query)}


def _files(inbox: Path) -> list[Path]:
    """Finished files in name order; those whose names begin with a dot are still being written."""
    if not inbox.is_dir():
        return []
    return sorted(
        path
        for path in inbox.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.suffix not in UNFINISHED
    )


def _arrivals(night: Night) -> list[Arrival]:
    found = []
    paths = _files(night.inbox)
    for done, path in enumerate(paths):
        night.progress("files", done, len(paths))
        found.append(Arrival(path.name, keep_file(night.archive, path)))
    return found


def _registered(conn: Connection) -> Registered:
    digests, uncleared = {}, []
    columns = batch_file.c
    rows = conn.execute(
        select(columns.operator, columns.sequence, columns.digest, columns.cleared_on).order_by(
            columns.operator, columns.sequence
        )
    )
    for operator, sequence, digest, cleared_on in rows:
        digests[operator, sequence] = digest
        if cleared_on is None:
            uncleared.append((operator, sequence))
    return Registered(digests, uncleared, known_operators(conn))


def _source(header: BatchHeader, digest: str, business_date: date) -> Source:
    return Source(header.operator, header.sequence, business_date, header.count, digest)


def _source_again(night: Night, digest: str) -> Source:
    """A batch that a night before this one registered and never cleared."""
    header = read_batch(fetch(night.archive, digest)).header
    return _source(header, digest, night.business_date)


def _write_taps(night: Night, fresh: int) -> tuple[Path, int]:
    """Lay out what the rules read of all taps; the file, and how many they are."""
    count = 0

    def told() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for table in rule_pieces(night):
            yield from table.to_batches()
            count += table.num_rows
            night.progress("taps", count, max(count, fresh))

    path = write_rows(night.work / TAPS, rule_table([]).schema, told(), packed=PACKED)
    return path, count


def _acknowledge(inbox: Path, outcome: Outcome) -> None:
    """Tell the sender. The archive holds the file by now, so it may forget what is accepted."""
    said: dict[str, object] = {"name": outcome.arrival.name, "sha256": outcome.arrival.digest}
    match outcome:
        case Taken():
            said["status"] = "accepted"
        case Repeated():
            said["status"] = "repeated"
        case Rejected():
            said |= {
                "status": "rejected",
                "reason": outcome.flaw,
                "offset": outcome.offset,
                "message": outcome.message,
                "remedy": outcome.remedy,
            }
    text = json.dumps(said, ensure_ascii=False, indent=1) + "\n"
    write_bytes(inbox / "acks" / f"{outcome.arrival.name}.ack", text.encode())


def _register(
    conn: Connection, taken: Sequence[Taken], rejected: Sequence[Rejected], business_date: date
) -> None:
    batches = []
    for outcome in taken:
        header = outcome.header
        batches.append(
            {
                "operator": header.operator,
                "sequence": header.sequence,
                "digest": outcome.arrival.digest,
                "business_date": header.business_date,
                "made_at": moment_of(header.made_at).astimezone(UTC),
                "record_count": header.count,
                "amount_fen": header.amount_fen,
                "collected_on": business_date,
            }
        )
    if batches:
        conn.execute(insert(batch_file), batches)
    known = _turned_away(conn)
    turned_away = [
        {
            "name": outcome.arrival.name,
            "digest": outcome.arrival.digest,
            "collected_on": business_date,
            "flaw": outcome.flaw,
            "byte_offset": outcome.offset,
            "message": outcome.message,
            "remedy": outcome.remedy,
        }
        for outcome in rejected
        if (outcome.arrival.name, outcome.arrival.digest) not in known
    ]
    if turned_away:
        conn.execute(insert(rejected_file), turned_away)

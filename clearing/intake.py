"""Taking operators' files in: every file is kept, acknowledged, and either registered or turned away."""

import json
from collections.abc import Sequence
from datetime import UTC, date
from hashlib import file_digest
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select

from card.hsm.errors import HsmError
from clearing.archive import fetch, is_kept, keep_file
from clearing.arrivals import Arrival, Registered, Rejected, Taken, batch_key, decide
from clearing.at_once import each
from clearing.atomic_files import write_bytes
from clearing.context import Night, StepRefused, StepResult
from clearing.devices import known_operators
from clearing.interop.centres import centre_codes
from clearing.presented import Source, lay_out
from clearing.receipts import keep_turned_away, receipt_for, turned_away, write_answer
from clearing.retried import retried_taps
from clearing.tables import batch_file
from clearing.wire.batch import BatchHeader, parse_batch_name, read_batch
from clearing.wire.bcd import moment_of
from ledger.db import reading

UNFINISHED = (".part", ".tmp")
"""Endings of files that their senders are still writing."""


def collect(engine: Engine, night: Night) -> StepResult:
    """Take in every file of the inbox and write down which taps come before this night.

    A bad file is turned away and the night goes on. Raises StepRefused where the HSM cannot be asked.
    """
    arrivals = _arrivals(night)
    with reading(engine) as conn:
        before = registered(conn)
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
        # The archive holds the file by now, so its sender may forget what is accepted.
        arrival = outcome.arrival
        write_answer(night.inbox / "acks" / f"{arrival.name}.ack", receipt_for(arrival, outcome))
    taken = [outcome for outcome in outcomes if isinstance(outcome, Taken)]
    fresh = [_source(one.header, one.arrival.digest, night.business_date) for one in taken]
    fresh += [_source_again(night, before.digests[key]) for key in before.uncleared]
    sources, again = lay_out(night, fresh, retried)
    suspended = sum(len(group.positions) for group in retried)
    gaps = missing(set(before.digests) | {batch_key(outcome.header) for outcome in taken})
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    counts = {
        "files": len(arrivals),
        "accepted": len(taken),
        "repeated": len(outcomes) - len(taken) - len(rejected),
        "rejected": len(rejected),
        "missing": len(gaps),
        "batches": len(fresh),
        "taps": sum(one.count for one in fresh) + suspended,
        "retried": suspended,
    }

    def write(conn: Connection) -> None:
        _register(conn, taken, rejected, night.business_date)

    requests = [{"operator": operator, "sequence": sequence} for operator, sequence in gaps]
    files = (
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
    return missing(set(registered(conn).digests))


def clear_inbox(engine: Engine, night: Night) -> None:
    """Remove the files that the committed `collect` has dealt with; the archive keeps them."""
    with reading(engine) as conn:
        held = registered(conn).digests
        away = turned_away(conn)
    known = frozenset(held.values())

    def dealt_with(path: Path) -> bool:
        named = parse_batch_name(path.name)
        digest = held.get(named) if named else None
        if digest is not None and is_kept(night.archive, digest, path):
            return True
        found = _digest(path)
        return found in known or (path.name, found) in away

    for path, done in each(pending_files(night.inbox), dealt_with):
        if done:
            path.unlink()


def pending_files(inbox: Path) -> list[Path]:
    """Finished files in name order; those whose names begin with a dot are still being written."""
    if not inbox.is_dir():
        return []
    return sorted(
        path
        for path in inbox.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.suffix not in UNFINISHED
    )


def _arrivals(night: Night) -> list[Arrival]:
    found = list[Arrival]()
    paths = pending_files(night.inbox)
    for path, kept in each(paths, lambda path: keep_file(night.archive, path)):
        found.append(Arrival(path.name, kept.digest, kept.sealed))
        night.progress("files", len(found), len(paths))
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def registered(conn: Connection) -> Registered:
    """What nights have collected until now, and whose devices are known."""
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
    return Registered(digests, uncleared, known_operators(conn) | set(centre_codes(conn)))


def _source(header: BatchHeader, digest: str, business_date: date) -> Source:
    return Source(header.operator, header.sequence, business_date, header.count, digest)


def _source_again(night: Night, digest: str) -> Source:
    """A batch that a night before this one registered and never cleared."""
    header = read_batch(fetch(night.archive, digest)).header
    return _source(header, digest, night.business_date)


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
    keep_turned_away(conn, [receipt_for(one.arrival, one) for one in rejected], business_date)

"""Taking operators' QR batches in: every file is kept, acknowledged, and either taken or turned away.

They lie in `inbox/qr`, apart from the batches of card taps, and their acknowledgements in `inbox/qr/acks`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select

from card.hsm.client import Hsm
from clearing.archive import keep
from clearing.arrivals import Arrival, Rejected, Repeated, Sealed, refusal_of
from clearing.context import Night
from clearing.intake import pending_files
from clearing.online.qr_tables import qr_batch_file
from clearing.receipts import keep_turned_away, receipt_for, turned_away, write_answer
from clearing.wire.batch import BatchError
from clearing.wire.bcd import moment_of
from clearing.wire.qr_batch import QrBatch, qr_batch_name, read_qr_batch
from ledger.db import reading

QR_FOLDER = "qr"


@dataclass(frozen=True, slots=True)
class Received(Arrival):
    """An arrived file with its bytes: rides on codes are few."""

    content: bytes


@dataclass(frozen=True, slots=True)
class QrTaken:
    """A file taken as a batch."""

    arrival: Arrival
    batch: QrBatch


QrOutcome = QrTaken | Repeated | Rejected


def qr_inbox(inbox: Path) -> Path:
    """The folder into which operators drop QR batches."""
    return inbox / QR_FOLDER


def collect_qr(
    night: Night, held: Mapping[tuple[str, int], str], operators: set[str]
) -> tuple[QrOutcome, ...]:
    """Keep every file of the inbox in the archive, decide what becomes of it, and tell its sender.

    `held` are the digests of the batches taken before, by (operator, sequence). Raises HsmError where the
    HSM cannot be asked; then nobody is told anything.
    """
    outcomes = decide_files(_arrivals(night), held, operators, night.hsm)
    for outcome in outcomes:
        # The archive holds the file by now, so its sender may forget what is accepted.
        arrival = outcome.arrival
        write_answer(qr_inbox(night.inbox) / "acks" / f"{arrival.name}.ack", receipt_for(arrival, outcome))
    return outcomes


def decide_files(
    arrivals: Sequence[Received], held: Mapping[tuple[str, int], str], operators: set[str], hsm: Hsm
) -> tuple[QrOutcome, ...]:
    """What becomes of each file, in the order of names; copies of a file that is taken are repetitions."""
    digests = dict(held)
    judged: list[QrOutcome] = []
    for arrival in sorted(arrivals, key=lambda arrival: arrival.name):
        outcome = _judge(arrival, digests, operators, hsm)
        if isinstance(outcome, QrTaken):
            digests[outcome.batch.header.operator, outcome.batch.header.sequence] = arrival.digest
        judged.append(outcome)
    taken = set(digests.values())
    return tuple(
        Repeated(outcome.arrival)
        if outcome.arrival.digest in taken and not isinstance(outcome, QrTaken)
        else outcome
        for outcome in judged
    )


def held_batches(conn: Connection) -> dict[tuple[str, int], str]:
    """The digests of the batches taken before, by (operator, sequence)."""
    columns = qr_batch_file.c
    rows = conn.execute(select(columns.operator, columns.sequence, columns.digest))
    return {(operator, sequence): digest for operator, sequence, digest in rows}


def register_files(conn: Connection, outcomes: Sequence[QrOutcome], business_date: date) -> None:
    """Write down what was taken and what was turned away."""
    taken = [outcome for outcome in outcomes if isinstance(outcome, QrTaken)]
    if taken:
        conn.execute(insert(qr_batch_file), [_row(outcome, business_date) for outcome in taken])
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    keep_turned_away(conn, [receipt_for(one.arrival, one) for one in rejected], business_date)


def clear_qr_inbox(engine: Engine, night: Night) -> int:
    """Remove the files that a committed night has dealt with, and say how many; the archive keeps them."""
    with reading(engine) as conn:
        held, away = set(held_batches(conn).values()), turned_away(conn)
    removed = 0
    for path in pending_files(qr_inbox(night.inbox)):
        digest = sha256(path.read_bytes()).hexdigest()
        if digest in held or (path.name, digest) in away:
            path.unlink()
            removed += 1
    return removed


def _judge(
    arrival: Received, digests: Mapping[tuple[str, int], str], operators: set[str], hsm: Hsm
) -> QrOutcome:
    if arrival.digest in digests.values():
        return Repeated(arrival)
    try:
        batch = read_qr_batch(arrival.content)
    except BatchError as error:
        return Rejected(arrival, error.flaw.value, error.offset, str(error), error.remedy)
    mac_at = len(arrival.content) - 28
    sealed = Sealed(batch.header, batch.digest, batch.mac, mac_at, qr_batch_name)
    return refusal_of(arrival, sealed, digests, operators, hsm) or QrTaken(arrival, batch)


def _arrivals(night: Night) -> list[Received]:
    found = []
    for path in pending_files(qr_inbox(night.inbox)):
        content = path.read_bytes()
        found.append(Received(path.name, keep(night.archive, content), content))
    return found


def _row(outcome: QrTaken, business_date: date) -> dict[str, object]:
    header = outcome.batch.header
    return {
        "operator": header.operator,
        "sequence": header.sequence,
        "digest": outcome.arrival.digest,
        "business_date": header.business_date,
        "made_at": moment_of(header.made_at).astimezone(UTC),
        "record_count": header.count,
        "amount_fen": header.amount_fen,
        "cleared_on": business_date,
    }

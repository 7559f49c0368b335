"""Taking operators' QR batches in: every file is kept, acknowledged, and either taken or turned away.

They lie in `inbox/qr`, apart from the batches of card taps, and their acknowledgements in `inbox/qr/acks`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, insert, select

from clearing.arrivals import Rejected
from clearing.context import Night
from clearing.online.qr_tables import qr_batch_file
from clearing.receipts import keep_turned_away, receipt_for, turned_away
from clearing.whole_files import Form, TakenWhole, WholeOutcome, clear_whole
from clearing.wire.bcd import moment_of
from clearing.wire.names import qr_batch_name
from clearing.wire.qr_batch import QrBatch, read_qr_batch
from ledger.db import reading

QR_FILES: Final = Form("qr", read_qr_batch, qr_batch_name)

QrOutcome = WholeOutcome[QrBatch]


def qr_inbox(inbox: Path) -> Path:
    """The folder into which operators drop QR batches."""
    return QR_FILES.inbox(inbox)


def held_batches(conn: Connection) -> dict[tuple[str, int], str]:
    """The digests of the batches taken before, by (operator, sequence)."""
    columns = qr_batch_file.c
    rows = conn.execute(select(columns.operator, columns.sequence, columns.digest))
    return {(operator, sequence): digest for operator, sequence, digest in rows}


def register_files(conn: Connection, outcomes: Sequence[QrOutcome], business_date: date) -> None:
    """Write down what was taken and what was turned away."""
    taken = [outcome for outcome in outcomes if isinstance(outcome, TakenWhole)]
    if taken:
        conn.execute(insert(qr_batch_file), [_row(outcome, business_date) for outcome in taken])
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    keep_turned_away(conn, [receipt_for(one.arrival, one) for one in rejected], business_date)


def clear_qr_inbox(engine: Engine, night: Night) -> int:
    """Remove the files that a committed night has dealt with, and say how many; the archive keeps them."""
    with reading(engine) as conn:
        held, away = set(held_batches(conn).values()), turned_away(conn)
    return clear_whole(QR_FILES, night.inbox, held, away)


def _row(outcome: TakenWhole[QrBatch], business_date: date) -> Mapping[str, object]:
    header = outcome.file.header
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

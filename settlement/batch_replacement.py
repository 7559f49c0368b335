"""A batch withdrawn and replaced before its night books it (docs/decisions/0052): both files stay in the archive.

The steps of the night from `collect` on are done anew; what they had done is written down with the replacement.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from card.hsm.client import Hsm
from clearing.archive import archived, keep
from clearing.arrivals import mac_holds
from clearing.intake import pending_files
from clearing.records import are_kept
from clearing.tables import batch_file
from clearing.wire.batch import Batch, BatchError, read_batch
from clearing.wire.bcd import moment_of
from clearing.wire.names import batch_name
from ledger.db import reading, writing
from settlement.night import STEPS
from settlement.night_lock import exclusive
from settlement.night_log import recorded_steps
from settlement.replaced_batches import Replaced
from settlement.tables import batch_replacement, night_step

BOOKED_STAYS: Final = (
    "what is booked stays: have the operator send what is to be corrected as a batch under a new number; "
    "its taps in suspense come before every night again"
)


class ReplaceRefusal(StrEnum):
    """Why a batch is not replaced, in order of precedence: the first that applies is told."""

    NOT_COLLECTED = "not_collected"
    BOOKED = "booked"
    NOT_A_BATCH = "not_a_batch"
    OTHER_BATCH = "other_batch"
    MAC_WRONG = "mac_wrong"
    SAME_CONTENT = "same_content"
    TAKEN_ELSEWHERE = "taken_elsewhere"


@dataclass(frozen=True, slots=True)
class ReplaceRefused:
    """A replacement that is not made, and what to do."""

    refusal: ReplaceRefusal
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Replace the batch of this number by a file: who asks, why, and when."""

    operator: str
    sequence: int
    content: bytes
    reason: str
    by: str
    at: datetime


def replace_batch(
    engine: Engine, asked: Asked, *, hsm: Hsm, inbox: Path, archive: Path, nights: Path
) -> Replaced | ReplaceRefused:
    """Put another file in the place of a batch that is collected and not booked, while no night runs.

    Raises NightRunning while one does, HsmError where the MAC cannot be asked.
    """
    with exclusive(engine, nights):
        with reading(engine) as conn:
            row = _row(conn, asked)
            kept = row is not None and are_kept(conn, row.collected_on)
        if row is None:
            message = f"batch {asked.sequence} of {asked.operator} is not collected"
            remedy = f"put it into the inbox as {batch_name(asked.operator, asked.sequence)}, in place of any other"
            return _refused(ReplaceRefusal.NOT_COLLECTED, message, remedy)
        if row.cleared_on is not None:
            message = (
                f"batch {asked.sequence} of {asked.operator} was booked by the night of {row.cleared_on}"
            )
            return _refused(ReplaceRefusal.BOOKED, message, BOOKED_STAYS)
        if kept:
            message = (
                f"the night of {row.collected_on} stopped as it had kept its taps and was about to book them"
            )
            return _refused(ReplaceRefusal.BOOKED, message, f"run it to its end; {BOOKED_STAYS}")
        try:
            batch = read_batch(asked.content)
        except BatchError as error:
            message = str(error).removesuffix(f"; {error.remedy}")
            return _refused(ReplaceRefusal.NOT_A_BATCH, message, error.remedy)
        refused = _refusal_of_file(batch, asked, hsm)
        if refused is not None:
            return refused
        digest = keep(archive, asked.content)
        with reading(engine) as conn:
            refused = _refusal_of_content(conn, row, digest)
        if refused is not None:
            return refused
        with writing(engine) as conn:
            replaced = _write(conn, asked, row, batch, digest)
        _forget(inbox, archive, replaced.old_digest)
    return replaced


def _row(conn: Connection, asked: Asked) -> Row[Any] | None:
    columns = batch_file.c
    key = (columns.operator == asked.operator, columns.sequence == asked.sequence)
    return conn.execute(select(batch_file).where(*key)).one_or_none()


def _refusal_of_file(batch: Batch, asked: Asked, hsm: Hsm) -> ReplaceRefused | None:
    header = batch.header
    if (header.operator, header.sequence) != (asked.operator, asked.sequence):
        message = f"the file is batch {header.sequence} of {header.operator}"
        return _refused(
            ReplaceRefusal.OTHER_BATCH, message, f"give the file of {asked.operator}-{asked.sequence}"
        )
    if not mac_holds(hsm, header, batch.digest, batch.mac):
        message = f"the MAC does not hold under version {header.mac_key_version} of {header.operator}'s key"
        return _refused(ReplaceRefusal.MAC_WRONG, message, "have the operator make it with its own key")
    return None


def _refusal_of_content(conn: Connection, row: Row[Any], digest: str) -> ReplaceRefused | None:
    if row.digest == digest:
        message = f"the file is the one that was collected ({digest})"
        return _refused(ReplaceRefusal.SAME_CONTENT, message, "give the corrected file")
    columns = batch_file.c
    other = conn.execute(
        select(columns.operator, columns.sequence).where(columns.digest == digest)
    ).one_or_none()
    if other is not None:
        message = f"the file is batch {other.sequence} of {other.operator} already"
        return _refused(ReplaceRefusal.TAKEN_ELSEWHERE, message, "give the corrected file")
    return None


def _write(conn: Connection, asked: Asked, row: Row[Any], batch: Batch, digest: str) -> Replaced:
    header, night = batch.header, row.collected_on
    collect = [name for name, _ in STEPS].index("collect")
    undone = [(one.step, one.digest.hex()) for one in recorded_steps(conn, night)[collect:]]
    columns = batch_replacement.c
    key = (columns.operator == asked.operator, columns.sequence == asked.sequence)
    number = conn.execute(select(func.coalesce(func.max(columns.number), 0) + 1).where(*key)).scalar_one()
    conn.execute(
        insert(batch_replacement).values(
            operator=asked.operator, sequence=asked.sequence, number=number, night=night,
            old_digest=row.digest, old_count=row.record_count, old_amount_fen=row.amount_fen,
            new_digest=digest, new_count=header.count, new_amount_fen=header.amount_fen,
            undone=undone, reason=asked.reason, replaced_by=asked.by, replaced_at=asked.at,
        )
    )  # fmt: skip
    files = batch_file.c
    conn.execute(
        update(batch_file)
        .where(files.operator == asked.operator, files.sequence == asked.sequence, files.cleared_on.is_(None))
        .values(
            digest=digest, business_date=header.business_date, record_count=header.count,
            made_at=moment_of(header.made_at).astimezone(UTC), amount_fen=header.amount_fen,
        )
    )  # fmt: skip
    conn.execute(
        delete(night_step).where(night_step.c.business_date == night, night_step.c.position >= collect)
    )
    return Replaced(
        asked.operator, asked.sequence, night, row.digest, digest, row.record_count, header.count,
        row.amount_fen, header.amount_fen, tuple(step for step, _ in undone),
        asked.reason, asked.by,
    )  # fmt: skip


def _forget(inbox: Path, archive: Path, digest: str) -> None:
    """Take the withdrawn file out of the inbox, where the night has not yet; the archive keeps it."""
    kept = archived(archive, digest).read_bytes()
    for path in pending_files(inbox):
        if path.stat().st_size == len(kept) and path.read_bytes() == kept:
            path.unlink()


def _refused(refusal: ReplaceRefusal, message: str, remedy: str) -> ReplaceRefused:
    return ReplaceRefused(refusal, message, remedy)

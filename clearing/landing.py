"""The door for operators' files: kept at once, looked at as far as bytes alone can tell, and put into the inbox.

The night decides what becomes of a file; the door says at once what the night would only say tomorrow. Nothing
that came through it is lost: the archive has every byte before anybody is answered.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, Table, select

from clearing.archive import archived, keep
from clearing.arrivals import FileRefusal
from clearing.atomic_files import share
from clearing.online.qr_tables import qr_batch_file
from clearing.qr_intake import QR_FILES
from clearing.receipts import Receipt, Status, keep_turned_away, read_answer, write_answer
from clearing.tables import batch_file
from clearing.wire.batch import FRAME, BatchError
from clearing.wire.frame import BatchFrame
from clearing.wire.qr_batch import QR_FRAME
from ledger.db import reading
from ledger.sharing import Writer


class DoorRefusal(StrEnum):
    """Why the door does not take a file, in order of precedence; FLAWED has the flaw of its frame as reason."""

    BATCH_NAME_MALFORMED = "batch_name_malformed"
    OTHER_OPERATOR = "other_operator"
    BATCH_FLAWED = "batch_flawed"
    BATCH_NUMBER_TAKEN = "batch_number_taken"


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as it came, and the operator who sent it."""

    sender: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A file that the door did not take, and why; `reason`, `message` and `remedy` of the receipt are there."""

    refusal: DoorRefusal
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of batch: its frame, where its files lie in the inbox, and where those taken are registered."""

    frame: BatchFrame
    folder: str
    registered: Table


KINDS: Final = (Kind(FRAME, "", batch_file), Kind(QR_FRAME, QR_FILES.folder, qr_batch_file))


@dataclass(frozen=True, slots=True)
class Landing:
    """Where files land: the night's inbox and the archive."""

    inbox: Path
    archive: Path

    def waiting(self, kind: Kind, name: str) -> Path:
        """Where a file waits for the night."""
        return self.inbox / kind.folder / name

    def answered(self, kind: Kind, name: str) -> Path:
        """Where the answer to it is."""
        return self.inbox / kind.folder / "acks" / f"{name}.ack"


def parse_name(name: str) -> tuple[Kind, str, int] | None:
    """Kind, operator and sequence of a file's name; None where it is the name of no batch."""
    for kind in KINDS:
        if (found := kind.frame.parse_name(name)) is not None:
            return kind, *found
    return None


def receive(
    engine: Engine, writer: Writer, landing: Landing, file: Sent, business_date: date
) -> Receipt | TurnedAway:
    """Take a whole file that an operator sent. The same file again is answered alike and changes nothing.

    What is flawed is written down as rejected on this business date, as the night would.
    """
    name, digest = file.name, keep(landing.archive, file.content)
    parsed = parse_name(name)
    if parsed is None:
        remedy = f"name it OPERATOR-SEQUENCE, as {FRAME.name(file.sender, 42)}"
        return _away(DoorRefusal.BATCH_NAME_MALFORMED, name, digest, f"{name!r} is no batch's name", remedy)
    kind, operator, sequence = parsed
    if operator != file.sender:
        message = f"{name} is a file of {operator}, and {file.sender} sends it"
        return _away(DoorRefusal.OTHER_OPERATOR, name, digest, message, "let every operator send its own")
    flawed = flaw_of(kind, name, digest, file.content)
    if flawed is not None:
        writer.write(lambda conn: keep_turned_away(conn, [flawed], business_date))
        with reading(engine) as conn:
            before = standing(conn, landing, name)
        if before is None or before.status is Status.REJECTED:
            write_answer(landing.answered(kind, name), flawed)
        return TurnedAway(DoorRefusal.BATCH_FLAWED, flawed)
    with reading(engine) as conn:
        held = _registered(conn, kind, operator, sequence)
    if held == digest:
        return Receipt(name, digest, Status.ACCEPTED)
    held = held or _put(landing, landing.waiting(kind, name), digest)
    if held != digest:
        message = f"number {sequence} of {operator} is {held}, this file is {digest}"
        remedy = "find out which is right; send new taps under a new number"
        return _away(DoorRefusal.BATCH_NUMBER_TAKEN, name, digest, message, remedy)
    return Receipt(name, digest, Status.WAITING)


def standing(conn: Connection, landing: Landing, name: str) -> Receipt | None:
    """What became of the last file of a name: its `.ack`, or that it waits; None where none came."""
    parsed = parse_name(name)
    if parsed is None:
        return None
    kind, operator, sequence = parsed
    answer = read_answer(landing.answered(kind, name))
    try:
        digest = sha256(landing.waiting(kind, name).read_bytes()).hexdigest()
    except FileNotFoundError:
        digest = None
    if digest is not None and (answer is None or answer.sha256 != digest):
        return Receipt(name, digest, Status.WAITING)
    if answer is None and (held := _registered(conn, kind, operator, sequence)) is not None:
        return Receipt(name, held, Status.ACCEPTED)
    return answer


def flaw_of(kind: Kind, name: str, digest: str, content: bytes) -> Receipt | None:
    """What is wrong with the bytes themselves, or with the name that they came under."""
    try:
        header = kind.frame.read(content).header
    except BatchError as error:
        return Receipt(
            name, digest, Status.REJECTED, error.flaw.value, error.offset, str(error), error.remedy
        )
    expected = kind.frame.name(header.operator, header.sequence)
    if expected == name:
        return None
    reason, message = FileRefusal.NAME_DIFFERS, f"the file is named {name}, but its header says {expected}"
    return Receipt(name, digest, Status.REJECTED, reason, None, message, f"name it {expected}")


def _away(refusal: DoorRefusal, name: str, digest: str, message: str, remedy: str) -> TurnedAway:
    return TurnedAway(refusal, Receipt(name, digest, Status.REJECTED, refusal.value, None, message, remedy))


def _registered(conn: Connection, kind: Kind, operator: str, sequence: int) -> str | None:
    """The digest of the batch that a night has taken under a number."""
    columns = kind.registered.c
    query = select(columns.digest).where(columns.operator == operator, columns.sequence == sequence)
    return conn.execute(query).scalar_one_or_none()


def _put(landing: Landing, waiting: Path, digest: str) -> str:
    """Let a kept file wait in the inbox unless one of its name waits there; the digest of the one that does."""
    if share(archived(landing.archive, digest), waiting):
        return digest
    try:
        return sha256(waiting.read_bytes()).hexdigest()
    except FileNotFoundError:
        # A night has dealt with the one that was in the way.
        return _put(landing, waiting, digest)

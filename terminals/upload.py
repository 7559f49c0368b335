"""From a depot's outbox to the clearing house: batches made once, sent again until they are acknowledged."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from card.hsm.client import Hsm
from clearing.wire.batch import write_batch
from clearing.wire.bcd import pack_moment
from clearing.wire.names import batch_name
from terminals.files import write_whole
from terminals.shelf import BatchShelf, BatchState, StoredBatch

MAC_KEY_VERSION = 1
MAX_ACKNOWLEDGEMENT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class BatchForm:
    """How batches of one kind of ride are written and named, and how many rides one holds at most."""

    write: Callable[..., bytes]
    name: Callable[[str, int], str]
    most_records: int


TAPS = BatchForm(write_batch, batch_name, 100_000)


class Uploader:
    """One operator's depot: its outbox, the HSM that holds its batch key, the folder it drops files into."""

    def __init__(
        self,
        operator: str,
        outbox: BatchShelf,
        hsm: Hsm,
        drop: Path,
        *,
        mac_key_version: int = MAC_KEY_VERSION,
        form: BatchForm = TAPS,
    ) -> None:
        self._operator = operator
        self._outbox = outbox
        self._hsm = hsm
        self._drop = drop
        self._mac_key_version = mac_key_version
        self._form = form

    def make(self, business_date: date, *, at: datetime, max_records: int | None = None) -> list[StoredBatch]:
        """Put every waiting ride into batches of at most `max_records`, oldest first; none where none waits.

        Raises HsmError where the HSM cannot be asked; batches made before stay made. OutboxError where the outbox
        is another operator's.
        """
        self._outbox.require_operator(self._operator)
        made: list[int] = []
        while waiting := self._outbox.waiting(max_records or self._form.most_records):
            sequence = self._outbox.next_batch()
            # The HSM is asked before anything is written; a number is used up only by a batch that is kept.
            body = self._form.write(
                operator=self._operator,
                sequence=sequence,
                business_date=business_date,
                made_at=pack_moment(at),
                mac_key_version=self._mac_key_version,
                records=[record for _, record in waiting],
                mac=self._mac,
            )
            self._outbox.store_batch(
                sequence=sequence,
                operator=self._operator,
                business_date=business_date,
                body=body,
                numbers=[number for number, _ in waiting],
            )
            made.append(sequence)
        return [batch for batch in self._outbox.batches(BatchState.SENDING) if batch.sequence in made]

    def send(self) -> list[Path]:
        """Drop every batch that is not acknowledged, again if need be; the same batch is the same bytes."""
        self._drop.mkdir(parents=True, exist_ok=True)
        sent = []
        for batch in self._outbox.batches(BatchState.SENDING):
            if batch.body is None:
                continue
            path = self._drop / self._form.name(batch.operator, batch.sequence)
            # An older answer would be taken for the answer to what is sent now.
            self._answer_path(batch).unlink(missing_ok=True)
            write_whole(path, batch.body)
            sent.append(path)
        return sent

    def take_acknowledgements(self) -> list[int]:
        """Read the answers in `acks/`: the numbers acknowledged now, for the first time.

        A batch turned away as it was sent is held for a person (`Outbox.release` sends it again). An answer
        to other bytes than ours means that the file was damaged on its way: it goes out again.
        """
        acknowledged = []
        for batch in self._outbox.batches(BatchState.SENDING):
            if batch.body is None or (answer := _read_answer(self._answer_path(batch))) is None:
                continue
            ours = answer.get("sha256") == sha256(batch.body).hexdigest()
            if answer.get("status") in ("accepted", "repeated"):
                if ours:
                    self._outbox.acknowledge(batch.sequence)
                    acknowledged.append(batch.sequence)
                else:
                    self._outbox.hold(batch.sequence, "other content was accepted under this number")
            elif answer.get("status") == "rejected" and ours:
                self._outbox.hold(
                    batch.sequence, str(answer.get("message") or answer.get("reason") or "rejected")
                )
        return acknowledged

    def _mac(self, digest: bytes) -> bytes:
        return self._hsm.batch_mac(self._operator, digest, self._mac_key_version)

    def _answer_path(self, batch: StoredBatch) -> Path:
        return self._drop / "acks" / f"{self._form.name(batch.operator, batch.sequence)}.ack"


def _read_answer(path: Path) -> dict[str, object] | None:
    """The answer, or None where there is none that can be read: then the batch simply goes out again."""
    try:
        with path.open("rb") as file:
            answer = json.loads(file.read(MAX_ACKNOWLEDGEMENT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None

"""From a depot's outbox of rides on codes to the clearing house: made once, sent until acknowledged."""

import json
import os
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from card.hsm.client import Hsm
from clearing.wire.bcd import pack_moment
from clearing.wire.qr_batch import qr_batch_name, write_qr_batch
from terminals.qr_outbox import QrOutbox
from terminals.shelf import BatchState, StoredBatch
from terminals.upload import MAC_KEY_VERSION, MAX_ACKNOWLEDGEMENT_BYTES

MAX_RIDES = 20_000


class QrUploader:
    """One operator's depot: its outbox, the HSM that holds its batch key, the folder it drops files into."""

    def __init__(self, operator: str, outbox: QrOutbox, hsm: Hsm, drop: Path) -> None:
        self._operator = operator
        self._outbox = outbox
        self._hsm = hsm
        self._drop = drop

    def make(self, business_date: date, *, at: datetime, max_records: int = MAX_RIDES) -> list[int]:
        """Put every waiting ride into batches of at most `max_records`, oldest first; the numbers made.

        Raises HsmError where the HSM cannot be asked; batches made before stay made.
        """
        made = []
        while waiting := self._outbox.waiting(max_records):
            sequence = self._outbox.next_batch()
            body = write_qr_batch(
                operator=self._operator,
                sequence=sequence,
                business_date=business_date,
                made_at=pack_moment(at),
                mac_key_version=MAC_KEY_VERSION,
                records=[record for _, record in waiting],
                mac=lambda digest: self._hsm.batch_mac(self._operator, digest, MAC_KEY_VERSION),
            )
            self._outbox.store_batch(
                sequence=sequence,
                operator=self._operator,
                business_date=business_date,
                body=body,
                numbers=[number for number, _ in waiting],
            )
            made.append(sequence)
        return made

    def send(self) -> list[Path]:
        """Drop every batch that is not acknowledged, again if need be; the same batch is the same bytes."""
        self._drop.mkdir(parents=True, exist_ok=True)
        sent = []
        for batch in self._outbox.batches(BatchState.SENDING):
            if batch.body is None:
                continue
            path = self._drop / qr_batch_name(batch.operator, batch.sequence)
            # An older answer would be taken for the answer to what is sent now.
            self._answer_path(batch).unlink(missing_ok=True)
            part = path.with_name(f".{path.name}.part")
            with part.open("wb") as file:
                file.write(batch.body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sent.append(path)
        return sent

    def take_acknowledgements(self) -> list[int]:
        """Read the answers in `acks/`: the numbers acknowledged now.

        A batch turned away as it was sent is held for a person. An answer to other bytes than ours means
        that the file was damaged on its way: it goes out again.
        """
        acknowledged = []
        for batch in self._outbox.batches(BatchState.SENDING):
            if batch.body is None:
                continue
            answer = _read_answer(self._answer_path(batch))
            ours = answer.get("sha256") == sha256(batch.body).hexdigest()
            if answer.get("status") in ("accepted", "repeated"):
                if ours:
                    self._outbox.acknowledge(batch.sequence)
                    acknowledged.append(batch.sequence)
                else:
                    self._outbox.hold(batch.sequence, "other content was accepted under this number")
            elif answer.get("status") == "rejected" and ours:
                self._outbox.hold(batch.sequence, str(answer.get("message") or "rejected"))
        return acknowledged

    def _answer_path(self, batch: StoredBatch) -> Path:
        return self._drop / "acks" / f"{qr_batch_name(batch.operator, batch.sequence)}.ack"


def _read_answer(path: Path) -> dict[str, object]:
    """The answer, empty where there is none that can be read: then the batch simply goes out again."""
    try:
        with path.open("rb") as file:
            answer = json.loads(file.read(MAX_ACKNOWLEDGEMENT_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}

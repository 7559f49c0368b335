"""From a depot's outbox of rides on codes to the clearing house: as taps go, in batches of their own form."""

from pathlib import Path

from card.hsm.client import Hsm
from clearing.wire.names import qr_batch_name
from clearing.wire.qr_batch import write_qr_batch
from terminals.qr_outbox import QrOutbox
from terminals.upload import BatchForm, Uploader

RIDES = BatchForm(write_qr_batch, qr_batch_name, 20_000)


class QrUploader(Uploader):
    """One operator's depot of rides on codes."""

    def __init__(self, operator: str, outbox: QrOutbox, hsm: Hsm, drop: Path) -> None:
        super().__init__(operator, outbox, hsm, drop, form=RIDES)

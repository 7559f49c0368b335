"""The QR batch file: header, one record a ride, trailer (docs/formats/qr-batch.md).

It is framed as the batch of card taps is, and numbered by a sequence of its own.
"""

from dataclasses import dataclass

from clearing.wire.frame import BatchFrame, BatchHeader
from clearing.wire.names import QR_SUFFIX
from clearing.wire.qr_record import AMOUNT_OFFSET, QR_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class QrBatch:
    """A file whose form, checksum and totals hold. Whether `mac` over `digest` holds, the HSM must say."""

    header: BatchHeader
    records: tuple[bytes, ...]
    digest: bytes
    mac: bytes


def read_qr_batch(data: bytes) -> QrBatch:
    """Read a file whole; raises BatchError with the first flaw. Its MAC is the HSM's to check."""
    framed = QR_FRAME.read(data)
    starts = range(0, len(framed.records), QR_RECORD_BYTES)
    records = tuple(bytes(framed.records[start : start + QR_RECORD_BYTES]) for start in starts)
    return QrBatch(framed.header, records, framed.digest, framed.mac)


def _amount_fen(records: memoryview) -> int:
    starts = range(AMOUNT_OFFSET, len(records), QR_RECORD_BYTES)
    return sum(int.from_bytes(records[start : start + 4], "big") for start in starts)


QR_FRAME = BatchFrame(QR_SUFFIX, b"OQB1", b"OQE1", QR_RECORD_BYTES, 2, "QrRide.pack", _amount_fen)
write_qr_batch = QR_FRAME.write
parse_qr_batch_name = QR_FRAME.parse_name

"""The operator batch file: header, one record a tap, trailer (docs/formats/batch.md)."""

from dataclasses import dataclass

import numpy as np

from clearing.wire.frame import BatchError, BatchFlaw, BatchFrame, BatchHeader
from clearing.wire.names import SUFFIX
from clearing.wire.record import RECORD_BYTES, RECORD_DTYPE, RecordError, TapRecord, unreadable
from clearing.wire.ride import Ride

__all__ = [
    "RECORD_BYTES", "RECORD_DTYPE", "Batch", "BatchError", "BatchFlaw", "BatchHeader",
    "RecordError", "Ride", "TapRecord", "parse_batch_name", "read_batch", "unreadable",
    "write_batch",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """A file whose form, checksum and totals hold. Whether `mac` over `digest` holds, the HSM must say."""

    header: BatchHeader
    records: memoryview
    digest: bytes
    mac: bytes

    def rows(self) -> np.ndarray:
        """The records as columns, without copying them; they stay big-endian."""
        return np.frombuffer(self.records, RECORD_DTYPE)

    def tap(self, index: int) -> TapRecord:
        """One record as a value; raises RecordError if it cannot be read, IndexError if there is none."""
        if not 0 <= index < self.header.count:
            raise IndexError(f"the batch has {self.header.count} records, none at {index}")
        return TapRecord.unpack(bytes(self.records[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]))


def read_batch(data: bytes | memoryview, sealed: bytes | None = None) -> Batch:
    """Read a batch file whole (see BatchFrame.read); raises BatchError with the first flaw."""
    framed = FRAME.read(data, sealed)
    return Batch(framed.header, framed.records, framed.digest, framed.mac)


def _amount_fen(records: memoryview) -> int:
    return int(np.frombuffer(records, RECORD_DTYPE)["amount_fen"].sum(dtype=np.int64))


FRAME = BatchFrame(SUFFIX, b"OCB1", b"OCE1", RECORD_BYTES, 1, "TapRecord.pack", _amount_fen)
write_batch = FRAME.write
parse_batch_name = FRAME.parse_name

"""The files that clearing centres of cities exchange (docs/formats/interop.md), framed as operators' batches are.

Each way has magic numbers of its own, so that no file can be sent back to who made it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clearing.wire.batch import FRAME
from clearing.wire.frame import BatchFrame, BatchHeader
from clearing.wire.record import RECORD_BYTES

RESULT_BYTES = 16
RESULT_DTYPE = np.dtype(
    [("number", ">u4"), ("place", ">u4"), ("amount_fen", ">u4"), ("code", "u1"), ("zero", "u1", (3,))]
)
"""A line of a result file: the file it is about and the place in it, the amount there, what became of it."""

_LINE = struct.Struct(">IIIB3x")


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of a result file as a value."""

    number: int
    place: int
    amount_fen: int
    code: int

    def pack(self) -> bytes:
        """Write the 16 bytes."""
        return _LINE.pack(self.number, self.place, self.amount_fen, self.code)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A result file whose form, checksum and totals hold; `rows` are of RESULT_DTYPE. Its MAC is the HSM's to check."""

    header: BatchHeader
    rows: npt.NDArray[np.void]
    digest: bytes
    mac: bytes


def _lines_fen(records: memoryview) -> int:
    return int(np.frombuffer(records, RESULT_DTYPE)["amount_fen"].sum(dtype=np.int64))


PRESENTED = BatchFrame(".ocp", b"OCP1", b"OCQ1", RECORD_BYTES, 1, "TapRecord.pack", FRAME.sum_of)
"""Taps of another city's cards, as we hand them to its centre: the records as operators presented them."""
RESULT = BatchFrame(".ocr", b"OCR1", b"OCS1", RESULT_BYTES, 1, "ResultLine.pack", _lines_fen)
"""What a centre says of taps that we handed to it."""
ANSWER = BatchFrame(".oca", b"OCA1", b"OCZ1", RESULT_BYTES, 1, "ResultLine.pack", _lines_fen)
"""What we say of taps that a centre presented."""


def read_results(data: bytes | memoryview, frame: BatchFrame = RESULT) -> ResultFile:
    """Read a result file whole; raises BatchError with the first flaw."""
    framed = frame.read(data)
    return ResultFile(framed.header, np.frombuffer(framed.records, RESULT_DTYPE), framed.digest, framed.mac)


def result_lines(rows: npt.NDArray[np.void]) -> Sequence[ResultLine]:
    """Rows of RESULT_DTYPE as values; for few of them."""
    fields = ("number", "place", "amount_fen", "code")
    return [ResultLine(*(int(row[name]) for name in fields)) for row in rows]

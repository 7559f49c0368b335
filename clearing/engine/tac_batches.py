"""Batches of taps in, batches of TAC bits out: what each machine of a cluster does with its part of the taps."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from card.hsm.access import HsmAccess
from clearing.verification import tac_columns
from clearing.wire.batch import RECORD_BYTES, RECORD_DTYPE

ASKED = ("no", "record")
"""Columns that come in: the tap's number, and its 64 bytes as they were presented."""
ANSWERED = "no BIGINT, tac_ok BOOLEAN"
"""Columns that go out, in the words of Spark SQL."""

AskBatches = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def asking(access: HsmAccess) -> AskBatches:
    """A function that opens a client of its own to the HSMs and asks them batch after batch.

    It is sent to other machines, and holds nothing but the access. It raises HsmError, and OSError for PEM files.
    """

    def ask(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with access.client() as hsm:
            for batch in batches:
                right = hsm.verify_tacs(tac_columns(_rows(batch.column("record"))))
                yield pa.RecordBatch.from_arrays(
                    [batch.column("no"), pa.array(right, pa.bool_())], ["no", "tac_ok"]
                )

    return ask


def _rows(records: "pa.Array[pa.BinaryScalar]") -> npt.NDArray[np.void]:
    """Records of 64 bytes each as rows of RECORD_DTYPE, without a step per record."""
    packed = records.cast(pa.binary(RECORD_BYTES))
    data = memoryview(packed.buffers()[1] or b"")
    return np.frombuffer(data, RECORD_DTYPE, len(packed), packed.offset * RECORD_BYTES)

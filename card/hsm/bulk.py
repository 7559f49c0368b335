"""TACs verified by the HSM in bulk: some requests on their way at a time, whatever the number of rows."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from card.hsm.asking import Asking
from card.hsm.codec import DONE
from card.hsm.errors import HsmError

if TYPE_CHECKING:  # columns are of NumPy, which few who ask an HSM need
    from card.hsm.columns import TacColumns, Verdicts

BULK_ROWS = 50_000
"""Rows of one bulk request: some 2 MB, a fraction of a second's work, so that no peer waits long for it."""
AT_ONCE = 3
"""Requests on their way at once, each on its own connection: while the HSM works on some, others travel, and a
connection is left for whoever else asks."""
SLOWEST_BULK_ROWS_PER_S = 5_000


class BulkTacs(Asking):
    """The bulk command of the HSM."""

    def verify_tacs(self, columns: "TacColumns", *, chunk_rows: int = BULK_ROWS) -> "Verdicts":
        """F0: which purchases their cards made, row by row; an unknown key or algorithm counts as wrong."""
        return columns.joined(self.verify_tacs_in_turn(columns.chunks(chunk_rows)))

    def verify_tacs_in_turn(self, batches: "Iterable[TacColumns]") -> "Iterator[Verdicts]":
        """F0 for as many batches as come, each at most 300,000 rows: the verdicts of each, in order.

        A batch is taken only when an earlier one has been answered, so all the memory this needs is that of the few
        that are on their way.
        """
        with ThreadPoolExecutor(AT_ONCE, "hsm-bulk") as threads:
            asked: deque[Future[Verdicts]] = deque()
            for batch in batches:
                if len(asked) == AT_ONCE:
                    yield asked.popleft().result()
                asked.append(threads.submit(self._verify_batch, batch))
            while asked:
                yield asked.popleft().result()

    def _verify_batch(self, batch: "TacColumns") -> "Verdicts":
        # Before this batch the HSM may have to finish all the others.
        extra_s = AT_ONCE * len(batch) / SLOWEST_BULK_ROWS_PER_S
        answer = self._exchange("F0", batch.parts(), extra_s)
        verdicts = batch.verdicts(answer.fields)
        if answer.error != DONE or verdicts is None:
            raise HsmError("F0", "garbled", "the verdicts are not as many as the rows")
        return verdicts

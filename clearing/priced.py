"""What each tap of a night is paid: kept of those with a verdict of their own, and known of all others.

A tap that the rules leave nothing of is accepted, its card made it, and what it took is its price and what is paid.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clearing.columns import numbers
from clearing.verdict import Verdict
from clearing.workfiles import write_batches

PRICED: Final = "priced.parquet"
NAMES: Final = ("tac_ok", "chained", "price_fen", "verdict", "money", "paid_fen")
EVERY_TAP: Final = (
    "SELECT taps.*, coalesce(priced.tac_ok, true) AS tac_ok, coalesce(priced.chained, true) AS chained,"
    " CASE WHEN priced.no IS NULL THEN taps.amount_fen ELSE priced.price_fen END AS price_fen,"
    " coalesce(priced.verdict, 'accepted') AS verdict, coalesce(priced.money, 'paid') AS money,"
    " coalesce(priced.paid_fen, taps.amount_fen) AS paid_fen"
    " FROM taps LEFT JOIN priced ON priced.no = taps.no"
)
"""The same for DuckDB: all of `taps` with these columns, in no order, the file being `priced`."""
_TAPS, _ROWS = b"taps", b"rows"
_PIECE_ROWS = 1 << 16


def write_priced(path: Path, paid: Path, taps: int) -> Path:
    """Keep what the rules have left in `paid` of so many taps, and with it of how many they are."""
    with pq.ParquetFile(paid) as file:
        schema = file.schema_arrow.with_metadata({_TAPS: str(taps), _ROWS: str(file.metadata.num_rows)})
        pieces = file.iter_batches(_PIECE_ROWS)
        return write_batches(
            path, schema, (pa.RecordBatch.from_arrays(piece.columns, schema=schema) for piece in pieces)
        )


class Priced:
    """The prices of a night's taps, given once while the taps pass by, piece after piece.

    Raises ValueError where the file is not of so many taps, or not as it was written.
    """

    def __init__(self, path: Path, taps: int) -> None:
        file = pq.ParquetFile(path)
        told = file.schema_arrow.metadata or {}
        found = (told.get(_TAPS), told.get(_ROWS))
        if found != (str(taps).encode(), str(file.metadata.num_rows).encode()) or not _in_order(file, taps):
            raise ValueError(f"{path} has not the prices of {taps} taps")
        self._held: pa.Table = file.schema_arrow.empty_table()
        self._coming = file.iter_batches(_PIECE_ROWS)

    def beside(self, taps: pa.Table) -> pa.Table:
        """Columns NAMES of the next taps, which have `no` and `amount_fen`, in whatever order these come."""
        no, amount_fen = numbers(taps, "no"), taps["amount_fen"]
        own = self._before(int(no.max()) + 1 if len(no) else 0)
        in_order = np.argsort(no)
        row = np.zeros(len(no), np.int64)
        row[in_order[np.searchsorted(no, numbers(own, "no"), sorter=in_order)]] = np.arange(
            1, own.num_rows + 1
        )
        found = pa.concat_tables([_usual(), own.select(NAMES)]).combine_chunks().take(row)
        for name in ("price_fen", "paid_fen"):
            fen: Any = pc.if_else(pa.array(row == 0), amount_fen, found[name])
            found = found.set_column(found.schema.get_field_index(name), name, fen)
        return found

    def _before(self, end: int) -> pa.Table:
        """The rows of taps before this number that have not been given yet."""
        while not self._held.num_rows or numbers(self._held, "no")[-1] < end:
            if (coming := next(self._coming, None)) is None:
                break
            self._held = pa.concat_tables([self._held, pa.Table.from_batches([coming])])
        given = int(np.searchsorted(numbers(self._held, "no"), end))
        own, self._held = self._held.slice(0, given), self._held.slice(given)
        return own


@cache
def _usual() -> pa.Table:
    """The row of whatever tap the file does not have. Made when wanted: Arrow loads pandas for it, where that is."""
    return pa.table(
        {
            "tac_ok": [True],
            "chained": [True],
            "price_fen": [0],
            "verdict": [Verdict.ACCEPTED.value],
            "money": [Verdict.ACCEPTED.money.value],
            "paid_fen": [0],
        }
    )


def _in_order(file: pq.ParquetFile, taps: int) -> bool:
    last = -1
    for piece in file.iter_batches(_PIECE_ROWS, columns=["no"]):
        no = np.concatenate([[last], piece.column(0).to_numpy()])
        last = int(no[-1])
        if (np.diff(no) <= 0).any() or last >= taps:
            return False
    return True

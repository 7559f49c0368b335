"""The files between the steps: what was done in which pieces leaves no trace in them."""

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.workfiles import GROUP_ROWS, counted, read_table, summed, write_batches

ROWS = 2 * GROUP_ROWS + 4_321


def some_rows(rows: int) -> pa.Table:
    """Rows as the rules leave them, the same for the same number."""
    drawn = np.random.default_rng(rows)
    words = pa.array(["accepted", "too_late", "duplicate"])
    return pa.table(
        {
            "no": pa.array(np.arange(rows)),
            "price_fen": pa.array(drawn.integers(0, 900, rows), mask=drawn.random(rows) < 0.1),
            "verdict": words.take(drawn.integers(0, 3, rows)),
            "tac_ok": pa.array(drawn.random(rows) < 0.9),
        }
    )


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=6))
def test_a_file_does_not_tell_in_which_batches_its_rows_came(cuts: list[int]) -> None:
    table = some_rows(ROWS)
    ends = [0, *sorted(cuts), ROWS]
    parts = [table.slice(start, end - start) for start, end in pairwise(ends)]
    with tempfile.TemporaryDirectory() as folder:
        whole = write_batches(Path(folder) / "whole", table.schema, table.to_batches())
        pieces = write_batches(
            Path(folder) / "pieces", table.schema, (b for part in parts for b in part.to_batches())
        )
        assert pieces.read_bytes() == whole.read_bytes()
        assert read_table(pieces).equals(table)
        assert counted(pieces, "verdict") == Counter(table["verdict"].to_pylist())
        assert summed(pieces, "price_fen") == sum(
            fen for fen in table["price_fen"].to_pylist() if fen is not None
        )

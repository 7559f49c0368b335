"""The files between the steps: what was done in which pieces leaves no trace in them."""

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.engine.duck import DuckEngine
from clearing.engine.rules import PRICE, Inputs
from clearing.verdict import MONEY
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


def paid_inputs(taps: int, unusual: list[int]) -> Inputs:
    """So many taps of which some are not simply accepted."""
    number = pa.int64()
    tacs_wrong = pa.array([True] * len(unusual), pa.bool_())
    return {
        "tap": pa.table(
            {
                "no": pa.array(np.arange(taps)),
                "amount_fen": pa.array(np.arange(taps) % 7 * 50),
                "tap_day": pa.array(np.full(taps, 20_000)),
                "fare_kind": pa.array(np.arange(taps) % 3),
            }
        ),
        "verdict": pa.table(
            {
                "no": pa.array(unusual, number),
                "verdict": pa.array(["too_late"] * len(unusual), pa.string()),
                "tac_ok": tacs_wrong,
                "chained": tacs_wrong,
                "abroad": pa.array([False] * len(unusual), pa.bool_()),
                "window_over": pa.array([False] * len(unusual), pa.bool_()),
            }
        ),
        "verdict_money": pa.table(
            {"verdict": [one.value for one in MONEY], "money": [money.value for money in MONEY.values()]}
        ),
        "bounds": pa.table({"fare_kind": [0, 1], "tap_day": [20_000, 20_000], "price_fen": [100, 200]}),
        "history_fare": pa.table({"no": pa.array([2], number), "price_fen": pa.array([70], number)}),
    }


@settings(max_examples=20, deadline=None)
@given(
    taps=st.integers(0, 60),
    unusual=st.sets(st.integers(0, 59)),
    stretch=st.integers(1, 61),
)
def test_every_tap_is_paid_alike_and_in_order_in_stretches_of_any_length(
    taps: int, unusual: set[int], stretch: int
) -> None:
    inputs = paid_inputs(taps, sorted(no for no in unusual if no < taps))
    with tempfile.TemporaryDirectory() as folder:
        whole = DuckEngine().run(PRICE, inputs, "paid", Path(folder) / "whole.parquet")
        parts = DuckEngine(stretch=stretch).run(PRICE, inputs, "paid", Path(folder) / "parts.parquet")
        assert parts.read_bytes() == whole.read_bytes()
        rows = read_table(whole).to_pylist()
    assert [row["no"] for row in rows] == list(range(taps))
    for row in rows:
        no, amount_fen = row["no"], row["no"] % 7 * 50
        price_fen = {0: 100, 1: 200}.get(no % 3, 70 if no == 2 else None)
        if no in unusual:
            assert (row["verdict"], row["money"], row["paid_fen"]) == ("too_late", "rejected", 0)
        else:
            differs = price_fen is not None and price_fen != amount_fen
            assert (row["verdict"], row["money"]) == ("price_differs" if differs else "accepted", "paid")
            assert row["paid_fen"] == (amount_fen if price_fen is None else min(price_fen, amount_fen))

"""What both engines rest on: rows put in order whatever files they come in, and which rules nobody need keep."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from api.settings import Settings
from clearing.engine.duck import IN_PROCESS
from clearing.engine.rules import BOUNDS, KINDS, LOOK, MATCH, OWN, PRICE, TWINS, passes_by
from clearing.engine.spark import SPREAD_ROWS
from clearing.workfiles import write_batches


@given(seed=st.integers(0, 1 << 32), cuts=st.lists(st.integers(0, 500), max_size=4))
def test_rows_of_any_files_come_in_order_and_in_the_bytes_of_one(seed: int, cuts: list[int]) -> None:
    chance = np.random.default_rng(seed)
    rows = int(chance.integers(0, 500))
    whole = pa.table(
        {
            "no": pa.array(np.sort(chance.choice(1 << 40, rows, replace=False)), pa.int64()),
            "tac_ok": pa.array(chance.random(rows) < 0.5, pa.bool_()),
            "verdict": pa.array([f"v{number}" for number in chance.integers(0, 3, rows)], pa.string()),
        }
    )
    shuffled = whole.take(chance.permutation(rows))
    with tempfile.TemporaryDirectory() as folder:
        expected = write_batches(Path(folder) / "expected.parquet", whole.schema, whole.to_batches())
        ends = sorted(min(cut, rows) for cut in [*cuts, rows])
        parts = [Path(folder) / f"part-{number}*.parquet" for number in range(len(ends))]
        for path, start, end in zip(parts, [0, *ends], ends, strict=False):
            pq.write_table(shuffled.slice(start, end - start), path)
        made = IN_PROCESS.in_order(parts, Path(folder) / "made.parquet")
        assert made.read_bytes() == expected.read_bytes()


def test_only_where_cards_break_off_passes_by_a_single_rule() -> None:
    lists = (LOOK, KINDS, BOUNDS, OWN, TWINS, MATCH, PRICE)
    assert [rule for rules in lists for rule in rules if passes_by(rule, rules)] == ["02_breaks"]


def test_the_bounds_that_settings_begin_with_are_the_engines_own() -> None:
    settings = Settings.model_fields
    assert settings["night_spread_rows"].default == SPREAD_ROWS
    assert settings["night_memory_mib"].default == IN_PROCESS.memory_mib

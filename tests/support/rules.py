"""The night's rules on the engine of this process, their result as a table."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from clearing.engine.duck import DuckEngine
from clearing.engine.rules import Inputs
from clearing.workfiles import read_table


def run(rules: Sequence[str], inputs: Inputs, result: str) -> pa.Table:
    """Run rules over tables; the rows of the view `result`."""
    with tempfile.TemporaryDirectory() as folder:
        return read_table(DuckEngine().run(rules, inputs, result, Path(folder) / "result.parquet"))

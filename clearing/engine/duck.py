"""The night's rules on DuckDB, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from clearing.engine.rules import Inputs, rule_text, view_name
from clearing.workfiles import write_batches

BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class DuckEngine:
    """A database in memory for each run, gone after it."""

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules in order over named tables (see RuleEngine).

        Each rule is computed once and kept, since later rules read it more than once.
        """
        with duckdb.connect(":memory:") as engine:
            for name, table in inputs.items():
                if isinstance(table, Path):
                    engine.read_parquet(str(table)).create_view(name)
                else:
                    engine.register(name, table)
            for rule in rules:
                engine.execute(f"CREATE TEMP TABLE {view_name(rule)} AS {rule_text(rule)}")
            return write_batches(to, engine.table(result).order("no").to_arrow_reader(BATCH_ROWS))


IN_PROCESS = DuckEngine()
"""What runs the rules where nothing else is asked for."""

"""The night's rules on DuckDB, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from clearing.engine.duck_room import name_file, opened_room, threads_for
from clearing.engine.rules import Awaited, Inputs, names_read, rule_text, view_name
from clearing.workfiles import write_batches

BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class DuckEngine:
    """A database in memory for each run, gone after it.

    It holds at most `memory_mib`; what does not fit it spills into the folder `spill`, by default beside the result.
    `threads` run at once, by default as many as there are cores, or one where that has it all at once.
    """

    memory_mib: int = 1024
    threads: int | None = None
    spill: Path | None = None

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules in order over named tables (see RuleEngine).

        Each rule is computed once and kept, since later rules read it more than once; the result is not kept.
        """
        spill = self.spill or to.parent / "spill"
        threads = self.threads or threads_for(max(map(_rows, inputs.values()), default=0))
        with opened_room(f"{self.memory_mib}MiB", spill, threads) as engine:
            coming = dict(inputs)
            for rule in rules:
                for name in sorted(names_read(rule) & set(coming)):
                    _give(engine, name, coming.pop(name))
                kind = "VIEW" if view_name(rule) == result else "TABLE"
                engine.execute(f"CREATE TEMP {kind} {view_name(rule)} AS {rule_text(rule)}")
            return _written(engine.sql(f"FROM {result} ORDER BY no"), to)

    def in_order(self, parts: Sequence[Path], to: Path) -> Path:
        """Put the rows of Parquet files into one, by their `no`; the bytes are those that `run` would have written."""
        threads = self.threads or threads_for(sum(map(_rows, parts)))
        with opened_room(f"{self.memory_mib}MiB", self.spill or to.parent / "spill", threads) as engine:
            return _written(engine.read_parquet([*map(str, parts)]).order("no"), to)


def _written(in_order: duckdb.DuckDBPyRelation, to: Path) -> Path:
    ordered = in_order.to_arrow_reader(BATCH_ROWS)
    return write_batches(to, ordered.schema, ordered)


def rows_in_files(inputs: Inputs) -> int:
    """How many rows those inputs have that are files."""
    return sum(_rows(table) for table in inputs.values() if isinstance(table, Path))


def _rows(table: pa.Table | Path | Awaited) -> int:
    """How many there are; of what is awaited none, as it is about taps that are counted already."""
    if isinstance(table, Path):
        return int(pq.read_metadata(table).num_rows)
    return int(table.num_rows) if isinstance(table, pa.Table) else 0


def _give(engine: duckdb.DuckDBPyConnection, name: str, table: pa.Table | Path | Awaited) -> None:
    if isinstance(table, Path):
        name_file(engine, name, table)
    else:
        engine.register(name, table if isinstance(table, pa.Table) else table())


IN_PROCESS = DuckEngine()
"""What runs the rules where nothing else is asked for."""

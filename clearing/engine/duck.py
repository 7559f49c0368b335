"""The night's rules on DuckDB, in this process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clearing.engine.duck_room import opened_room, threads_for
from clearing.engine.rules import EVERY_TAP, Inputs, rule_text, view_name
from clearing.workfiles import write_batches
from ledger.ahead import ahead

BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class DuckEngine:
    """A database in memory for each run, gone after it.

    It holds at most `memory_mib`; what does not fit it spills into the folder `spill`, by default beside the result.
    `threads` run at once, by default as many as there are cores, or one where that has it all at once. A rule for
    every tap is asked of a `stretch` of taps at a time, so many that what it joins them with need not be read too
    often.
    """

    memory_mib: int = 1024
    threads: int | None = None
    spill: Path | None = None
    stretch: int = 1 << 20

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules in order over named tables (see RuleEngine).

        Each rule is computed once and kept, since later rules read it more than once; the result is not kept.
        """
        spill = self.spill or to.parent / "spill"
        threads = self.threads or threads_for(max(map(_rows, inputs.values()), default=0))
        with opened_room(f"{self.memory_mib}MiB", spill, threads) as engine:
            for name, table in inputs.items():
                if isinstance(table, Path):
                    engine.read_parquet(str(table)).create_view(name)
                else:
                    engine.register(name, table)
            for rule in rules:
                kind = "VIEW" if view_name(rule) == result else "TABLE"
                engine.execute(f"CREATE TEMP {kind} {view_name(rule)} AS {rule_text(rule)}")
            if rules[-1] in EVERY_TAP:
                schema = engine.table(result).limit(0).to_arrow_table().schema
                with ahead(_by_stretches(engine, result, self.stretch)) as stretches:
                    return write_batches(to, schema, chain.from_iterable(map(pa.Table.to_batches, stretches)))
            ordered = engine.table(result).order("no").to_arrow_reader(BATCH_ROWS)
            return write_batches(to, ordered.schema, ordered)


def _rows(table: pa.Table | Path) -> int:
    return int(pq.read_metadata(table).num_rows if isinstance(table, Path) else table.num_rows)


def _by_stretches(engine: duckdb.DuckDBPyConnection, result: str, stretch: int) -> Iterator[pa.Table]:
    """The rows of a view by their `no`, some taps' at a time: so many are put in order faster than all at once.

    They come nearly in order, but for those that share a vector with others that a join has matched otherwise.
    """
    ((first, last),) = engine.sql("SELECT min(no), max(no) FROM tap").fetchall()
    if first is None:
        return
    for start in range(first, last + 1, stretch):
        rows = engine.table(result).filter(f"no >= {start} AND no < {start + stretch}").to_arrow_table()
        order = np.argsort(rows.column("no").to_numpy(), kind="stable")
        yield rows.take(pa.array(order))


IN_PROCESS = DuckEngine()
"""What runs the rules where nothing else is asked for."""

"""Post lines in bounded batches in a process of its own, and say how long it took and how much memory."""

import json
import sys
import time

import pyarrow as pa
from sqlalchemy import Connection, select

from city.benchmarks.ledger_books import Cast, batches, post_all
from city.benchmarks.memory import peak_kib
from ledger import tables
from ledger.db import make_engine, reading


def main() -> None:
    """`python -m city.benchmarks.post_lines URL LINES A_BATCH SEED`: prints one JSON object, memory in MiB."""
    url, lines, a_batch, seed = sys.argv[1], *map(int, sys.argv[2:])
    engine = make_engine(url)
    with reading(engine) as conn:
        cast = Cast(_codes(conn, "agent"), _codes(conn, "clearing"))
    directory = cast.learnt(engine)
    began = time.perf_counter()
    post_all(engine, batches(cast, lines=lines, a_batch=a_batch, seed=seed), directory, f"bulk-{seed}")
    took_s = time.perf_counter() - began
    print(json.dumps({"took_s": took_s, "peak_mib": round(peak_kib() / 1024, 1)}))


def _codes(conn: Connection, segment: str) -> pa.StringArray:
    account = tables.account.c
    query = select(account.code).where(account.segment == segment).order_by(account.code)
    # Streamed: as one answer they would take more than all the posting that is to be measured.
    rows = conn.scalars(query, execution_options={"stream_results": True, "yield_per": 50_000})
    return pa.concat_arrays([pa.array(some, pa.string()) for some in rows.partitions()])


if __name__ == "__main__":
    main()

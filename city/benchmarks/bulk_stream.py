"""A night of taps streamed to the HSM by a process of its own, which says how fast it was and how much it held."""

import json
import sys
import time
from collections.abc import Iterator

import numpy as np

from card.hsm.client import Hsm
from card.hsm.columns import WIDTHS, TacColumns
from city.benchmarks.memory import peak_kib

BATCH_ROWS = 50_000
RIGHT_EVERY = 7
# The worked purchase of the formats' page and its TAC, in the order of the columns.
_RIGHT_ROW = bytes.fromhex(
    "01 00 01011000FFFFFFFF 4870000000001234 000000C8 06 518000000001 00000057 20260131 164329 CFF2892D"
)


def batch(rows: int, seed: int) -> TacColumns:
    """Purchases at random, no card twice, whose TACs are wrong but for every seventh row's."""
    columns = {}
    drawn = np.random.default_rng(seed)
    start = 0
    for name, width in WIDTHS.items():
        column = drawn.integers(0, 256, (rows, width), dtype=np.uint8)
        if name in ("version", "algorithm"):
            column[:] = _RIGHT_ROW[start]
        column[::RIGHT_EVERY] = np.frombuffer(_RIGHT_ROW, np.uint8, width, start)
        columns[name] = column
        start += width
    return TacColumns(**columns)


def stream(hsm: Hsm, rows: int, ready: TacColumns | None = None) -> float:
    """Seconds to have so many rows verified, batch after batch: the `ready` batch over and over, or ever new ones.

    Raises RuntimeError where other rows are right than should be.
    """

    def batches() -> Iterator[TacColumns]:
        for start in range(0, rows, BATCH_ROWS):
            yield ready or batch(min(BATCH_ROWS, rows - start), start)

    began = time.perf_counter()
    for verdicts in hsm.verify_tacs_in_turn(batches()):
        if int(verdicts.sum()) != -(-len(verdicts) // RIGHT_EVERY) or not verdicts[::RIGHT_EVERY].all():
            raise RuntimeError(
                f"{int(verdicts.sum())} of {len(verdicts)} TACs are right; every seventh should be"
            )
    return time.perf_counter() - began


def main() -> None:
    """`python -m city.benchmarks.bulk_stream PORT ROWS`: prints one JSON object, memory in MiB."""
    port, rows = int(sys.argv[1]), int(sys.argv[2])
    with Hsm("127.0.0.1", port) as hsm:
        took_s = stream(hsm, rows)
    print(json.dumps({"rows_per_s": rows / took_s, "peak_mib": round(peak_kib() / 1024, 1)}))


if __name__ == "__main__":
    main()

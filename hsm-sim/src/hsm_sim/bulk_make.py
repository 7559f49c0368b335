"""TACs made by the million under the published demo keys, for days that are generated to measure with.

`python -m hsm_sim.bulk_make` reads requests from its input, the number of rows in 4 bytes and the columns of F0, and
answers each with the column of TACs; it ends with its input. No real key comes near it.
"""

import os
import sys

import numpy as np

from hsm_sim.bulk_work import ROW_BYTES
from hsm_sim.kernel_cache import cache_folder
from hsm_sim.kernels import compiled_maker
from hsm_sim.keys import DEMO_KEYS, Usage


def main() -> None:
    """Answer until the input ends."""
    make = compiled_maker(cache_folder(os.environ))
    while head := sys.stdin.buffer.read(4):
        rows = int.from_bytes(head, "big")
        cells = np.frombuffer(sys.stdin.buffer.read(rows * ROW_BYTES), np.uint8)
        sys.stdout.buffer.write(make(rows, cells, {1: DEMO_KEYS[Usage.TAC_ROOT]}).astype(">u4").tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

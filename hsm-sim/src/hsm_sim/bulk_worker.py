"""The process that verifies TACs in bulk, so that a tap at a gate need not wait for the night's.

It reads work from its standard input and writes the verdicts to its standard output, until the input ends.
Keys reach it through that pipe and live only in its memory.
"""

import os
import signal
import sys
from typing import BinaryIO

import numpy as np

from hsm_sim.bulk import TacColumns, verify_tacs
from hsm_sim.bulk_work import BulkWork

NICENESS = 5
"""Online requests go before the night's work where processors are scarce."""


def serve(work_in: BinaryIO, verdicts_out: BinaryIO) -> None:
    """Answer each piece of work with a bit a row, most significant first, until there is no more."""
    while work := BulkWork.read(work_in):
        verdicts = verify_tacs(TacColumns.unpack(work.rows, work.columns), work.roots)
        verdicts_out.write(np.packbits(verdicts).tobytes())
        verdicts_out.flush()


def main() -> None:
    """Serve the process that started this one."""
    # An interrupt at the terminal reaches the whole group; the server ends us by closing our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()

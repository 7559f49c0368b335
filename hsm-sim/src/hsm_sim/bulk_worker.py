"""The process that verifies TACs in bulk, so that a tap at a gate need not wait for the night's.

The columns lie in memory shared with the process that started this one. Their number and the keys come through
standard input, the verdicts go to standard output, until the input ends. Keys live only in this memory.
"""

import mmap
import os
import signal
import sys
from collections.abc import Callable, Mapping
from threading import Thread
from typing import BinaryIO

import numpy as np

from hsm_sim.bulk import DES, Bytes, Verifier, verify_tacs
from hsm_sim.bulk_lanes import NUMPY_VERIFIERS
from hsm_sim.bulk_singly import verify_singly
from hsm_sim.bulk_work import ROW_BYTES, read_head
from hsm_sim.kernel_cache import cache_folder

NICENESS = 5
"""Online requests go before the night's work where processors are scarce."""


SMALL_ROWS = 8_192
"""Up to so many rows NumPy verifies in less time than a kernel takes to compile."""
FEW_ROWS = 1_000
"""Until more have been asked for in all, nothing is compiled: they are verified before Numba is even loaded."""
SINGLE_ROWS = 1_000
"""Up to so many rows of DES are verified one after another in less time than NumPy takes for any number."""
SINGLY = {**NUMPY_VERIFIERS, DES: verify_singly}


class Verifiers:
    """Who verifies: compiled kernels, or NumPy where there are none, or where little is asked while they compile.

    Few rows of DES are verified one after another instead of by NumPy.
    """

    def __init__(self) -> None:
        self._compiled: Mapping[int, Verifier] | None = None
        self._compiling = Thread(target=self._compile, name="compile", daemon=True)
        self._begun = False
        self._asked_rows = 0

    def of(self, rows: int) -> Mapping[int, Verifier]:
        """What verifies so many rows. For many it waits, as NumPy and the compiler would only hinder each other."""
        self._asked_rows += rows
        if not self._begun and self._asked_rows > FEW_ROWS:
            self._begun = True
            self._compiling.start()
        if rows > SMALL_ROWS:
            self._compiling.join()
        return self._compiled or (SINGLY if rows <= SINGLE_ROWS else NUMPY_VERIFIERS)

    def _compile(self) -> None:
        try:
            from hsm_sim.kernels import KernelsUnfit, compiled_verifiers
        except ImportError:
            return
        try:
            self._compiled = compiled_verifiers(cache_folder(os.environ))
        except KernelsUnfit as flaw:
            print(f"hsm-sim: the compiled kernels are not used: {flaw}", file=sys.stderr, flush=True)


def serve(
    work_in: BinaryIO,
    verdicts_out: BinaryIO,
    shared: Bytes,
    verifiers: Callable[[int], Mapping[int, Verifier]],
) -> None:
    """Answer each piece of work with a bit a row, most significant first, until there is no more.

    `shared` begins with the columns of the work that has come; `verifiers` says what verifies so many rows.
    """
    while work := read_head(work_in):
        rows, roots = work
        verdicts = verify_tacs(rows, shared[: rows * ROW_BYTES], roots, verifiers(rows))
        verdicts_out.write(np.packbits(verdicts).tobytes())
        verdicts_out.flush()


def main() -> None:
    """Serve the process that started this one; the last word of the command line is the shared memory's number."""
    # An interrupt at the terminal reaches the whole group; the server ends us by closing our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    shared = np.frombuffer(mmap.mmap(int(sys.argv[-1]), 0, prot=mmap.PROT_READ), np.uint8)
    serve(sys.stdin.buffer, sys.stdout.buffer, shared, Verifiers().of)
    # Whatever is still being compiled is not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()

"""TACs of both suites by kernels that Numba has compiled; without Numba, importing this raises ImportError.

Compiling takes seconds, in which nothing is verified: it is to be done beside the work, not in its way.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import config, njit, types

from hsm_sim import (
    bulk_work,
    des_kernel,
    des_tables,
    lane_rows,
    raw_rows,
    sbox_circuits,
    sm4_kernel,
    sm4_tables,
)
from hsm_sim.bulk import DES, SM4, Bytes, RowNumbers, Verdicts, Verifier, verify_tacs
from hsm_sim.bulk_work import COLUMN_WIDTHS
from hsm_sim.kernel_cache import kept

_SOURCES = (bulk_work, des_kernel, des_tables, lane_rows, raw_rows, sbox_circuits, sm4_kernel, sm4_tables)

_CELLS = types.Array(types.uint8, 1, "C", readonly=True)
_CHOSEN = types.Array(types.int64, 1, "C")
_ROOTS = types.Array(types.uint64, 2, "C")
_PLANES = types.Array(types.uint64, 2, "C")
_VERDICTS = types.Array(types.boolean, 1, "C")
_DES_SIGNATURE = types.void(_CELLS, types.int64, _CHOSEN, _ROOTS, _PLANES, _VERDICTS)
_SM4_SIGNATURE = types.void(_CELLS, types.int64, _CHOSEN, _ROOTS, _VERDICTS)

_MAKE_SIGNATURE = types.void(_CELLS, types.int64, _CHOSEN, _ROOTS, _PLANES, types.Array(types.uint32, 1, "C"))

Compiled = TypeVar("Compiled")
Maker = Callable[[int, Bytes, Mapping[int, bytes]], npt.NDArray[np.uint32]]
"""Makes the TACs of rows: takes their number, the columns of F0 (what stands in that of the TAC does not matter), and
the root of each key version."""

# A worked purchase, and its right TAC in each suite.
_KNOWN_ROOT = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
_KNOWN_ROW = bytes.fromhex("01011000FFFFFFFF4870000000001234000000C8065180000000010000005720260131164329")
_KNOWN_TACS = {DES: "CFF2892D", SM4: "43AABEE5"}


class KernelsUnfit(Exception):
    """The compiled kernels do not give the answers that are known."""


def compiled_verifiers(folder: Path | None) -> Mapping[int, Verifier]:
    """What verifies both suites, compiled, or taken from what `folder` keeps of an earlier compilation.

    Where the folder cannot be used they are compiled all the same. Raises KernelsUnfit where they do not verify
    what they should.
    """
    verifiers = _from_folder(folder, _compiled)
    prove(verifiers)
    return verifiers


def compiled_maker(folder: Path | None) -> Maker:
    """What makes TACs of the international suite, as cards would; compiled and kept like the verifiers."""
    return _from_folder(folder, _compiled_maker)


def _from_folder(folder: Path | None, compiled: Callable[..., Compiled]) -> Compiled:
    """What is compiled, or taken from the folder where it can be used."""
    if folder is None:
        return compiled(cache=False)
    made_from = b"".join(Path(str(module.__file__)).read_bytes() for module in _SOURCES)
    try:
        with kept(folder, made_from) as files:
            config.CACHE_DIR = str(files)
            return compiled(cache=True)
    except OSError:
        return compiled(cache=False)


def _compiled_maker(*, cache: bool) -> Maker:
    make_des = njit(_MAKE_SIGNATURE, cache=cache, nogil=True)(des_kernel.make_des)
    planes = des_kernel.scratch()

    def maker(rows: int, cells: Bytes, roots: Mapping[int, bytes]) -> npt.NDArray[np.uint32]:
        tacs = np.empty(rows, np.uint32)
        make_des(cells, rows, np.arange(rows), _by_version(roots), planes, tacs)
        return tacs

    return maker


def _compiled(*, cache: bool) -> Mapping[int, Verifier]:
    # Only the outermost functions are kept: they contain all that they call.
    verify_des = njit(_DES_SIGNATURE, cache=cache, nogil=True)(des_kernel.verify_des)
    verify_sm4 = njit(_SM4_SIGNATURE, cache=cache, nogil=True)(sm4_kernel.verify_sm4)
    planes = des_kernel.scratch()

    def des(rows: int, cells: Bytes, chosen: RowNumbers, roots: Any, verdicts: Verdicts) -> None:
        verify_des(cells, rows, chosen, roots, planes, verdicts)

    def sm4(rows: int, cells: Bytes, chosen: RowNumbers, roots: Any, verdicts: Verdicts) -> None:
        verify_sm4(cells, rows, chosen, roots, verdicts)

    return {DES: _verifier(des), SM4: _verifier(sm4)}


def _verifier(kernel: Callable[[int, Bytes, RowNumbers, Any, Verdicts], None]) -> Verifier:
    def verifier(rows: int, cells: Bytes, chosen: RowNumbers, roots: Mapping[int, bytes]) -> Verdicts:
        verdicts = np.empty(len(chosen), np.bool_)
        kernel(rows, cells, chosen, _by_version(roots), verdicts)
        return verdicts

    return verifier


def _by_version(roots: Mapping[int, bytes]) -> npt.NDArray[np.uint64]:
    table = np.zeros((256, 2), np.uint64)
    for version, root in roots.items():
        table[version] = np.frombuffer(root, ">u8")
    return table


def prove(verifiers: Mapping[int, Verifier]) -> None:
    """Raise KernelsUnfit unless a right and a wrong TAC of each suite are told apart."""
    for algorithm, tac in _KNOWN_TACS.items():
        right = bytes((1, algorithm)) + _KNOWN_ROW + bytes.fromhex(tac)
        wrong = right[:-1] + bytes((right[-1] ^ 1,))
        cells = np.frombuffer(_in_columns(right, wrong), np.uint8)
        found = verify_tacs(2, cells, {(1, algorithm): _KNOWN_ROOT}, verifiers).tolist()
        if found != [True, False]:
            raise KernelsUnfit(
                f"algorithm {algorithm:02d}: a right TAC and a wrong one are said to be {found}"
            )


def _in_columns(*rows: bytes) -> bytes:
    start, columns = 0, []
    for width in COLUMN_WIDTHS:
        columns += [row[start : start + width] for row in rows]
        start += width
    return b"".join(columns)

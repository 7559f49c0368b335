"""How many TACs a second one core verifies from the root key: singly, by NumPy, by the compiled kernels.

`python -m hsm_sim.bulk_speed [ROWS]` prints one JSON object: by suite and way, the best of some rounds, which take
turns so that whatever else the machine does weighs on all of them. It also leaves the compiled kernels in their
cache, where the next worker finds them ready.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

from hsm_sim import epurse, sm4
from hsm_sim.bulk import DES, SM4, Bytes, TacColumns, Verifier, verify_tacs
from hsm_sim.bulk_lanes import NUMPY_VERIFIERS
from hsm_sim.bulk_work import ROW_BYTES
from hsm_sim.kernel_cache import cache_folder
from hsm_sim.suites import forget_derived_keys

ROUNDS = 5
DEFAULT_ROWS = 400_000
_SINGLY_ROWS = 2_000
_NUMPY_ROWS = 1 << 17
_NAMES = {DES: "3DES", SM4: "SM4"}
_ROOT = bytes(range(16))

Single = Callable[[bytes, bytes, bytes], bytes]


def des_tac(issuer: bytes, card: bytes, message: bytes) -> bytes:
    """One TAC of the international suite, made the obvious way: derive for the issuer, for the card, then the MAC."""
    return epurse.tac(_ROOT, issuer, card, message)


def sm4_tac(issuer: bytes, card: bytes, message: bytes) -> bytes:
    """One TAC of the national suite, made the obvious way."""
    return sm4.mac(sm4.card_key(_ROOT, issuer, card), message)


def measure(rows: int) -> dict[str, dict[str, float]]:
    """TACs a second by suite and way. Raises RuntimeError where the ways do not agree."""
    ways = {"numpy": NUMPY_VERIFIERS, **_compiled()}
    return {
        _NAMES[algorithm]: _suite(algorithm, single, rows, ways) for algorithm, single in _SINGLES.items()
    }


_SINGLES: Mapping[int, Single] = {DES: des_tac, SM4: sm4_tac}


def _compiled() -> dict[str, Mapping[int, Verifier]]:
    try:
        from hsm_sim.kernels import compiled_verifiers
    except ImportError:
        return {}
    return {"compiled": compiled_verifiers(cache_folder(os.environ))}


def _suite(
    algorithm: int, single: Single, rows: int, ways: Mapping[str, Mapping[int, Verifier]]
) -> dict[str, float]:
    cells = _drawn(rows, algorithm)
    columns = TacColumns.unpack(rows, cells)
    few = columns.rows(np.arange(min(rows, _SINGLY_ROWS)))
    asked = [
        (issuer.tobytes(), card.tobytes(), message.tobytes())
        for issuer, card, message in zip(few.issuer, few.card, few.message(), strict=True)
    ]
    found: dict[str, float] = {}
    for _ in range(ROUNDS):
        # From the root, as the other ways do: a round before has left each card's key ready.
        forget_derived_keys()
        began = time.perf_counter()
        tacs = [single(*each) for each in asked]
        _keep_best(found, "singly", len(asked), began)
        columns.tac[: len(tacs)] = np.frombuffer(b"".join(tacs), np.uint8).reshape(-1, 4)
        for way, verifiers in ways.items():
            count = min(rows, _NUMPY_ROWS) if way == "numpy" else rows
            taken = cells if count == rows else _first(columns, count)
            began = time.perf_counter()
            verdicts = verify_tacs(count, taken, {(1, algorithm): _ROOT}, verifiers)
            _keep_best(found, way, count, began)
            if not verdicts[: len(tacs)].all():
                raise RuntimeError(f"{_NAMES[algorithm]}: {way} finds wrong a TAC that is right")
    return found


def _drawn(rows: int, algorithm: int) -> Bytes:
    """Rows at random of one algorithm and version 1, every one of another card and issuer."""
    cells = np.random.default_rng(1).integers(0, 256, rows * ROW_BYTES, dtype=np.uint8)
    cells[:rows], cells[rows : 2 * rows] = 1, algorithm
    return cells


def _first(columns: TacColumns, rows: int) -> Bytes:
    taken = columns.rows(np.arange(rows))
    return np.concatenate([getattr(taken, name).ravel() for name in TacColumns.__slots__])


def _keep_best(found: dict[str, float], way: str, rows: int, began: float) -> None:
    found[way] = max(found.get(way, 0.0), rows / (time.perf_counter() - began))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROWS)))

"""The compiled fare kernels are those of today's sources."""

from pathlib import Path

import numba
import numpy as np
import pytest

from clearing.sectors.transit.fare_machine import KERNELS, SOURCES, Kernels, compiled, digest


def made_from(kernels: Kernels) -> int:
    """What the kernel that orders taps was compiled from, as two taps of one card tell."""
    ones = np.ones(2, np.int64)
    arguments = np.zeros(2, np.int64), 1, np.array([60, 0]), ones, ones, np.arange(2)
    order, starts, of = kernels.in_order(
        *arguments, np.zeros(2, np.int64), np.zeros(2, np.bool_), np.zeros((2, 64), np.uint8)
    )
    assert order.tolist() == [1, 0] and starts.tolist() == [0, 2]
    return of


def test_what_was_compiled_from_other_sources_is_not_taken_for_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that is called stands in another file: Numba itself would not see it change."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    earlier, later = digest(b"as it was"), digest(b"as it is")
    assert made_from(compiled(earlier)) == earlier
    kept = {path.name for path in tmp_path.rglob("*.nbc")}
    assert made_from(compiled(later)) == later
    anew = {path.name for path in tmp_path.rglob("*.nbc")} - kept
    assert made_from(compiled(earlier)) == earlier
    assert len(kept) == len(anew) == 1
    assert {path.name for path in tmp_path.rglob("*.nbc")} == kept | anew


def test_the_kernels_are_made_from_every_file_of_them() -> None:
    folder = Path(str(SOURCES[0].__file__)).parent
    machine_code = {path for path in folder.glob("*.py") if "@inner" in path.read_text()}
    assert machine_code and machine_code < {Path(str(module.__file__)) for module in SOURCES}
    assert made_from(KERNELS) == digest(b"".join(Path(str(one.__file__)).read_bytes() for one in SOURCES))

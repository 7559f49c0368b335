"""Tonight's taps as their validators numbered them, in parts of whole terminals: a night has more than memory holds.

While all taps pass by, what is counted of each goes to the file of its terminal's part; then a part at a time is read.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clearing.columns import numbers, truths
from clearing.context import Night
from clearing.open_gaps import Validator
from clearing.presented import presented_taps
from clearing.priced import PRICED, Priced
from clearing.tap_file import TAPS
from clearing.terminal_numbers import Numbered
from clearing.verdict import Verdict

UNCOUNTED: Final = (
    Verdict.MALFORMED, Verdict.DUPLICATE, Verdict.DEVICE_UNKNOWN, Verdict.DEVICE_WITHDRAWN,
)  # fmt: skip
"""Verdicts on taps that say nothing of the terminal they name."""
PART_TAPS: Final = 1_000_000
"""Counting them takes some 150 bytes each."""
_ROW: Final = np.dtype([("validator", "i8"), ("number", "u4"), ("sure", "?"), ("at_s", "i8")])
_TERMINAL_BITS: Final = 48
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 by the golden ratio: multiplied by it, numbers in any regular order fall all over the place (Knuth, 6.4)."""

Rows = npt.NDArray[np.void]


def numbered_parts(
    night: Night, abroad: Collection[str], part_taps: int = PART_TAPS
) -> Iterator[tuple[list[Validator], Numbered]]:
    """Tonight's validators but those of the operators `abroad`, in order, and their taps; a part of them at a time.

    There are parts enough for `part_taps` in each, where no single terminal has more.
    """
    taps = pq.read_metadata(night.work / TAPS).num_rows
    operators: dict[str, int] = {}
    with ExitStack() as files:
        parts = [
            files.enter_context(TemporaryFile(dir=night.work)) for _ in range(max(1, -(-taps // part_taps)))
        ]
        for rows in _counted(night, taps, abroad, operators):
            part = _part_of(rows["validator"], len(parts))
            for number, file in enumerate(parts):
                file.write(rows[part == number].tobytes())
        names = list(operators)
        for file in parts:
            file.seek(0)
            yield _numbered(np.frombuffer(file.read(), _ROW), names)


def _counted(night: Night, taps: int, abroad: Collection[str], operators: dict[str, int]) -> Iterator[Rows]:
    """What is counted of the taps, some at a time; each operator gets the next place among `operators`."""
    priced = Priced(night.work / PRICED, taps)
    left_out = pa.array([one.value for one in UNCOUNTED])
    for some in presented_taps(night, ["terminal_sequence"]):
        found = priced.beside(some)
        counts: Any = pc.invert(pc.is_in(found["verdict"], value_set=left_out))
        if abroad:
            counts = pc.and_not(
                counts, pc.is_in(some["operator"], value_set=pa.array(sorted(abroad), pa.string()))
            )
        # A terminal that does not number its taps says 0.
        counts = pc.and_(counts, pc.greater(some["terminal_sequence"], pa.scalar(0)))
        some, sure = some.filter(counts), found.filter(counts)
        coded: Any = some["operator"].combine_chunks().dictionary_encode()
        places = [operators.setdefault(name, len(operators)) for name in coded.dictionary.to_pylist()]
        operator = np.array(places, np.int64)[coded.indices.to_numpy()]
        rows = np.empty(some.num_rows, _ROW)
        rows["validator"] = operator << _TERMINAL_BITS | numbers(some, "terminal_no")
        rows["number"], rows["at_s"] = numbers(some, "terminal_sequence"), numbers(some, "at_s")
        rows["sure"] = truths(sure, "tac_ok")
        yield rows


def _part_of(validator: npt.NDArray[np.int64], parts: int) -> npt.NDArray[np.uint64]:
    """In which part each validator is."""
    return (validator.astype(np.uint64) * _SPREAD >> np.uint64(32)) % np.uint64(parts)


def _numbered(rows: Rows, operators: list[str]) -> tuple[list[Validator], Numbered]:
    keys, place = np.unique(rows["validator"], return_inverse=True)
    validators = [
        (operators[key >> _TERMINAL_BITS], f"{key & ((1 << _TERMINAL_BITS) - 1):012X}")
        for key in keys.tolist()
    ]
    number, at_s = (rows[name].astype(np.int64) for name in ("number", "at_s"))
    return validators, Numbered(place.astype(np.int64), number, at_s, rows["sure"].astype(np.bool_))

"""Records as columns: what a night's rules read, made from raw bytes without a step per record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clearing.wire.batch import RECORD_BYTES, RECORD_DTYPE, RecordError, TapRecord, unreadable
from clearing.wire.record import FULL_FARE_FLAG, LINKED_FLAG

EPOCH = date(1970, 1, 1)
CITY_OFFSET_S = 8 * 3600
"""The city's zone has kept to UTC+8 since 1992."""

NUMBERS = (
    "ride",
    "counter",
    "balance_before_fen",
    "amount_fen",
    "kind",
    "terminal_sequence",
    "key_version",
    "algorithm",
    "list_fare_fen",
    "holder_class",
    "line",
    "station",
    "tariff_version",
    "hotlist_version",
)
TEXTS = ("issuer", "card_no", "terminal", "tac")


@dataclass(frozen=True, slots=True)
class Presented:
    """Records of one batch that come before a night: all of a new one, or those retried of an old one.

    `records` are 64 bytes each; `positions` are their places in the file; `presented_on` is the night they
    first came before.
    """

    operator: str
    sequence: int
    presented_on: date
    retried: bool
    positions: npt.NDArray[np.int64]
    records: bytes


def day_number(day: date) -> int:
    """Days since 1970-01-01: dates as the rules know them, since engines differ on date arithmetic."""
    return (day - EPOCH).days


def rows_of(table: pa.Table) -> npt.NDArray[np.void]:
    """The records of a taps table, as rows of RECORD_DTYPE (big-endian)."""
    return np.frombuffer(b"".join(_values(table, "record")), RECORD_DTYPE)


def texts(table: pa.Table, name: str) -> list[str]:
    """A column of texts without nulls."""
    return _values(table, name)


def numbers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """A column of whole numbers without nulls."""
    return np.asarray(table.column(name).to_numpy(), np.int64)


def truths(table: pa.Table, name: str) -> npt.NDArray[np.bool_]:
    """A column of yes or no without nulls."""
    return np.asarray(table.column(name).to_numpy(), np.bool_)


def is_text(table: pa.Table, name: str, text: str) -> npt.NDArray[np.bool_]:
    """Where a column of texts has this one."""
    same: Any = pc.equal(table.column(name), pa.scalar(text, pa.string()))
    return np.asarray(same.to_numpy(), np.bool_)


def rows_where(table: pa.Table, wanted: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows where `wanted` holds, in order."""
    return table.filter(pa.array(wanted))


def _values(table: pa.Table, name: str) -> list[Any]:
    values: list[Any] = table.column(name).to_pylist()
    return values


def tap_table(groups: Sequence[Presented]) -> pa.Table:
    """All taps before a night, sorted by (operator, sequence, position) and numbered `no` in that order.

    A record that cannot be read keeps its raw columns, has no `at_s` and `tap_day`, and says why in `flaw`.
    `at_s` is seconds since the epoch, `tap_day` and `presented_day` are days since it, `tap_day` in the
    city's zone.
    """
    groups = sorted(groups, key=lambda group: (group.operator, group.sequence))
    raw = b"".join(group.records for group in groups)
    rows = np.frombuffer(raw, RECORD_DTYPE)
    sizes = [len(group.positions) for group in groups]
    of_group = np.repeat(np.arange(len(groups)), sizes)
    bad = unreadable(rows)
    at_s, tap_day = _moments(rows["moment"], bad)
    columns: dict[str, pa.Array[Any]] = {
        "no": pa.array(np.arange(len(rows), dtype=np.int64)),
        "operator": pa.array([group.operator for group in groups], pa.string()).take(of_group),
        "sequence": _spread([group.sequence for group in groups], of_group),
        "position": pa.array(
            np.concatenate([group.positions for group in groups]) if groups else np.empty(0, np.int64)
        ),
        "presented_day": _spread([day_number(group.presented_on) for group in groups], of_group),
        "retried": pa.array(np.array([group.retried for group in groups], np.bool_)[of_group]),
        "malformed": pa.array(bad),
        "flaw": _flaws(raw, bad),
        "record": pa.Array.from_buffers(
            pa.binary(), len(rows), [None, _offsets(len(rows), RECORD_BYTES), pa.py_buffer(raw)]
        ),
        "at_s": at_s,
        "tap_day": tap_day,
        "linked": pa.array((rows["flags"] & LINKED_FLAG) != 0),
        "full_fare": pa.array((rows["flags"] & FULL_FARE_FLAG) != 0),
    }
    columns |= {name: pa.array(rows[name].astype(np.int64)) for name in NUMBERS}
    columns |= {name: _hex_text(rows[name]) for name in TEXTS}
    return pa.table(columns)


def _spread(values: list[int], of_group: npt.NDArray[np.int64]) -> "pa.Array[Any]":
    return pa.array(np.array(values, np.int64)[of_group])


def _offsets(count: int, width: int) -> pa.Buffer:
    return pa.py_buffer((np.arange(count + 1, dtype=np.int64) * width).astype(np.int32).tobytes())


def _hex_text(packed: npt.NDArray[np.uint8]) -> "pa.Array[Any]":
    """Rows of bytes as upper-case hexadecimal text."""
    count, width = packed.shape
    digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)
    text = np.empty((count, 2 * width), np.uint8)
    text[:, 0::2], text[:, 1::2] = digits[packed >> 4], digits[packed & 15]
    return pa.Array.from_buffers(
        pa.string(), count, [None, _offsets(count, 2 * width), pa.py_buffer(text.tobytes())]
    )


def _moments(
    moment: npt.NDArray[np.uint8], bad: npt.NDArray[np.bool_]
) -> "tuple[pa.Array[Any], pa.Array[Any]]":
    pairs = (moment >> 4).astype(np.int64) * 10 + (moment & 15)
    pairs[bad] = (19, 70, 1, 1, 0, 0, 0)  # any day of the calendar: it is masked below
    months = (pairs[:, 0] * 100 + pairs[:, 1] - 1970) * 12 + pairs[:, 2] - 1
    days = months.astype("M8[M]").astype("M8[D]").astype(np.int64) + pairs[:, 3] - 1
    seconds = days * 86_400 + pairs[:, 4] * 3_600 + pairs[:, 5] * 60 + pairs[:, 6] - CITY_OFFSET_S
    return pa.array(seconds, mask=bad), pa.array(days, mask=bad)


def _flaws(raw: bytes, bad: npt.NDArray[np.bool_]) -> "pa.Array[Any]":
    flaws = [""] * len(bad)
    for index in np.flatnonzero(bad):
        try:
            TapRecord.unpack(raw[index * RECORD_BYTES : (index + 1) * RECORD_BYTES])
        except RecordError as error:
            flaws[index] = str(error)[:200]
    return pa.array(flaws, pa.string())

"""Records as columns: what a night's rules read, made from raw bytes without a step per record."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clearing.wire.batch import RECORD_BYTES, RECORD_DTYPE, RecordError, TapRecord
from clearing.wire.moments import moments_of
from clearing.wire.record import FULL_FARE_FLAG, LINKED_FLAG, unreadable_at

EPOCH = date(1970, 1, 1)
DAY_S = 86_400
CITY_OFFSET_S = 8 * 3600
"""The city's zone has kept to UTC+8 since 1992."""

RULE_NUMBERS = ("counter", "balance_before_fen", "amount_fen")
"""Fields of a record that the rules read of every tap as they are."""
UNREADABLE = ("at_s", "tap_day", "fare_kind")
"""Columns that say nothing of a record that cannot be read; all others are never null."""
NUMBERS = (
    *RULE_NUMBERS,
    "ride",
    "list_fare_fen",
    "holder_class",
    "kind",
    "terminal_sequence",
    "key_version",
    "algorithm",
    "line",
    "station",
    "tariff_version",
    "hotlist_version",
)
TEXTS = ("issuer", "card_no", "terminal", "tac")
_CARD_AND_COUNTER: Final = ("card_head", "card_tail", "counter")
_FLAGS: Final = {"linked": LINKED_FLAG, "full_fare": FULL_FARE_FLAG}
_HEX_PAIRS: Final = np.frombuffer(bytes(range(256)).hex().upper().encode("ascii"), np.uint16)
"""The two digits of each byte, as they lie in memory."""
_TWO: Final = np.arange(1 << 16, dtype=np.uint16)
_BYTE_OF_DIGITS: Final = ((_TWO & 15) << 4 | _TWO >> 8 & 15).astype(np.uint8)
"""The byte of two decimal digits as they lie in memory, in ASCII."""

# Texts of digits as numbers, by which rules join many times faster. A card's twenty digits are two numbers.
_KEYS = np.dtype(
    {
        "names": ["issuer_no", "card_head", "card_tail", "terminal_no", "fare"],
        "formats": [">u4", ">u2", ">i8", ">u8", ">u8"],
        "offsets": [2, 6, 8, 25, 48],
        "itemsize": RECORD_BYTES,
    }
)
_TERMINAL_BITS = np.int64((1 << 48) - 1)
# List fare, holder class and flags lie side by side; the ride goes before them.
_FARE_BITS, _RIDE_AT = np.int64((1 << 48) - 1), np.int64(48)


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
    records: bytes | memoryview


def day_number(day: date) -> int:
    """Days since 1970-01-01: dates as the rules know them, since engines differ on date arithmetic."""
    return (day - EPOCH).days


def rows_of(table: pa.Table) -> npt.NDArray[np.void]:
    """The records of a table with a column of them, as rows of RECORD_DTYPE (big-endian)."""
    parts = []
    for chunk in table.column("record").chunks:
        found: Any = chunk
        start = found.offset * RECORD_BYTES
        parts.append(memoryview(found.buffers()[1])[start : start + len(found) * RECORD_BYTES])
    return np.frombuffer(b"".join(parts), RECORD_DTYPE)


def texts(table: pa.Table, name: str) -> list[str]:
    """A column of texts without nulls."""
    values: list[Any] = table.column(name).to_pylist()
    return values


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


def card_keys(card_nos: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Card numbers, n × 20 digits in ASCII, as the two numbers that the rules know a card by: head and tail.

    They are the number's bytes on the chip: its first two, and the other eight with the highest bit as a sign.
    """
    packed = _BYTE_OF_DIGITS.take(np.ascontiguousarray(card_nos).view("<u2"))
    head, tail = np.ascontiguousarray(packed[:, :2]), np.ascontiguousarray(packed[:, 2:])
    return head.view(">u2").ravel().astype(np.int64), tail.view(">i8").ravel().astype(np.int64)


def card_text_column(head: npt.NDArray[np.int64], tail: npt.NDArray[np.int64]) -> "pa.Array[Any]":
    """The card numbers of such pairs, 20 digits each."""
    packed = np.empty((len(head), 10), np.uint8)
    packed[:, :2] = head.astype(">u2").view(np.uint8).reshape(-1, 2)
    packed[:, 2:] = tail.astype(">i8").view(np.uint8).reshape(-1, 8)
    return _hex_text(packed)


def card_texts(head: npt.NDArray[np.int64], tail: npt.NDArray[np.int64]) -> list[str]:
    """The same as a list."""
    found: list[Any] = card_text_column(head, tail).to_pylist()
    return found


def hex_numbers(texts: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Texts of at most 15 hex digits in upper case, n × an even number of digits in ASCII, as numbers."""
    digits = (texts & 15) + 9 * (texts >> 6)
    packed = np.zeros((len(texts), 8), np.uint8)
    packed[:, 8 - texts.shape[1] // 2 :] = digits[:, 0::2] << 4 | digits[:, 1::2]
    return packed.view(">i8").ravel().astype(np.int64)


def tap_table(
    groups: Sequence[Presented],
    first_no: int = 0,
    names: Collection[str] | None = None,
    *,
    by_card: bool = False,
) -> pa.Table:
    """Taps with all that is known of them, sorted by (operator, sequence, position), numbered `no` in that order.

    Numbers begin at `first_no`. A record that cannot be read keeps its raw columns, has no `at_s` and `tap_day`,
    and says why in `flaw`. `at_s` is seconds since the epoch, `tap_day` and `presented_day` are days since it,
    `tap_day` in the city's zone. Of columns that are not among `names`, where some are given, none is made but those
    of `rule_table`. `by_card` puts them in the order of cards and counters after they are numbered: to sort records
    costs less than to sort what is made of them.
    """
    groups, raw = _sorted(groups)
    table, rows = _rule_table(groups, raw, first_no), np.frombuffer(raw, RECORD_DTYPE)
    if by_card:
        order: Any = pc.sort_indices(table, [(name, "ascending") for name in _CARD_AND_COUNTER])
        table = table.take(order)
        raw = memoryview(rows.view(f"V{RECORD_BYTES}").take(order.to_numpy()).tobytes())
        rows = np.frombuffer(raw, RECORD_DTYPE)
    table = table.set_column(1, "operator", table["operator"].cast(pa.string()))
    made: dict[str, Callable[[], pa.Array[Any]]] = {
        "flaw": lambda: _flaws(raw, truths(table, "malformed")),
        "record": lambda: pa.Array.from_buffers(
            pa.binary(RECORD_BYTES), len(rows), [None, pa.py_buffer(raw)]
        ),
        **{name: partial(_whole_numbers, rows, name) for name in NUMBERS if name not in RULE_NUMBERS},
        **{name: partial(_flag, rows["flags"], bit) for name, bit in _FLAGS.items()},
        **{name: partial(_hex_text, rows[name]) for name in TEXTS},
    }
    for name, make in made.items():
        if names is None or name in names:
            table = table.append_column(name, make())
    return table


def rule_table(groups: Sequence[Presented], first_no: int = 0) -> pa.Table:
    """Of the same taps in the same order only what the rules read: cards and terminals as numbers, operators coded."""
    table = _rule_table(*_sorted(groups), first_no).drop_columns(["position"])
    fields = [field.with_nullable(field.name in UNREADABLE) for field in table.schema]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def with_fares(kinds: pa.Table) -> pa.Table:
    """Kinds of taps, with what their `fare_kind` says: ride, holder class, flags and list fare."""
    kind = numbers(kinds, "fare_kind")
    said: dict[str, pa.Array[Any]] = {
        "ride": pa.array(kind >> _RIDE_AT),
        "holder_class": pa.array(kind >> 8 & 0xFF),
        "list_fare_fen": pa.array(kind >> 16 & 0xFFFFFFFF),
        **{name: _flag(kind & 0xFF, bit) for name, bit in _FLAGS.items()},
        "malformed": pa.array(np.zeros(len(kind), np.bool_)),
    }
    for name, column in said.items():
        kinds = kinds.append_column(name, column)
    return kinds


def _flag(flags: npt.NDArray[Any], bit: int) -> "pa.Array[Any]":
    return pa.array(np.asarray((flags & bit) != 0, np.bool_))


def _whole_numbers(rows: npt.NDArray[np.void], name: str) -> "pa.Array[Any]":
    return pa.array(rows[name].astype(np.int64))


def joined_records(groups: Sequence[Presented]) -> bytes | memoryview:
    """The records of groups one behind another, copied only where they do not lie so."""
    return groups[0].records if len(groups) == 1 else b"".join(group.records for group in groups)


def _sorted(groups: Sequence[Presented]) -> tuple[list[Presented], bytes | memoryview]:
    """Groups as taps are numbered, and all their records."""
    ordered = sorted(groups, key=lambda group: (group.operator, group.sequence))
    return ordered, joined_records(ordered)


def _rule_table(groups: Sequence[Presented], raw: bytes | memoryview, first_no: int) -> pa.Table:
    rows = np.frombuffer(raw, RECORD_DTYPE)
    lengths = [len(group.positions) for group in groups]
    moments = moments_of(rows["moment"])
    bad = unreadable_at(rows, moments)
    seconds = moments.days * 86_400 + moments.seconds - CITY_OFFSET_S
    names = list(dict.fromkeys(group.operator for group in groups))
    operator = np.repeat(np.array([names.index(group.operator) for group in groups], np.int32), lengths)
    columns: dict[str, pa.Array[Any]] = {
        "no": pa.array(np.arange(first_no, first_no + len(rows), dtype=np.int64)),
        "operator": pa.DictionaryArray.from_arrays(operator, pa.array(names, pa.string())),
        "sequence": _repeated([group.sequence for group in groups], lengths),
        "position": pa.array(
            np.concatenate([group.positions for group in groups]) if groups else np.empty(0, np.int64)
        ),
        "presented_day": _repeated([day_number(group.presented_on) for group in groups], lengths),
        "retried": pa.array(np.repeat(np.array([group.retried for group in groups], np.bool_), lengths)),
        "malformed": pa.array(bad),
        "at_s": pa.array(seconds, mask=bad),
        "tap_day": pa.array(moments.days, mask=bad),
    }
    columns |= {name: pa.array(rows[name].astype(np.int64)) for name in RULE_NUMBERS}
    keys = rows.view(_KEYS)
    fare_kind = (keys["fare"].astype(np.int64) & _FARE_BITS) | rows["ride"].astype(np.int64) << _RIDE_AT
    columns["fare_kind"] = pa.array(fare_kind, mask=bad)
    columns |= {
        name: pa.array(keys[name].astype(np.int64)) for name in ("issuer_no", "card_head", "card_tail")
    }
    columns["terminal_no"] = pa.array(keys["terminal_no"].astype(np.int64) & _TERMINAL_BITS)
    return pa.table(columns)


def _repeated(values: list[int], lengths: list[int]) -> "pa.Array[Any]":
    return pa.array(np.repeat(np.array(values, np.int64), lengths))


def _hex_text(packed: npt.NDArray[np.uint8]) -> "pa.Array[Any]":
    """Rows of bytes as upper-case hexadecimal text."""
    count, width = packed.shape
    text = _HEX_PAIRS.take(packed)
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(2 * width)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends.data), pa.py_buffer(text.data)])


def _flaws(raw: bytes | memoryview, bad: npt.NDArray[np.bool_]) -> "pa.Array[Any]":
    flaws = []
    for index in np.flatnonzero(bad):
        try:
            TapRecord.unpack(bytes(raw[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]))
            flaws.append("")
        except RecordError as error:
            flaws.append(str(error)[:200])
    none: Any = pa.repeat(pa.scalar("", pa.string()), len(bad))
    found: pa.Array[Any] = pc.replace_with_mask(none, pa.array(bad), pa.array(flaws, pa.string()))
    return found

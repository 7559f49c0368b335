"""One tap as an operator presents it: 64 bytes of a batch file (docs/formats/batch.md)."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from card.chip.files import HIGHEST_HOLDER_CLASS
from clearing.wire.bcd import MOMENT_BYTES, digits_of, moment_of, pack_digits
from clearing.wire.moments import Moments, moments_of
from clearing.wire.ride import Ride

RECORD_BYTES = 64
RECORD_VERSION = 1
KINDS = (6, 9)
"""Transaction types that a card signs for: purchase and CAPP purchase."""
LINKED_FLAG, FULL_FARE_FLAG = 1, 2

RECORD_DTYPE = np.dtype(
    [
        ("version", "u1"),
        ("ride", "u1"),
        ("issuer", "u1", (4,)),
        ("card_no", "u1", (10,)),
        ("counter", ">u2"),
        ("balance_before_fen", ">u4"),
        ("amount_fen", ">u4"),
        ("kind", "u1"),
        ("terminal", "u1", (6,)),
        ("terminal_sequence", ">u4"),
        ("moment", "u1", (7,)),
        ("key_version", "u1"),
        ("algorithm", "u1"),
        ("tac", "u1", (4,)),
        ("list_fare_fen", ">u4"),
        ("holder_class", "u1"),
        ("flags", "u1"),
        ("line", ">u2"),
        ("station", ">u2"),
        ("tariff_version", ">u2"),
        ("hotlist_version", ">u2"),
    ]
)
"""The record as columns. Byte fields stay rows of `u1`: a NumPy `S` type would drop their trailing zeros."""

# Version and ride, and holder class and flags, are looked up together.
_PAIRS = np.dtype(
    {
        "names": ["beginning", "holder"],
        "formats": [">u2", ">u2"],
        "offsets": [0, 54],
        "itemsize": RECORD_BYTES,
    }
)
# A card's number as two words; to look for digits, their order does not matter.
_CARD_WORDS = np.dtype(
    {"names": ["long", "short"], "formats": ["<u8", "<u2"], "offsets": [6, 14], "itemsize": RECORD_BYTES}
)

_LAYOUT = struct.Struct(">BB4s10sHIIB6sI7sBB4sIBBHHHH")


RIDES = frozenset(int(ride) for ride in Ride)
JOURNEYS = RIDES - {int(Ride.PURCHASE)}
"""Rides that are rides."""
PURCHASE_KIND = 6
"""The one transaction type of a purchase at a counter, which writes no trip on the card."""


class RecordError(Exception):
    """A record that cannot be read: `field` holds `value`; `remedy` says what it must hold."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field} is {value}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class TapRecord:
    """A tap: the card's own signed facts, and what the terminal knew when it took it."""

    ride: Ride
    issuer: str
    card_no: str
    counter: int
    balance_before_fen: int
    amount_fen: int
    kind: int
    terminal: str
    terminal_sequence: int
    moment: bytes
    key_version: int
    algorithm: int
    tac: bytes
    list_fare_fen: int
    holder_class: int
    linked: bool
    full_fare: bool
    line: int
    station: int
    tariff_version: int
    hotlist_version: int

    def pack(self) -> bytes:
        """Write the 64 bytes; raises RecordError for a value that has no place in them."""
        flags = LINKED_FLAG * self.linked | FULL_FARE_FLAG * self.full_fare
        try:
            packed = _LAYOUT.pack(
                RECORD_VERSION, self.ride, _hex("issuer", self.issuer, 4), _card_bytes(self.card_no),
                self.counter, self.balance_before_fen, self.amount_fen, self.kind,
                _hex("terminal", self.terminal, 6), self.terminal_sequence, self.moment, self.key_version,
                self.algorithm, _exactly("tac", self.tac, 4), self.list_fare_fen, self.holder_class, flags,
                self.line, self.station, self.tariff_version, self.hotlist_version,
            )  # fmt: skip
        except struct.error as error:
            raise RecordError("a number", str(error), "it must fit the bytes of its field") from error
        _check(packed[0], self.ride, self.kind, self.moment, self.holder_class, flags)
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> "TapRecord":
        """Read 64 bytes; raises RecordError naming the first field that cannot be so."""
        if len(data) != RECORD_BYTES:
            raise RecordError("length", len(data), f"a record has {RECORD_BYTES} bytes")
        (version, ride, issuer, card, counter, balance_before_fen, amount_fen, kind, terminal,
         terminal_sequence, moment, key_version, algorithm, tac, list_fare_fen, holder_class, flags, line,
         station, tariff_version, hotlist_version) = _LAYOUT.unpack(data)  # fmt: skip
        try:
            card_no = digits_of(card)
        except ValueError as error:
            raise RecordError("card_no", card.hex().upper(), "it must be 20 decimal digits") from error
        _check(version, ride, kind, moment, holder_class, flags)
        return cls(
            Ride(ride), issuer.hex().upper(), card_no, counter, balance_before_fen, amount_fen, kind,
            terminal.hex().upper(), terminal_sequence, moment, key_version, algorithm, tac, list_fare_fen,
            holder_class, bool(flags & LINKED_FLAG), bool(flags & FULL_FARE_FLAG), line, station,
            tariff_version, hotlist_version,
        )  # fmt: skip


def unreadable(rows: np.ndarray) -> npt.NDArray[np.bool_]:
    """Say for every row of `RECORD_DTYPE` whether `TapRecord.unpack` would refuse it."""
    return unreadable_at(rows, moments_of(rows["moment"]))


def unreadable_at(rows: np.ndarray, moments: Moments) -> npt.NDArray[np.bool_]:
    """The same, where the moments of the rows have been read already."""
    pairs = rows.view(_PAIRS)
    good = _BEGINNINGS.take(pairs["beginning"])
    good &= _KINDS.take(rows["kind"])
    good &= _HOLDERS.take(pairs["holder"])
    bad = ~(good & moments.good)
    bad |= (rows["ride"] == Ride.PURCHASE) & (rows["kind"] != PURCHASE_KIND)
    digits = rows.view(_CARD_WORDS)
    bad |= _beyond_nine(digits["long"])
    bad |= _beyond_nine(digits["short"])
    return bad


def _known(values: Iterable[int]) -> npt.NDArray[np.bool_]:
    """Which values of a byte are known."""
    return np.isin(np.arange(256), list(values))


def _known_pairs(first: Iterable[int], second: Iterable[int]) -> npt.NDArray[np.bool_]:
    """Which two bytes, one behind another, are both known."""
    return np.logical_and.outer(_known(first), _known(second)).ravel()


def _beyond_nine(packed: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.bool_]:
    """Whether any half byte of a word is no digit: it has its highest bit, and one of the two after it."""
    eights = packed.dtype.type(int("8" * 2 * packed.dtype.itemsize, 16))
    word = np.ascontiguousarray(packed)
    lower = word << 1
    lower |= word << 2
    lower &= word
    lower &= eights
    found: npt.NDArray[np.bool_] = lower != 0
    return found


def _check(version: int, ride: int, kind: int, moment: bytes, holder_class: int, flags: int) -> None:
    """Refuse values that the format does not know; `_LAYOUT` has seen to widths."""
    if version != RECORD_VERSION:
        raise RecordError("version", version, f"this reader knows version {RECORD_VERSION}")
    if ride not in RIDES:
        raise RecordError(
            "ride", ride, "it must be 1 bus, 2 metro entry, 3 metro exit, 4 ferry or 5 purchase"
        )
    if kind not in KINDS:
        raise RecordError("kind", f"{kind:02X}", "it must be 06 purchase or 09 CAPP purchase")
    if ride == Ride.PURCHASE and kind != PURCHASE_KIND:
        raise RecordError("kind", f"{kind:02X}", "a purchase at a counter (ride 5) must be 06 purchase")
    if not _is_moment(moment):
        raise RecordError("moment", moment.hex().upper(), "it must be a date and time YYYYMMDDHHMMSS")
    if not 1 <= holder_class <= HIGHEST_HOLDER_CLASS:
        raise RecordError("holder_class", holder_class, f"it must be 1 to {HIGHEST_HOLDER_CLASS}")
    if flags > (LINKED_FLAG | FULL_FARE_FLAG):
        raise RecordError("flags", f"{flags:02X}", "only 01 linked trip and 02 full fare are known")


def check_ride(ride: int) -> None:
    """Raises RecordError for what is no ride."""
    if ride not in JOURNEYS:
        raise RecordError("ride", ride, "it must be 1 bus, 2 metro entry, 3 metro exit or 4 ferry")


@lru_cache(maxsize=4096)
def _is_moment(moment: bytes) -> bool:
    """Neighbouring records share their second, so the calendar is asked once."""
    try:
        return len(moment) == MOMENT_BYTES and moment_of(moment) is not None
    except ValueError:
        return False


def _card_bytes(card_no: str) -> bytes:
    try:
        return pack_digits(card_no, 10)
    except ValueError as error:
        raise RecordError("card_no", repr(card_no), "it must be 20 decimal digits") from error


def _hex(field: str, text: str, width: int) -> bytes:
    try:
        return _exactly(field, bytes.fromhex(text), width)
    except ValueError as error:
        raise RecordError(field, repr(text), f"it must be {2 * width} hexadecimal digits") from error


def _exactly(field: str, value: bytes, width: int) -> bytes:
    # struct would pad or cut a byte string without a word.
    if len(value) != width:
        raise RecordError(field, value.hex().upper(), f"it must have {width} bytes")
    return value


_KINDS = _known(KINDS)
_BEGINNINGS = _known_pairs([RECORD_VERSION], RIDES)
_HOLDERS = _known_pairs(range(1, HIGHEST_HOLDER_CLASS + 1), range((LINKED_FLAG | FULL_FARE_FLAG) + 1))

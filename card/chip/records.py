"""Records on the chip: the purse log (file 18), trips (1E), and the metro's paid area (1A)."""

from dataclasses import dataclass, replace
from enum import IntEnum
from struct import Struct, error
from typing import Any
from zlib import crc32

PURSE_LOG_SFI = 0x18
TRIP_SFI = 0x1E
PAID_AREA_SFI = 0x1A

_PURSE = Struct(">H3sIB6s7s")
_TRIP = Struct(">B8sB2s2s2sBII7s2s8s6s")
_PAID_AREA = Struct(">6sB7sHH6sI96sI")
PURSE_BYTES, TRIP_BYTES, PAID_AREA_BYTES = _PURSE.size, _TRIP.size, _PAID_AREA.size


class Kind(IntEnum):
    """Transaction types of the electronic purse."""

    LOAD = 0x02
    PURCHASE = 0x06
    CAPP_PURCHASE = 0x09


class TripKind(IntEnum):
    """What a trip record tells about (JT/T 978, file 1E, byte 0)."""

    ENTRY = 0x03
    EXIT = 0x04
    SINGLE = 0x06


class RecordError(ValueError):
    """A record that does not hold what its layout says: which field, its value, and the remedy."""

    def __init__(self, field: str, value: str, remedy: str) -> None:
        super().__init__(f"{field} is {value}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class PurseRecord:
    """One line of the purse log, 23 bytes. `sequence` is the counter after the transaction."""

    sequence: int
    overdraft_fen: int
    amount_fen: int
    kind: int
    terminal: bytes
    moment: bytes

    def pack(self) -> bytes:
        """Write the record (PBOC EP, file 18). Raises RecordError where a field does not fit."""
        terminal, moment = _wide("terminal", self.terminal, 6), _wide("moment", self.moment, 7)
        overdraft = _number("overdraft_fen", self.overdraft_fen, 3)
        return _packed(_PURSE, self.sequence, overdraft, self.amount_fen, self.kind, terminal, moment)

    @classmethod
    def unpack(cls, raw: bytes) -> "PurseRecord":
        """Read a record of 23 bytes. Raises RecordError for another length."""
        sequence, overdraft, *rest = _fields(_PURSE, "purse record", raw)
        return cls(sequence, int.from_bytes(overdraft, "big"), *rest)


@dataclass(frozen=True, slots=True)
class TripRecord:
    """One trip, 48 bytes, as the validator wrote it within the purchase that paid for it."""

    kind: int
    terminal: bytes
    industry: int
    line: bytes
    station: bytes
    operator: bytes
    amount_fen: int
    balance_fen: int
    moment: bytes
    city: bytes
    acquirer: bytes
    reserved: int = 0
    tail: bytes = bytes(6)

    def pack(self) -> bytes:
        """Write the record (JT/T 978, file 1E). Raises RecordError where a field does not fit."""
        return _packed(
            _TRIP,
            self.kind,
            _wide("terminal", self.terminal, 8),
            self.industry,
            _wide("line", self.line, 2),
            _wide("station", self.station, 2),
            _wide("operator", self.operator, 2),
            self.reserved,
            self.amount_fen,
            self.balance_fen,
            _wide("moment", self.moment, 7),
            _wide("city", self.city, 2),
            _wide("acquirer", self.acquirer, 8),
            _wide("tail", self.tail, 6),
        )

    @classmethod
    def unpack(cls, raw: bytes) -> "TripRecord":
        """Read a record of 48 bytes. Raises RecordError for another length."""
        kind, terminal, industry, line, station, operator, reserved, *rest = _fields(
            _TRIP, "trip record", raw
        )
        amount_fen, balance_fen, moment, city, acquirer, tail = rest
        trip = cls(
            kind, terminal, industry, line, station, operator, amount_fen, balance_fen, moment, city, acquirer
        )
        return replace(trip, reserved=reserved, tail=tail)


@dataclass(frozen=True, slots=True)
class PaidArea:
    """Whether the holder is inside the metro's paid area, and since when, 128 bytes.

    Publicly known is only that a CRC-32 over bytes 6..124 stands at 124; the fields in between are this
    project's own: inside 1, moment 7, line 2, station 2, terminal 6, list fare 4.
    """

    inside: bool
    moment: bytes = bytes(7)
    line: int = 0
    station: int = 0
    terminal: bytes = bytes(6)
    list_fare_fen: int = 0

    def pack(self) -> bytes:
        """Write the record, with its checksum. Raises RecordError where a field does not fit."""
        terminal, moment = _wide("terminal", self.terminal, 6), _wide("moment", self.moment, 7)
        body = _packed(
            _PAID_AREA,
            bytes(6),
            int(self.inside),
            moment,
            self.line,
            self.station,
            terminal,
            self.list_fare_fen,
            bytes(96),
            0,
        )
        return body[:124] + crc32(body[6:124]).to_bytes(4, "big")

    @classmethod
    def unpack(cls, raw: bytes) -> "PaidArea":
        """Read a record of 128 bytes. Raises RecordError for a wrong length or a wrong checksum."""
        _, inside, moment, line, station, terminal, list_fare_fen, _, checksum = _fields(
            _PAID_AREA, "paid-area record", raw
        )
        if checksum != crc32(raw[6:124]):
            raise RecordError("checksum", f"{checksum:08X}", "treat the holder as outside and write it anew")
        return cls(bool(inside), moment, line, station, terminal, list_fare_fen)


def _fields(layout: Struct, name: str, raw: bytes) -> tuple[Any, ...]:
    if len(raw) != layout.size:
        raise RecordError(name, f"{len(raw)} bytes", f"give the whole record of {layout.size} bytes")
    return layout.unpack(raw)


def _packed(layout: Struct, *values: int | bytes) -> bytes:
    try:
        return layout.pack(*values)
    except error as refused:
        raise RecordError("record", str(values), f"a number does not fit its field ({refused})") from refused


def _wide(field: str, value: bytes, width: int) -> bytes:
    if len(value) != width:
        raise RecordError(field, value.hex() or "empty", f"give {width} bytes")
    return value


def _number(field: str, value: int, width: int) -> bytes:
    if not 0 <= value < 1 << 8 * width:
        raise RecordError(field, str(value), f"give 0 to {(1 << 8 * width) - 1}")
    return value.to_bytes(width, "big")

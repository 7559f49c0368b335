"""One ride on a rider's code, as an operator presents it: 384 bytes of a QR batch (docs/formats/qr-batch.md)."""

import struct
from dataclasses import dataclass

from clearing.wire.bcd import moment_of
from clearing.wire.record import FULL_FARE_FLAG, LINKED_FLAG, RecordError, check_ride
from clearing.wire.ride import Ride

QR_RECORD_BYTES = 384
QR_RECORD_VERSION = 1
CODE_BYTES = 348
"""Room for the code; an Ed25519 code has some 270 bytes."""
AMOUNT_OFFSET = 19

_LAYOUT = struct.Struct(f">BB6sI7sIIBHHHH{CODE_BYTES}s")


@dataclass(frozen=True, slots=True)
class QrRide:
    """A ride: the code that was shown, and what the validator took for it; `moment` is 7 bytes BCD."""

    ride: Ride
    terminal: str
    terminal_sequence: int
    moment: bytes
    amount_fen: int
    list_fare_fen: int
    linked: bool
    full_fare: bool
    line: int
    station: int
    tariff_version: int
    code: bytes

    def pack(self) -> bytes:
        """Write the 384 bytes; raises RecordError for a value that has no place in them."""
        flags = LINKED_FLAG * self.linked | FULL_FARE_FLAG * self.full_fare
        try:
            terminal = bytes.fromhex(self.terminal)
        except ValueError as error:
            raise RecordError("terminal", repr(self.terminal), "it must be 12 hexadecimal digits") from error
        if len(terminal) != 6:
            raise RecordError("terminal", repr(self.terminal), "it must be 12 hexadecimal digits")
        _check(QR_RECORD_VERSION, self.ride, self.moment, flags, len(self.code))
        try:
            return _LAYOUT.pack(
                QR_RECORD_VERSION, self.ride, terminal, self.terminal_sequence, self.moment,
                self.amount_fen, self.list_fare_fen, flags, self.line, self.station, self.tariff_version,
                len(self.code), self.code,
            )  # fmt: skip
        except struct.error as error:
            raise RecordError("a number", str(error), "it must fit the bytes of its field") from error

    @classmethod
    def unpack(cls, data: bytes) -> "QrRide":
        """Read 384 bytes; raises RecordError naming the first field that cannot be so. The code stays bytes."""
        if len(data) != QR_RECORD_BYTES:
            raise RecordError("length", len(data), f"a QR record has {QR_RECORD_BYTES} bytes")
        (version, ride, terminal, terminal_sequence, moment, amount_fen, list_fare_fen, flags, line, station,
         tariff_version, length, code) = _LAYOUT.unpack(data)  # fmt: skip
        _check(version, ride, moment, flags, length)
        if any(code[length:]):
            raise RecordError("code", f"{length} bytes", "the bytes after it must be zero")
        return cls(
            Ride(ride), terminal.hex().upper(), terminal_sequence, moment, amount_fen, list_fare_fen,
            bool(flags & LINKED_FLAG), bool(flags & FULL_FARE_FLAG), line, station, tariff_version,
            code[:length],
        )  # fmt: skip


def _check(version: int, ride: int, moment: bytes, flags: int, length: int) -> None:
    if version != QR_RECORD_VERSION:
        raise RecordError("version", version, f"this reader knows version {QR_RECORD_VERSION}")
    check_ride(ride)
    try:
        moment_of(moment)
    except ValueError as error:
        remedy = "it must be a date and time YYYYMMDDHHMMSS"
        raise RecordError("moment", moment.hex().upper(), remedy) from error
    if flags > (LINKED_FLAG | FULL_FARE_FLAG):
        raise RecordError("flags", f"{flags:02X}", "only 01 linked trip and 02 full fare are known")
    if not 1 <= length <= CODE_BYTES:
        raise RecordError("code length", length, f"it must be 1 to {CODE_BYTES}")

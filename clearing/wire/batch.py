"""The operator batch file: header, one record a tap, trailer (docs/formats/batch.md)."""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256

import numpy as np

from clearing.wire.bcd import date_of, moment_of, pack_date
from clearing.wire.record import RECORD_BYTES, RECORD_DTYPE, RecordError, Ride, TapRecord, unreadable

__all__ = [
    "RECORD_BYTES", "RECORD_DTYPE", "SUFFIX", "Batch", "BatchError", "BatchFlaw", "BatchHeader",
    "RecordError", "Ride", "TapRecord", "batch_name", "parse_batch_name", "read_batch", "unreadable",
    "write_batch",
]  # fmt: skip

SUFFIX = ".ocb"
HEADER_MAGIC, TRAILER_MAGIC = b"OCB1", b"OCE1"
PART_BYTES = 64
"""Header and trailer are as long as a record."""

_HEADER = struct.Struct(">4s8sI4s7sBIQB23s")
_TRAILER = struct.Struct(">4s32s16s12s")
_OPERATOR = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,6}[A-Z0-9])?")
_NAME = re.compile(rf"(?P<operator>{_OPERATOR.pattern})-(?P<sequence>[0-9]{{8,10}})\.ocb")
_RESEND = "ask the operator to send the file again"
_REMAKE = "the operator's software made it wrongly: it must be made anew under the same number"


class BatchFlaw(StrEnum):
    """Why a file is not a batch, in order of precedence: the first that applies is told."""

    EMPTY = "empty"
    NOT_A_BATCH = "not_a_batch"
    RECORD_SIZE = "record_size"
    COUNT = "count"
    TRUNCATED = "truncated"
    TRAILING = "trailing"
    TRAILER = "trailer"
    CHECKSUM = "checksum"
    OPERATOR = "operator"
    SEQUENCE = "sequence"
    BUSINESS_DATE = "business_date"
    MADE_AT = "made_at"
    MAC_KEY_VERSION = "mac_key_version"
    RESERVED = "reserved"
    TOTAL = "total"


class BatchError(Exception):
    """A file that is not taken: the flaw, the byte `offset` it shows at, the field, its value, the remedy."""

    def __init__(self, flaw: BatchFlaw, offset: int, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{flaw.value} at byte {offset}: {field} is {value}; {remedy}")
        self.flaw, self.offset, self.field, self.value, self.remedy = flaw, offset, field, value, remedy


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """Who presents what; `made_at` is 7 bytes BCD in the city's zone, `amount_fen` the records' sum."""

    operator: str
    sequence: int
    business_date: date
    made_at: bytes
    count: int
    amount_fen: int
    mac_key_version: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A file whose form, checksum and totals hold. Whether `mac` over `digest` holds, the HSM must say."""

    header: BatchHeader
    records: memoryview
    digest: bytes
    mac: bytes

    def rows(self) -> np.ndarray:
        """The records as columns, without copying them; they stay big-endian."""
        return np.frombuffer(self.records, RECORD_DTYPE)

    def tap(self, index: int) -> TapRecord:
        """One record as a value; raises RecordError if it cannot be read, IndexError if there is none."""
        if not 0 <= index < self.header.count:
            raise IndexError(f"the batch has {self.header.count} records, none at {index}")
        return TapRecord.unpack(bytes(self.records[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]))


def write_batch(
    *,
    operator: str,
    sequence: int,
    business_date: date,
    made_at: bytes,
    mac_key_version: int,
    records: Sequence[bytes],
    mac: Callable[[bytes], bytes],
) -> bytes:
    """Make a batch file of packed records; `mac` gives the 16 bytes over the SHA-256 of header and records.

    Raises BatchError where a field of the header cannot be so, ValueError where a record or the MAC has
    the wrong length.
    """
    body = b"".join(records)
    if any(len(record) != RECORD_BYTES for record in records):
        raise ValueError(f"every record must have {RECORD_BYTES} bytes; pack it with TapRecord.pack")
    header = BatchHeader(
        operator, sequence, business_date, made_at, len(records), _amount_fen(body), mac_key_version
    )
    _check_header(header)
    head = _HEADER.pack(
        HEADER_MAGIC, operator.encode("ascii").ljust(8), sequence, pack_date(business_date), made_at,
        RECORD_BYTES, header.count, header.amount_fen, mac_key_version, bytes(23),
    )  # fmt: skip
    digest = sha256(head + body).digest()
    seal = mac(digest)
    if len(seal) != 16:
        raise ValueError(f"a batch MAC has 16 bytes, not {len(seal)}")
    return head + body + _TRAILER.pack(TRAILER_MAGIC, digest, seal, bytes(12))


def read_batch(data: bytes) -> Batch:
    """Read a batch file whole; raises BatchError with the first flaw. Its MAC is the HSM's to check."""
    _check_form(data)
    _, operator, sequence, day, made_at, _, count, amount_fen, mac_key_version, zero = _HEADER.unpack_from(
        data
    )
    _, digest, mac, zero_after = _TRAILER.unpack_from(data, len(data) - PART_BYTES)
    if sha256(memoryview(data)[:-PART_BYTES]).digest() != digest:
        raise BatchError(BatchFlaw.CHECKSUM, len(data) - PART_BYTES + 4, "SHA-256", digest.hex(), _RESEND)
    name = _operator(operator)
    _check_number(name, sequence)
    header = BatchHeader(name, sequence, _business_date(day), made_at, count, amount_fen, mac_key_version)
    _check_header(header)
    if any(zero) or any(zero_after):
        offset = 41 if any(zero) else len(data) - 12
        raise BatchError(BatchFlaw.RESERVED, offset, "reserved bytes", "not zero", _REMAKE)
    records = memoryview(data)[PART_BYTES:-PART_BYTES]
    if (found_fen := _amount_fen(records)) != amount_fen:
        raise BatchError(
            BatchFlaw.TOTAL, 32, "sum", f"{amount_fen}, but the records sum to {found_fen}", _REMAKE
        )
    return Batch(header, records, digest, mac)


def batch_name(operator: str, sequence: int) -> str:
    """The name a batch file travels under, as `METRO-1-00000042.ocb`."""
    return f"{operator}-{sequence:08d}{SUFFIX}"


def parse_batch_name(name: str) -> tuple[str, int] | None:
    """Operator and sequence of a batch file's name, or None where it is not one."""
    if (match := _NAME.fullmatch(name)) is None:
        return None
    operator, sequence = match["operator"], int(match["sequence"])
    return (operator, sequence) if batch_name(operator, sequence) == name else None


def _check_form(data: bytes) -> None:
    """Length, magic numbers and count, from the front: what can be said before the checksum is asked."""
    if not data:
        raise BatchError(BatchFlaw.EMPTY, 0, "length", 0, _RESEND)
    if data[:4] != HEADER_MAGIC[: len(data)]:
        raise BatchError(
            BatchFlaw.NOT_A_BATCH, 0, "the beginning", data[:4].hex(), "a batch file begins with OCB1"
        )
    if len(data) < PART_BYTES:
        raise BatchError(BatchFlaw.TRUNCATED, len(data), "length", len(data), _RESEND)
    if data[27] != RECORD_BYTES:
        raise BatchError(
            BatchFlaw.RECORD_SIZE, 27, "record size", data[27], f"this reader knows {RECORD_BYTES}"
        )
    count = int.from_bytes(data[28:32], "big")
    expected = 2 * PART_BYTES + count * RECORD_BYTES
    if len(data) != expected:
        raise _wrong_length(data, count, expected)
    if data[-PART_BYTES:][:4] != TRAILER_MAGIC:
        found = data[-PART_BYTES:][:4].hex()
        raise BatchError(BatchFlaw.TRAILER, len(data) - PART_BYTES, "the trailer's beginning", found, _RESEND)


def _wrong_length(data: bytes, count: int, expected: int) -> BatchError:
    """Tell a wrong count from a wrong length: a file that ends in a trailer of its own came whole."""
    fits, rest = divmod(len(data) - 2 * PART_BYTES, RECORD_BYTES)
    ended_before = data[expected - PART_BYTES : expected - PART_BYTES + 4] == TRAILER_MAGIC
    if fits >= 0 and rest == 0 and not ended_before and data[-PART_BYTES:][:4] == TRAILER_MAGIC:
        return BatchError(
            BatchFlaw.COUNT, 28, "count", f"{count}, but the file holds {fits} records", _RESEND
        )
    if len(data) < expected:
        return BatchError(
            BatchFlaw.TRUNCATED, len(data), "length", f"{len(data)} of {expected} bytes", _RESEND
        )
    return BatchError(
        BatchFlaw.TRAILING, expected, "length", f"{len(data)} where {expected} bytes belong", _RESEND
    )


def _check_header(header: BatchHeader) -> None:
    """What a header may hold, the same for reader and writer."""
    _check_number(header.operator, header.sequence)
    try:
        moment_of(header.made_at)
    except ValueError as error:
        remedy = "it must be a date and time YYYYMMDDHHMMSS"
        raise BatchError(BatchFlaw.MADE_AT, 20, "made at", header.made_at.hex(), remedy) from error
    # Version 0 would mean "the newest", which is another key tomorrow.
    if not 1 <= header.mac_key_version <= 255:
        remedy = "name the version of the key, from 1"
        raise BatchError(BatchFlaw.MAC_KEY_VERSION, 40, "MAC key version", header.mac_key_version, remedy)


def _check_number(operator: str, sequence: int) -> None:
    if not _OPERATOR.fullmatch(operator):
        remedy = "an operator is 1 to 8 of A-Z, 0-9 and inner hyphens"
        raise BatchError(BatchFlaw.OPERATOR, 4, "operator", repr(operator), remedy)
    if not 1 <= sequence < 1 << 32:
        raise BatchError(BatchFlaw.SEQUENCE, 12, "sequence", sequence, "batches are numbered from 1")


def _operator(padded: bytes) -> str:
    try:
        return padded.decode("ascii").rstrip(" ")
    except UnicodeDecodeError as error:
        raise BatchError(BatchFlaw.OPERATOR, 4, "operator", padded.hex(), "it must be ASCII") from error


def _business_date(packed: bytes) -> date:
    try:
        return date_of(packed)
    except ValueError as error:
        remedy = "it must be a day of the calendar, YYYYMMDD"
        raise BatchError(BatchFlaw.BUSINESS_DATE, 16, "business date", packed.hex(), remedy) from error


def _amount_fen(records: bytes | memoryview) -> int:
    return int(np.frombuffer(records, RECORD_DTYPE)["amount_fen"].sum(dtype=np.int64))

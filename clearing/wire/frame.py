"""The frame of batch files: header, records of one length, trailer; docs/formats/batch.md and qr-batch.md.

Each kind of batch says by a `BatchFrame` what its records and names are; the rest is the same for all.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from mmap import mmap

from clearing.wire.bcd import date_of, moment_of, pack_date
from clearing.wire.names import file_name

PART_BYTES = 64
"""Header and trailer."""
MAC_FROM_END = 28
"""Where the MAC begins, from the end of a file: 16 bytes, and 12 that are kept free."""

_TRAILER = struct.Struct(">4s32s16s12s")
_OPERATOR = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,6}[A-Z0-9])?")
_NAME = re.compile(rf"(?P<operator>{_OPERATOR.pattern})-(?P<sequence>[0-9]{{8,10}})\.[a-z]+")
_SIZE_AT = 27
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
class Framed:
    """A file whose frame holds: `digest` is the SHA-256 of header and records, `mac` the HSM's to check."""

    header: BatchHeader
    records: memoryview
    digest: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class BatchFrame:
    """One kind of batch: its file names, its magic numbers, the length of its records, what they sum to.

    `size_bytes` is how wide the header's field of the record size is; the fields after it begin so much later.
    """

    suffix: str
    header_magic: bytes
    trailer_magic: bytes
    record_bytes: int
    size_bytes: int
    packed_by: str
    sum_of: Callable[[memoryview], int]

    def name(self, operator: str, sequence: int) -> str:
        """The name a file travels under, as `METRO-1-00000042.ocb`."""
        return file_name(operator, sequence, self.suffix)

    def parse_name(self, name: str) -> tuple[str, int] | None:
        """Operator and sequence of a file's name, or None where it is not one."""
        if (match := _NAME.fullmatch(name)) is None:
            return None
        operator, sequence = match["operator"], int(match["sequence"])
        return (operator, sequence) if self.name(operator, sequence) == name else None

    def write(
        self,
        *,
        operator: str,
        sequence: int,
        business_date: date,
        made_at: bytes,
        mac_key_version: int,
        records: Sequence[bytes],
        mac: Callable[[bytes], bytes],
    ) -> bytes:
        """Make a file of packed records; `mac` gives the 16 bytes over the SHA-256 of header and records.

        Raises BatchError where a field of the header cannot be so, ValueError where a record or the MAC has
        the wrong length.
        """
        if any(len(record) != self.record_bytes for record in records):
            raise ValueError(
                f"every record must have {self.record_bytes} bytes; pack it with {self.packed_by}"
            )
        body = b"".join(records)
        header = self.header_for(operator, sequence, business_date, made_at, mac_key_version, body)
        return self.seal(header, body, mac)

    def header_for(
        self,
        operator: str,
        sequence: int,
        business_date: date,
        made_at: bytes,
        mac_key_version: int,
        body: bytes,
    ) -> BatchHeader:
        """The header of a file of these records, one behind another. Raises BatchError where a field cannot be so."""
        count, amount_fen = len(body) // self.record_bytes, self.sum_of(memoryview(body))
        header = BatchHeader(operator, sequence, business_date, made_at, count, amount_fen, mac_key_version)
        self._check_header(header)
        return header

    def seal(self, header: BatchHeader, body: bytes, mac: Callable[[bytes], bytes]) -> bytes:
        """Make a file of a header and its records. Raises ValueError where the MAC has the wrong length."""
        head = self._layout.pack(
            self.header_magic, header.operator.encode("ascii").ljust(8), header.sequence,
            pack_date(header.business_date), header.made_at, self.record_bytes, header.count,
            header.amount_fen, header.mac_key_version, b"",
        )  # fmt: skip
        digest = sha256(head + body).digest()
        seal = mac(digest)
        if len(seal) != 16:
            raise ValueError(f"a batch MAC has 16 bytes, not {len(seal)}")
        return head + body + _TRAILER.pack(self.trailer_magic, digest, seal, bytes(12))

    def header(self, data: bytes | memoryview | mmap) -> BatchHeader:
        """The header of a file whose length and ends are right, without a look at its records.

        Raises BatchError with the first flaw that shows so; checksum, totals and MAC are not asked.
        """
        self._check_form(data)
        return self._header(data)

    def read(self, data: bytes | memoryview, sealed: bytes | None = None) -> Framed:
        """Read a file whole; raises BatchError with the first flaw. Its MAC is the HSM's to check.

        `sealed` is the SHA-256 of all but its trailer, where that has been made already.
        """
        self._check_form(data)
        trailer_at = len(data) - PART_BYTES
        zero = self._layout.unpack_from(data)[-1]
        _, digest, mac, zero_after = _TRAILER.unpack_from(data, trailer_at)
        if (sealed or sha256(memoryview(data)[:trailer_at]).digest()) != digest:
            raise BatchError(BatchFlaw.CHECKSUM, trailer_at + 4, "SHA-256", digest.hex(), _RESEND)
        header = self._header(data)
        if any(zero) or any(zero_after):
            offset = self._after_size(13) if any(zero) else len(data) - 12
            raise BatchError(BatchFlaw.RESERVED, offset, "reserved bytes", "not zero", _REMAKE)
        records = memoryview(data)[PART_BYTES:trailer_at]
        if (found_fen := self.sum_of(records)) != header.amount_fen:
            value = f"{header.amount_fen}, but the records sum to {found_fen}"
            raise BatchError(BatchFlaw.TOTAL, self._after_size(4), "sum", value, _REMAKE)
        return Framed(header, records, digest, mac)

    def _header(self, data: bytes | memoryview | mmap) -> BatchHeader:
        _, padded, sequence, day, made_at, _, count, amount_fen, mac_key_version, _ = (
            self._layout.unpack_from(data)
        )
        operator = _operator(padded)
        _check_number(operator, sequence)
        header = BatchHeader(
            operator, sequence, _business_date(day), made_at, count, amount_fen, mac_key_version
        )
        self._check_header(header)
        return header

    @property
    def _layout(self) -> struct.Struct:
        size = {1: "B", 2: "H"}[self.size_bytes]
        return struct.Struct(f">4s8sI4s7s{size}IQB{PART_BYTES - self._after_size(13)}s")

    def _after_size(self, offset: int) -> int:
        return _SIZE_AT + self.size_bytes + offset

    def _check_form(self, data: bytes | memoryview | mmap) -> None:
        """Length, magic numbers and count, from the front: what can be said before the checksum is asked."""
        if not data:
            raise BatchError(BatchFlaw.EMPTY, 0, "length", 0, _RESEND)
        if data[:4] != self.header_magic[: len(data)]:
            remedy = f"a batch file of this kind begins with {self.header_magic.decode()}"
            raise BatchError(BatchFlaw.NOT_A_BATCH, 0, "the beginning", data[:4].hex(), remedy)
        if len(data) < PART_BYTES:
            raise BatchError(BatchFlaw.TRUNCATED, len(data), "length", len(data), _RESEND)
        size = int.from_bytes(data[_SIZE_AT : self._after_size(0)], "big")
        if size != self.record_bytes:
            remedy = f"this reader knows {self.record_bytes}"
            raise BatchError(BatchFlaw.RECORD_SIZE, _SIZE_AT, "record size", size, remedy)
        count = int.from_bytes(data[self._after_size(0) : self._after_size(4)], "big")
        expected = 2 * PART_BYTES + count * self.record_bytes
        if len(data) != expected:
            raise self._wrong_length(data, count, expected)
        if (found := data[-PART_BYTES:][:4]) != self.trailer_magic:
            place = len(data) - PART_BYTES
            raise BatchError(BatchFlaw.TRAILER, place, "the trailer's beginning", found.hex(), _RESEND)

    def _wrong_length(self, data: bytes | memoryview | mmap, count: int, expected: int) -> BatchError:
        """Tell a wrong count from a wrong length: a file that ends in a trailer of its own came whole."""
        fits, rest = divmod(len(data) - 2 * PART_BYTES, self.record_bytes)
        ended_before = data[expected - PART_BYTES : expected - PART_BYTES + 4] == self.trailer_magic
        if fits >= 0 and rest == 0 and not ended_before and data[-PART_BYTES:][:4] == self.trailer_magic:
            value = f"{count}, but the file holds {fits} records"
            return BatchError(BatchFlaw.COUNT, self._after_size(0), "count", value, _RESEND)
        if len(data) < expected:
            value = f"{len(data)} of {expected} bytes"
            return BatchError(BatchFlaw.TRUNCATED, len(data), "length", value, _RESEND)
        value = f"{len(data)} where {expected} bytes belong"
        return BatchError(BatchFlaw.TRAILING, expected, "length", value, _RESEND)

    def _check_header(self, header: BatchHeader) -> None:
        """What a header may hold, the same for reader and writer."""
        _check_number(header.operator, header.sequence)
        try:
            moment_of(header.made_at)
        except ValueError as error:
            remedy = "it must be a date and time YYYYMMDDHHMMSS"
            raise BatchError(BatchFlaw.MADE_AT, 20, "made at", header.made_at.hex(), remedy) from error
        # Version 0 would mean "the newest", which is another key tomorrow.
        if not 1 <= header.mac_key_version <= 255:
            remedy, place = "name the version of the key, from 1", self._after_size(12)
            raise BatchError(
                BatchFlaw.MAC_KEY_VERSION, place, "MAC key version", header.mac_key_version, remedy
            )


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

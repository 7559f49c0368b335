"""The QR batch file: header, one record a ride, trailer (docs/formats/qr-batch.md).

It is framed as the batch of card taps is, and numbered by a sequence of its own.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from clearing.wire.batch import PART_BYTES, BatchError, BatchFlaw, BatchHeader
from clearing.wire.bcd import date_of, moment_of, pack_date
from clearing.wire.qr_record import AMOUNT_OFFSET, QR_RECORD_BYTES

QR_SUFFIX = ".oqb"
HEADER_MAGIC, TRAILER_MAGIC = b"OQB1", b"OQE1"

_HEADER = struct.Struct(">4s8sI4s7sHIQB22s")
_TRAILER = struct.Struct(">4s32s16s12s")
_OPERATOR = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,6}[A-Z0-9])?")
_NAME = re.compile(rf"(?P<operator>{_OPERATOR.pattern})-(?P<sequence>[0-9]{{8,10}})\.oqb")
_RESEND = "ask the operator to send the file again"
_REMAKE = "the operator's software made it wrongly: it must be made anew under the same number"


@dataclass(frozen=True, slots=True)
class QrBatch:
    """A file whose form, checksum and totals hold. Whether `mac` over `digest` holds, the HSM must say."""

    header: BatchHeader
    records: tuple[bytes, ...]
    digest: bytes
    mac: bytes


def write_qr_batch(
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
    if any(len(record) != QR_RECORD_BYTES for record in records):
        raise ValueError(f"every record must have {QR_RECORD_BYTES} bytes; pack it with QrRide.pack")
    header = BatchHeader(
        operator, sequence, business_date, made_at, len(records), _amount_fen(records), mac_key_version
    )
    _check_header(header)
    head = _HEADER.pack(
        HEADER_MAGIC, operator.encode("ascii").ljust(8), sequence, pack_date(business_date), made_at,
        QR_RECORD_BYTES, header.count, header.amount_fen, mac_key_version, bytes(22),
    )  # fmt: skip
    body = b"".join(records)
    digest = sha256(head + body).digest()
    seal = mac(digest)
    if len(seal) != 16:
        raise ValueError(f"a batch MAC has 16 bytes, not {len(seal)}")
    return head + body + _TRAILER.pack(TRAILER_MAGIC, digest, seal, bytes(12))


def read_qr_batch(data: bytes) -> QrBatch:
    """Read a file whole; raises BatchError with the first flaw. Its MAC is the HSM's to check."""
    _check_form(data)
    trailer_at = len(data) - PART_BYTES
    _, padded, sequence, day, made_at, _, count, amount_fen, mac_key_version, zero = _HEADER.unpack_from(data)
    _, digest, mac, zero_after = _TRAILER.unpack_from(data, trailer_at)
    if sha256(memoryview(data)[:trailer_at]).digest() != digest:
        raise BatchError(BatchFlaw.CHECKSUM, trailer_at + 4, "SHA-256", digest.hex(), _RESEND)
    operator = padded.decode("ascii", "replace").rstrip(" ")
    _check_number(operator, sequence)
    header = BatchHeader(operator, sequence, _business_date(day), made_at, count, amount_fen, mac_key_version)
    _check_header(header)
    if any(zero) or any(zero_after):
        offset = 42 if any(zero) else len(data) - 12
        raise BatchError(BatchFlaw.RESERVED, offset, "reserved bytes", "not zero", _REMAKE)
    starts = range(PART_BYTES, trailer_at, QR_RECORD_BYTES)
    records = tuple(data[start : start + QR_RECORD_BYTES] for start in starts)
    if (found_fen := _amount_fen(records)) != amount_fen:
        value = f"{amount_fen}, but the records sum to {found_fen}"
        raise BatchError(BatchFlaw.TOTAL, 33, "sum", value, _REMAKE)
    return QrBatch(header, records, digest, mac)


def qr_batch_name(operator: str, sequence: int) -> str:
    """The name a QR batch travels under, as `BUS-1-00000042.oqb`."""
    return f"{operator}-{sequence:08d}{QR_SUFFIX}"


def parse_qr_batch_name(name: str) -> tuple[str, int] | None:
    """Operator and sequence of a QR batch's name, or None where it is not one."""
    if (match := _NAME.fullmatch(name)) is None:
        return None
    operator, sequence = match["operator"], int(match["sequence"])
    return (operator, sequence) if qr_batch_name(operator, sequence) == name else None


def _check_form(data: bytes) -> None:
    """Length, magic numbers and count, from the front: what can be said before the checksum is asked."""
    if not data:
        raise BatchError(BatchFlaw.EMPTY, 0, "length", 0, _RESEND)
    if data[:4] != HEADER_MAGIC[: len(data)]:
        remedy = "a QR batch begins with OQB1"
        raise BatchError(BatchFlaw.NOT_A_BATCH, 0, "the beginning", data[:4].hex(), remedy)
    if len(data) < PART_BYTES:
        raise BatchError(BatchFlaw.TRUNCATED, len(data), "length", len(data), _RESEND)
    if (size := int.from_bytes(data[27:29], "big")) != QR_RECORD_BYTES:
        remedy = f"this reader knows {QR_RECORD_BYTES}"
        raise BatchError(BatchFlaw.RECORD_SIZE, 27, "record size", size, remedy)
    count = int.from_bytes(data[29:33], "big")
    expected = 2 * PART_BYTES + count * QR_RECORD_BYTES
    if len(data) < expected:
        value = f"{len(data)} of {expected} bytes"
        raise BatchError(BatchFlaw.TRUNCATED, len(data), "length", value, _RESEND)
    if len(data) > expected:
        value = f"{len(data)} where {expected} bytes belong"
        raise BatchError(BatchFlaw.TRAILING, expected, "length", value, _RESEND)
    if (found := data[-PART_BYTES:][:4]) != TRAILER_MAGIC:
        place = len(data) - PART_BYTES
        raise BatchError(BatchFlaw.TRAILER, place, "the trailer's beginning", found.hex(), _RESEND)


def _check_header(header: BatchHeader) -> None:
    """What a header may hold, the same for reader and writer."""
    _check_number(header.operator, header.sequence)
    try:
        moment_of(header.made_at)
    except ValueError as error:
        remedy = "it must be a date and time YYYYMMDDHHMMSS"
        raise BatchError(BatchFlaw.MADE_AT, 20, "made at", header.made_at.hex(), remedy) from error
    if not 1 <= header.mac_key_version <= 255:
        remedy = "name the version of the key, from 1"
        raise BatchError(BatchFlaw.MAC_KEY_VERSION, 41, "MAC key version", header.mac_key_version, remedy)


def _check_number(operator: str, sequence: int) -> None:
    if not _OPERATOR.fullmatch(operator):
        remedy = "an operator is 1 to 8 of A-Z, 0-9 and inner hyphens"
        raise BatchError(BatchFlaw.OPERATOR, 4, "operator", ascii(operator), remedy)
    if not 1 <= sequence < 1 << 32:
        raise BatchError(BatchFlaw.SEQUENCE, 12, "sequence", sequence, "batches are numbered from 1")


def _business_date(packed: bytes) -> date:
    try:
        return date_of(packed)
    except ValueError as error:
        remedy = "it must be a day of the calendar, YYYYMMDD"
        raise BatchError(BatchFlaw.BUSINESS_DATE, 16, "business date", packed.hex(), remedy) from error


def _amount_fen(records: Sequence[bytes]) -> int:
    return sum(int.from_bytes(record[AMOUNT_OFFSET : AMOUNT_OFFSET + 4], "big") for record in records)

"""A biller's daily file (docs/formats/biller-file.md): bytes in, values out, and back.

A file is taken whole or not at all: what is wrong with it is said with the line, the field and the remedy.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from clearing.sectors.utilities.peer import NUMBER, REFERENCE
from ledger.entry import MAX_AMOUNT_FEN

MAGIC: Final = "OCU1"
TRAILER: Final = "OCE1"
HEADER_FIELDS: Final = 7
LINE_FIELDS: Final = 5
_NATURAL: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_DAY: Final = re.compile(r"[0-9]{8}")
_INSTANT: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_BILLER: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")


class FileFlaw(StrEnum):
    """Why a file is not taken, in order of precedence: the first that applies is the one given."""

    NOT_A_FILE = "not_a_file"
    TRUNCATED = "truncated"
    DIGEST_WRONG = "digest_wrong"
    FIELD_MALFORMED = "field_malformed"
    REFERENCE_TWICE = "reference_twice"
    COUNT_WRONG = "count_wrong"
    AMOUNT_WRONG = "amount_wrong"


class BillerFileError(Exception):
    """A file that cannot be taken; `line` counts from 1 and is 0 where the flaw is the whole file's."""

    def __init__(self, flaw: FileFlaw, line: int, field: str, value: object, remedy: str) -> None:
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}{field} {value!r} is not possible ({flaw}); {remedy}")
        self.flaw = flaw
        self.line = line
        self.field = field
        self.value = value
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What a file says of itself; `issue` counts the biller's files of one business date from 1."""

    biller: str
    business_date: date
    issue: int
    count: int
    amount_fen: int
    made_at: datetime


@dataclass(frozen=True, slots=True)
class FileLine:
    """A payment that the biller has written off; the amount in fen."""

    reference: str
    account_no: str
    bill_no: str
    amount_fen: int
    written_off_at: datetime


@dataclass(frozen=True, slots=True)
class DailyFile:
    """A file whose header agrees with its lines; `digest` is the SHA-256 of all its bytes, in hex."""

    header: FileHeader
    lines: tuple[FileLine, ...]
    digest: str


def write_daily_file(
    biller: str, business_date: date, issue: int, lines: Iterable[FileLine], *, made_at: datetime
) -> bytes:
    """The file of these lines, in the order of their references."""
    ordered = sorted(lines, key=lambda line: line.reference)
    total_fen = sum(line.amount_fen for line in ordered)
    rows: list[Sequence[object]] = [
        (MAGIC, biller, f"{business_date:%Y%m%d}", issue, len(ordered), total_fen, _compact(made_at))
    ]
    rows += [
        (one.reference, one.account_no, one.bill_no, one.amount_fen, _compact(one.written_off_at))
        for one in ordered
    ]
    body = "".join("|".join(map(str, row)) + "\n" for row in rows).encode("ascii")
    return body + f"{TRAILER}|{sha256(body).hexdigest()}\n".encode("ascii")


def read_daily_file(content: bytes) -> DailyFile:
    """Read a file and hold its header against its lines. Raises BillerFileError and nothing else."""
    rows = _checked(content)
    header = _header(rows[0])
    lines = tuple(_line(number, row) for number, row in enumerate(rows[1:], 2))
    seen: set[str] = set()
    for number, line in enumerate(lines, 2):
        if line.reference in seen:
            raise BillerFileError(
                FileFlaw.REFERENCE_TWICE, number, "reference", line.reference, "give each payment one line"
            )
        seen.add(line.reference)
    total_fen = sum(line.amount_fen for line in lines)
    if header.count != len(lines):
        remedy = f"the file has {len(lines)} lines: have the biller make it again"
        raise BillerFileError(FileFlaw.COUNT_WRONG, 1, "count", header.count, remedy)
    if header.amount_fen != total_fen:
        remedy = f"the lines add up to {total_fen} fen: have the biller make it again"
        raise BillerFileError(FileFlaw.AMOUNT_WRONG, 1, "amount", header.amount_fen, remedy)
    return DailyFile(header, lines, sha256(content).hexdigest())


def _checked(content: bytes) -> list[str]:
    """The lines without the trailer, of a file that is whole and as it was sent."""
    if not content.startswith(f"{MAGIC}|".encode()):
        raise BillerFileError(
            FileFlaw.NOT_A_FILE, 1, "first field", content[:16], f"a daily file begins with {MAGIC}|"
        )
    body, mark, trailer = content.rpartition(f"\n{TRAILER}|".encode())
    if not mark or not trailer.endswith(b"\n") or len(trailer) != 65:
        raise BillerFileError(
            FileFlaw.TRUNCATED,
            0,
            "last line",
            content[-80:],
            f"a whole file ends with {TRAILER}| and a digest",
        )
    body += b"\n"
    if trailer[:-1] != sha256(body).hexdigest().encode():
        raise BillerFileError(
            FileFlaw.DIGEST_WRONG, 0, "digest", trailer[:-1], "it was changed on its way: have it sent again"
        )
    try:
        return body.decode("ascii")[:-1].split("\n")
    except UnicodeDecodeError as error:
        raise BillerFileError(
            FileFlaw.FIELD_MALFORMED, 0, "byte", content[error.start], "write the file in ASCII"
        ) from error


def _header(row: str) -> FileHeader:
    fields = _fields(1, row, HEADER_FIELDS)
    biller, day, issue, count, amount, made_at = fields[1:]
    if not _BILLER.fullmatch(biller):
        raise _malformed(1, "biller", biller, "1 to 16 capital letters, digits and hyphens")
    if issue == "0":
        raise _malformed(1, "issue", issue, "a number from 1")
    return FileHeader(
        biller,
        _date(1, day),
        _number(1, "issue", issue, most=999_999),
        _number(1, "count", count, most=MAX_AMOUNT_FEN),
        _number(1, "amount", amount, most=10**18),
        _instant(1, "made at", made_at),
    )


def _line(number: int, row: str) -> FileLine:
    reference, account_no, bill_no, amount, written_off_at = _fields(number, row, LINE_FIELDS)
    if not REFERENCE.fullmatch(reference):
        raise _malformed(number, "reference", reference, "1 to 80 visible characters")
    for name, value in (("account", account_no), ("bill", bill_no)):
        if not NUMBER.fullmatch(value):
            raise _malformed(number, name, value, "1 to 32 letters, digits and hyphens")
    if amount == "0":
        raise _malformed(number, "amount", amount, "at least one fen")
    amount_fen = _number(number, "amount", amount, most=MAX_AMOUNT_FEN)
    return FileLine(
        reference, account_no, bill_no, amount_fen, _instant(number, "written off at", written_off_at)
    )


def _fields(number: int, row: str, expected: int) -> list[str]:
    fields = row.split("|")
    if len(fields) != expected:
        raise _malformed(number, "fields", len(fields), f"{expected} fields between `|`")
    return fields


def _number(line: int, name: str, text: str, *, most: int) -> int:
    if not _NATURAL.fullmatch(text) or int(text) > most:
        raise _malformed(line, name, text, f"a number up to {most} in digits, without leading zeros")
    return int(text)


def _date(line: int, text: str) -> date:
    try:
        if _DAY.fullmatch(text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise _malformed(line, "business date", text, "a day of the calendar, YYYYMMDD") from None
    raise _malformed(line, "business date", text, "a day of the calendar, YYYYMMDD")


def _instant(line: int, name: str, text: str) -> datetime:
    try:
        if _INSTANT.fullmatch(text):
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise _malformed(line, name, text, "a UTC instant, YYYYMMDDTHHMMSSZ") from None
    raise _malformed(line, name, text, "a UTC instant, YYYYMMDDTHHMMSSZ")


def _malformed(line: int, field: str, value: object, wanted: str) -> BillerFileError:
    return BillerFileError(FileFlaw.FIELD_MALFORMED, line, field, value, f"give {wanted}")


def _compact(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%SZ}"

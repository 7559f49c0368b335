"""Entries: what is posted as one, why it may be refused, and the bytes that it is known by."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

MAX_AMOUNT_FEN = 10**14
"""More than any one payment in a city: a trillion yuan."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Line:
    """A transfer: `amount_fen` from the debit account's side to the credit account's side.

    `item` is the natural key of what the line is about, such as one tap of a batch.
    """

    debit: str
    credit: str
    amount_fen: int
    item: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """Lines that are posted together or not at all; `reference` is the natural key of what happened.

    `event_at` is when it happened; `reverses` is the reference of the entry that this one mirrors.
    """

    reference: str
    kind: str
    business_date: date
    event_at: datetime
    lines: tuple[Line, ...]
    narrative: str = ""
    reverses: str | None = None


class Reason(StrEnum):
    """Why an entry is refused, in order of precedence: the first that applies is the one given.

    An entry that is in the books already with the same content is not refused at all: after MALFORMED, that
    is asked first.
    """

    MALFORMED = "malformed"
    DAY_NOT_OPEN = "day_not_open"
    DAY_CLOSED = "day_closed"
    ACCOUNT_UNKNOWN = "account_unknown"
    ACCOUNT_CLOSED = "account_closed"
    CONFLICT = "conflict"
    ORIGINAL_UNKNOWN = "original_unknown"
    NOT_A_MIRROR = "not_a_mirror"
    ALREADY_REVERSED = "already_reversed"
    LIMIT_EXCEEDED = "limit_exceeded"


@dataclass(frozen=True, slots=True)
class Posted:
    """The entry is in the books; `first_time` is False when it was there before with the same content."""

    reference: str
    entry_id: int
    first_time: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The entry left no trace; `account` is the code at fault and `amount_fen` what it lacks, if any."""

    reference: str
    reason: Reason
    account: str
    amount_fen: int
    message: str


def flaw(entry: Entry) -> str | None:
    """What makes an entry impossible whatever is in the books, or None."""
    for name, text in (("reference", entry.reference), ("kind", entry.kind)):
        if not text:
            return f"{name} is empty; name what happened"
    if len(entry.kind) > 32:
        return f"kind {entry.kind!r} is longer than 32 characters; shorten it"
    if entry.event_at.tzinfo is None:
        return f"event_at {entry.event_at} has no time zone; give a UTC instant"
    if not entry.lines:
        return "there are no lines; an entry moves money"
    for number, line in enumerate(entry.lines, 1):
        amount_fen = line.amount_fen
        if type(amount_fen) is not int or not 0 < amount_fen <= MAX_AMOUNT_FEN:
            bounds = f"an integer from 1 to {MAX_AMOUNT_FEN}"
            return f"amount_fen {amount_fen!r} of line {number} is not {bounds}; check its unit"
        if line.debit == line.credit:
            return f"line {number} moves money from {line.debit!r} to itself; name two accounts"
    return None


def unprintable(entry: Entry) -> str | None:
    """Name the text of an entry that holds a control character or half of a surrogate pair, or None."""
    texts = [("reference", entry.reference), ("kind", entry.kind), ("narrative", entry.narrative)]
    texts.append(("reverses", entry.reverses or ""))
    for number, line in enumerate(entry.lines, 1):
        texts += [(f"{name} of line {number}", getattr(line, name)) for name in ("debit", "credit", "item")]
    for name, text in texts:
        if _UNPRINTABLE.search(text):
            return f"{name} {text!r} holds a control character; take it out"
    return None


def canonical_bytes(entry: Entry) -> bytes:
    """The content of an entry as one JSON array in ASCII without spaces, its instant in UTC.

    The business date and the instant of booking are left out: they say when we booked what happened, not
    what happened, and the seal of the day covers the date.
    """
    event_at = entry.event_at.astimezone(UTC).isoformat(timespec="microseconds")
    lines = [(line.debit, line.credit, line.amount_fen, line.item) for line in entry.lines]
    content = [
        "onecard/entry/v1",
        entry.reference,
        entry.kind,
        event_at,
        entry.narrative,
        entry.reverses,
        lines,
    ]
    return _JSON.encode(content).encode("ascii")


def digest(content: bytes) -> bytes:
    """SHA-256 of the content as a leaf of the day's Merkle tree (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + content).digest()


def mirrored(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The same transfers the other way."""
    return tuple(Line(line.credit, line.debit, line.amount_fen, line.item) for line in lines)

"""Entries: what is posted as one, why it may be refused, and the bytes that it is known by."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

MAX_AMOUNT_FEN = 10**14
"""More than any one payment in a city: a trillion yuan."""

MAX_KIND = 32

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_JSON = json.JSONEncoder(separators=(",", ":"))
_quoted = json.encoder.encode_basestring_ascii
"""A text as JSON in ASCII has it."""


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

    `event_at` is when it happened; `reverses` is the reference of the entry that this one mirrors, `settles`
    that of the hold whose money it takes: its lines are lines of the hold, each with all of it or less, and
    what it does not take is free again.
    """

    reference: str
    kind: str
    business_date: date
    event_at: datetime
    lines: tuple[Line, ...]
    narrative: str = ""
    reverses: str | None = None
    settles: str | None = None


class Reason(StrEnum):
    """Why an order is refused, in order of precedence: the first that applies is the one given.

    An order that is in the books already with the same content is not refused at all: after MALFORMED, that
    is asked first.
    """

    MALFORMED = "malformed"
    DAY_NOT_OPEN = "day_not_open"
    DAY_CLOSED = "day_closed"
    ACCOUNT_UNKNOWN = "account_unknown"
    ACCOUNT_CLOSED = "account_closed"
    CONFLICT = "conflict"
    FORESTALLED = "forestalled"
    ORIGINAL_UNKNOWN = "original_unknown"
    ORIGINAL_ARCHIVED = "original_archived"
    NOT_A_MIRROR = "not_a_mirror"
    ALREADY_REVERSED = "already_reversed"
    HOLD_UNKNOWN = "hold_unknown"
    HOLD_OVER = "hold_over"
    HOLD_EXCEEDED = "hold_exceeded"
    LIMIT_EXCEEDED = "limit_exceeded"


@dataclass(frozen=True, slots=True)
class Posted:
    """The entry is in the books; `first_time` is False when it was there before with the same content."""

    reference: str
    entry_id: int
    first_time: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The order left no trace; `account` is the code at fault and `amount_fen` what it lacks, if any."""

    reference: str
    reason: Reason
    account: str
    amount_fen: int
    message: str


def flaw(entry: Entry) -> str | None:
    """What makes an entry impossible whatever is in the books, or None."""
    if entry.reverses is not None and entry.settles is not None:
        return "it both reverses an entry and settles a hold; make it two"
    return flaw_of_head(entry.reference, entry.kind, entry.event_at) or flaw_of_lines(entry.lines)


def flaw_of_head(reference: str, kind: str, event_at: datetime) -> str | None:
    """What is wrong with what an order says of itself, or None."""
    if not reference or not kind:
        return f"{'kind' if reference else 'reference'} is empty; name what happened"
    if len(kind) > MAX_KIND:
        return f"kind {kind!r} is longer than {MAX_KIND} characters; shorten it"
    if event_at.tzinfo is None:
        return f"event_at {event_at} has no time zone; give a UTC instant"
    return None


def flaw_of_lines(lines: Sequence[Line]) -> str | None:
    """What is wrong with lines whatever is in the books, or None."""
    if not lines:
        return "there are no lines; an entry moves money"
    for number, line in enumerate(lines, 1):
        amount_fen = line.amount_fen
        if type(amount_fen) is not int or not 0 < amount_fen <= MAX_AMOUNT_FEN:
            bounds = f"an integer from 1 to {MAX_AMOUNT_FEN}"
            return f"amount_fen {amount_fen!r} of line {number} is not {bounds}; check its unit"
        if line.debit == line.credit:
            return f"line {number} moves money from {line.debit!r} to itself; name two accounts"
    return None


def unprintable(texts: Mapping[str, str | None], lines: Sequence[Line] = ()) -> str | None:
    """Name the first text that holds a control character or half of a surrogate pair, or None."""
    named = [(name, text or "") for name, text in texts.items()]
    for number, line in enumerate(lines, 1):
        named += [(f"{name} of line {number}", getattr(line, name)) for name in ("debit", "credit", "item")]
    for name, text in named:
        if _UNPRINTABLE.search(text):
            return f"{name} {text!r} holds a control character; take it out"
    return None


def canonical_bytes(entry: Entry) -> bytes:
    """The content of an entry as one JSON array in ASCII without spaces, its instant in UTC.

    The business date and the instant of booking are left out: they say when we booked what happened, not
    what happened. The seal of the day covers both.
    """
    lines = ",".join(
        [
            f"[{_quoted(line.debit)},{_quoted(line.credit)},{line.amount_fen},{_quoted(line.item)}]"
            for line in entry.lines
        ]
    )
    return f"{_head(entry)},[{lines}]]".encode("ascii")


def canonical_head(entry: Entry) -> bytes:
    """The content of an entry without its lines, which come last."""
    return f"{_head(entry)}]".encode("ascii")


def _head(entry: Entry) -> str:
    reverses = "null" if entry.reverses is None else _quoted(entry.reverses)
    settles = "null" if entry.settles is None else _quoted(entry.settles)
    return (
        f'["onecard/entry/v2",{_quoted(entry.reference)},{_quoted(entry.kind)},"{utc_text(entry.event_at)}",'
        f"{_quoted(entry.narrative)},{reverses},{settles}"
    )


def json_bytes(content: object) -> bytes:
    """JSON in ASCII without spaces: one text for one content."""
    return _JSON.encode(content).encode("ascii")


def utc_text(at: datetime) -> str:
    """An instant in UTC to the microsecond, as every hashed text has it."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")


def digest(content: bytes) -> bytes:
    """SHA-256 of the content as a leaf of the day's Merkle tree (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + content).digest()


def chain_start(business_date: date) -> bytes:
    """What the first entry of a day is chained to."""
    return hashlib.sha256(b"onecard/chain/v1" + business_date.isoformat().encode("ascii")).digest()


def chained(previous: bytes, entry_id: int, content_digest: bytes, posted_at: str) -> bytes:
    """The running hash of a day up to an entry: SHA-256 over the one before, number, digest and booking.

    `posted_at` is `utc_text` of the instant of booking: a call books all its entries at one.
    """
    link = previous + entry_id.to_bytes(8, "big") + content_digest + posted_at.encode("ascii")
    return hashlib.sha256(link).digest()


def mirrored(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The same transfers the other way."""
    return tuple(Line(line.credit, line.debit, line.amount_fen, line.item) for line in lines)

"""What can be asked of the ledger beside entries: holds and their end, and taking back what may not be there yet.

A hold sets money aside: it counts against limits like a posting, but moves nothing. It ends once: settled by an
entry that names it, voided, or expired at its instant.
"""

from dataclasses import dataclass
from datetime import date, datetime

from ledger.entry import (
    Entry,
    Line,
    Posted,
    Refused,
    flaw,
    flaw_of_head,
    flaw_of_lines,
    json_bytes,
    unprintable,
    utc_text,
)


@dataclass(frozen=True, slots=True)
class Hold:
    """Lines of money to be set aside until `expires_at`; `reference` is unique among holds."""

    reference: str
    kind: str
    event_at: datetime
    expires_at: datetime
    lines: tuple[Line, ...]
    narrative: str = ""


@dataclass(frozen=True, slots=True)
class Void:
    """Free all that the hold of this reference set aside; a void that comes before its hold is remembered."""

    reference: str


@dataclass(frozen=True, slots=True)
class Reversal:
    """Take back the entry of reference `original`, once; before it has come, it is remembered and refused."""

    reference: str
    original: str
    business_date: date
    event_at: datetime
    kind: str = "reversal"
    narrative: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The money is set aside; `first_time` is False when it was, or had been, with the same content."""

    reference: str
    hold_id: int
    first_time: bool


@dataclass(frozen=True, slots=True)
class Voided:
    """Nothing is held under this reference any more; `first_time` is False when nothing was."""

    reference: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is to be taken back is not in the books; when it comes, it will be refused."""

    reference: str
    first_time: bool


Order = Entry | Hold | Void | Reversal
Answer = Posted | Held | Voided | Remembered | Refused


def flaw_of(order: Order) -> str | None:
    """What makes an order impossible whatever is in the books, or None."""
    match order:
        case Entry():
            return flaw(order)
        case Hold():
            return _flaw_of_hold(order)
        case Reversal():
            return flaw_of_head(order.reference, order.kind, order.event_at) or (
                None if order.original else "original is empty; name what is taken back"
            )
        case Void():
            return None if order.reference else "reference is empty; name the hold"


def unprintable_in(order: Order) -> str | None:
    """Name the first text of an order that no database should hold, or None."""
    texts = {
        name: getattr(order, name, None)
        for name in ("reference", "kind", "narrative", "reverses", "settles", "original")
    }
    return unprintable(texts, order.lines if isinstance(order, Entry | Hold) else ())


def hold_content(hold: Hold) -> bytes:
    """The content of a hold as one JSON array in ASCII without spaces; the same content is the same hold."""
    lines = [(line.debit, line.credit, line.amount_fen, line.item) for line in hold.lines]
    instants = (utc_text(hold.event_at), utc_text(hold.expires_at))
    return json_bytes(["onecard/hold/v1", hold.reference, hold.kind, *instants, hold.narrative, lines])


def _flaw_of_hold(hold: Hold) -> str | None:
    if hold.expires_at.tzinfo is None:
        return f"expires_at {hold.expires_at} has no time zone; give a UTC instant"
    found = flaw_of_head(hold.reference, hold.kind, hold.event_at) or flaw_of_lines(hold.lines)
    if found is None and hold.expires_at <= hold.event_at:
        found = f"expires_at {hold.expires_at} is not after event_at {hold.event_at}; hold for some time"
    return found

"""What is to be booked and what is refused: decided in memory, from facts, one order after the other."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from ledger.day import DayState
from ledger.entry import Entry, Posted, Reason, Refused, canonical_bytes, chained, digest, flaw, mirrored
from ledger.events import Happened
from ledger.facts import Booked, Facts
from ledger.holding import end, expire, not_settled_by, place, void
from ledger.orders import Answer, Hold, Order, Remembered, Reversal, Void, flaw_of, unprintable_in
from ledger.standing import Accepted, Decision, Standing


class Offer(NamedTuple):
    """An order as it was offered, an entry with its digest; or with why it can never be booked."""

    order: Order
    digest: bytes
    flaw: str | None


def offered(orders: Sequence[Order]) -> list[Offer]:
    """Look at each order alone."""
    return [_offer(order) for order in orders]


def decide(offers: Sequence[Offer], facts: Facts, *, closing: bool, at: datetime) -> Decision:
    """Answer each offer as if those before it were booked already; `closing` lets a closing day take entries.

    Holds that have run out at `at` end before anything is answered.
    """
    books = begun(facts, closing=closing, at=at)
    answer(books, offers)
    return books.decision


def begun(facts: Facts, *, closing: bool, at: datetime) -> Standing:
    """The books before the first answer: holds that have run out at `at` are over."""
    books = Standing(facts, closing=closing, at=at)
    expire(books, facts.due)
    return books


def answer(books: Standing, offers: Sequence[Offer]) -> None:
    """Answer each offer as if those before it were booked already."""
    answers = books.decision.answers
    for offer in offers:
        answers.append(_answer(books, offer))


def _offer(order: Order) -> Offer:
    if isinstance(order, Entry):
        found = flaw(order)
        if found is not None:
            return Offer(order, b"", found)
        content = canonical_bytes(order)
        # JSON escapes every character that could be refused, so that most entries need no second look.
        return Offer(order, digest(content), unprintable_in(order) if b"\\" in content else None)
    return Offer(order, b"", flaw_of(order) or unprintable_in(order))


def _answer(books: Standing, offer: Offer) -> Answer:
    order = offer.order
    if offer.flaw is not None:
        what = type(order).__name__.lower()
        return Refused(order.reference, Reason.MALFORMED, "", 0, f"{what} {order.reference!r}: {offer.flaw}")
    match order:
        case Entry():
            return _post(books, order, offer.digest)
        case Reversal():
            return _reverse(books, order)
        case Hold():
            return place(books, order)
        case Void():
            return void(books, order)


def _post(books: Standing, entry: Entry, content_digest: bytes) -> Posted | Refused:
    known = books.booked.get(entry.reference)
    if known is not None and known.digest == content_digest:
        return Posted(entry.reference, known.entry_id, first_time=False)
    refusal = _day(books, entry)
    if refusal is not None:
        return refusal
    transfers = books.transfers("entry", entry.reference, entry.lines)
    if isinstance(transfers, Refused):
        return transfers
    refusal = (
        (None if known is None else _conflict(known, entry, content_digest))
        or _forestalled(books, entry)
        or (None if entry.reverses is None else _not_a_reversal(books, entry, entry.reverses))
        or (None if entry.settles is None else not_settled_by(books, entry, entry.settles))
    )
    if refusal is not None:
        return refusal
    hold = books.holds[entry.settles] if entry.settles is not None else None
    if hold is not None:
        # What is settled was counted when it was held.
        books.free(hold.lines)
    refusal = books.post("entry", entry.reference, transfers)
    if hold is not None:
        books.hold_again(hold.lines)
    if refusal is not None:
        return refusal
    if hold is not None:
        end(books, hold, Happened.HOLD_SETTLED, entry.reference)
    return _accept(books, entry, content_digest, None if hold is None else hold.hold_id)


def _reverse(books: Standing, order: Reversal) -> Answer:
    """Take back an entry as it stands in the books, or remember that it is to be taken back."""
    original = books.originals.get(order.original)
    if original is not None and original.without_lines is not None:
        month = f"{original.without_lines.business_date:%Y-%m}"
        message = (
            f"reversal {order.reference!r}: the lines of its original {order.original!r} are archived with {month}; "
            f"post an entry that reverses it, with its lines from the archive"
        )
        return Refused(order.reference, Reason.ORIGINAL_ARCHIVED, "", 0, message)
    if original is not None:
        mirror = Entry(
            order.reference,
            order.kind,
            order.business_date,
            order.event_at,
            mirrored(original.lines),
            order.narrative,
            order.original,
        )
        return _post(books, mirror, digest(canonical_bytes(mirror)))
    known = books.booked.get(order.reference)
    if known is not None:
        message = (
            f"reversal {order.reference!r}: that reference is in the books as entry number {known.entry_id}, "
            f"which takes back no {order.original!r}; use another reference"
        )
        return Refused(order.reference, Reason.CONFLICT, "", 0, message)
    first_time = order.original not in books.forestalled
    if first_time:
        books.forestall(order.original, by=order.reference)
    return Remembered(order.reference, first_time)


def _day(books: Standing, entry: Entry) -> Refused | None:
    day = books.days.get(entry.business_date)
    state = None if day is None else day.state
    if state is DayState.OPEN or (state is DayState.CLOSING and books.closing):
        return None
    reason = Reason.DAY_CLOSED if state is DayState.CLOSED else Reason.DAY_NOT_OPEN
    found = "was never opened" if state is None else f"is {state}"
    message = f"entry {entry.reference!r}: day {entry.business_date} {found}; book it on the open day"
    return Refused(entry.reference, reason, "", 0, message)


def _conflict(known: Booked, entry: Entry, content_digest: bytes) -> Refused:
    message = (
        f"entry {entry.reference!r} is in the books as number {known.entry_id} with content "
        f"{known.digest.hex()[:16]}, not {content_digest.hex()[:16]}; find out which one is right, "
        f"then reverse that one or use another reference"
    )
    return Refused(entry.reference, Reason.CONFLICT, "", 0, message)


def _forestalled(books: Standing, entry: Entry) -> Refused | None:
    by = books.forestalled.get(entry.reference)
    if by is None:
        return None
    message = f"entry {entry.reference!r} was taken back by {by!r} before it came; use another reference"
    return Refused(entry.reference, Reason.FORESTALLED, "", 0, message)


def _not_a_reversal(books: Standing, entry: Entry, reverses: str) -> Refused | None:
    original = books.originals.get(reverses)
    if original is None:
        reason, what = Reason.ORIGINAL_UNKNOWN, "is not in the books; post it first"
    elif not _mirrors(entry, original):
        reason, what = Reason.NOT_A_MIRROR, "has other lines; swap its debits and credits, change nothing"
    elif original.reversed_by is not None:
        reason, what = Reason.ALREADY_REVERSED, f"was reversed by {original.reversed_by!r}; once is enough"
    else:
        return None
    message = f"entry {entry.reference!r}: its original {reverses!r} {what}"
    return Refused(entry.reference, reason, "", 0, message)


def _mirrors(entry: Entry, original: Booked) -> bool:
    """Whether an entry has the lines of its original the other way."""
    if original.without_lines is None:
        return entry.lines == mirrored(original.lines)
    as_booked = replace(original.without_lines, lines=mirrored(entry.lines))
    return digest(canonical_bytes(as_booked)) == original.digest


def _accept(books: Standing, entry: Entry, content_digest: bytes, settles_id: int | None) -> Posted:
    day = books.days[entry.business_date]
    entry_id, first_line_id = day.last_entry_id + 1, day.last_line_id + 1
    chain = chained(day.chain, entry_id, content_digest, books.at_text)
    day.last_entry_id, day.chain = entry_id, chain
    day.last_line_id += len(entry.lines)
    reverses_id = None
    if entry.reverses is not None:
        original = books.originals[entry.reverses]
        reverses_id = original.entry_id
        books.originals[entry.reverses] = original._replace(reversed_by=entry.reference)
    books.decision.accepted.append(
        Accepted(entry_id, first_line_id, entry, content_digest, reverses_id, settles_id, chain)
    )
    booked = Booked(entry_id, content_digest, None, entry.lines)
    books.booked[entry.reference] = books.originals[entry.reference] = booked
    return Posted(entry.reference, entry_id, first_time=True)
